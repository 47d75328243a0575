"""The journal's file: who may have it, whose it is, and what becomes of a damaged or old one."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from outbox.journal import file as journal_file
from outbox.journal.file import JournalError
from outbox.journal.journal import Journal
from outbox.journal.store import counts, newest_records
from outbox.rows import Filing
from tests.outbox.journalled import CLOCK, SIZE, commit, connection, opened
from wire.messages.envelope import decode_measurement


def test_only_this_user_may_read_it(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal)
        for name in ("journal.db", "journal.db-wal", "journal.db.lock"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["nothing like a database" * 100, None])
def test_a_damaged_file_is_set_aside_and_a_fresh_one_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str | None
) -> None:
    with opened(tmp_path) as journal:
        commit(journal, 200)
    path = tmp_path / "journal.db"
    if damage:
        path.write_text(damage)
    else:
        with path.open("r+b") as file:
            file.seek(3 * 4096)
            file.write(b"\xff" * 4096)
    with opened(tmp_path) as journal:
        found = journal.counts()
        assert found.waiting + found.gaps == 200
        assert commit(journal)[0].seq == 1
    aside = list(path.parent.glob("journal.db.broken-*"))
    assert [file.name for file in aside] == [f"journal.db.broken-{CLOCK.wall_us}"]
    assert "is damaged" in caplog.text
    assert "was set aside as journal.db.broken-" in caplog.text


def test_a_damaged_journal_that_cannot_be_moved_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    path.write_text("x")

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(JournalError, match=r"damaged \(test\), and cannot be set aside"):
        journal_file.set_aside(path, 1, "test")


def test_only_the_newest_damaged_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for moment in range(1, 6):
        path.write_text("x")
        journal_file.set_aside(path, moment, "test")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["journal.db.broken-5"]


def test_a_second_agent_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(JournalError) as caught:
        opened(tmp_path)
    path = tmp_path / "journal.db"
    assert str(caught.value) == (
        f"journal {path}: in use by process {os.getpid()}: end that, or use another journal"
    )


def test_a_newer_agents_journal_is_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal)
        connection(journal).execute("PRAGMA user_version = 2")
        connection(journal).execute("ALTER TABLE gap ADD COLUMN more INTEGER")
    with pytest.raises(JournalError, match=r"written by a newer program \(schema 2, this one knows 1\)"):
        opened(tmp_path)


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db")) as other:
        other.execute("CREATE TABLE mine (x)")
    with pytest.raises(JournalError, match="another program's database: give a path of its own"):
        opened(tmp_path)


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(JournalError, match="give a directory this user may write in"):
        opened(tmp_path / "state")


def test_another_process_may_look_into_it(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        seldom = commit(journal, filing=Filing(schedule="floor-down"))[0]
        often = commit(journal, 600, Filing(schedule="stamp"))[-1]
        looking = journal_file.read_only(tmp_path / "journal.db")
        assert [decode_measurement(raw) for raw in newest_records(looking)] == [often, seldom]
        looking.close()


def test_a_file_of_0_1_is_left_alone_and_a_journal_begun_beside_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(f"PRAGMA application_id = {0x504C4A31}; CREATE TABLE measurement (record BLOB);")
    before = path.read_bytes()
    for _ in range(2):
        with Journal(path, SIZE, CLOCK) as journal:
            commit(journal)
    assert path.read_bytes() == before
    assert journal_file.place(path) == tmp_path / "journal-new.db"
    with closing(journal_file.read_only(tmp_path / "journal-new.db")) as looking:
        assert counts(looking).waiting == 2
    beside = tmp_path / "journal-new.db"
    assert f"{path} was written by Plancher 0.1 and is left as it is: using {beside}" in caplog.text
