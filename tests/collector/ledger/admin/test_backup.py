"""Backing up and restoring: that nothing is half done."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from collector.ledger.admin import backup as backup_module
from collector.ledger.admin import verify as verification
from collector.ledger.admin.backup import MARGIN_US, back_up, restore
from collector.ledger.admin.verify import verify
from collector.ledger.place import LedgerError
from collector.ledger.read import latest as reading
from collector.ledger.write.writer import Ledger
from host.exits import Exit
from tests.collector.examples import HOUR_US, NOW_US
from tests.collector.ledger.filled import batch, change, commit, files, fill, query, run, silent


@pytest.fixture
def ledger(ledger: Ledger) -> Ledger:
    return fill(ledger)


def test_a_backup_is_one_sound_private_file(
    ledger: Ledger, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(path)
    target = path.with_name("backup.db")
    code, out, _ = run(capsys, "backup", path, target)
    assert (code, out) == (Exit.OK, [f"ok     {target}: verified, 4 measurements"])
    assert files(path) - before == {"backup.db"}
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert query(target, "SELECT seq FROM measurements ORDER BY seq") == [(1,), (2,), (4,), (9,)]
    assert files(path) - before == {"backup.db"}


def test_a_backup_replaces_nothing_unless_told_to_and_never_its_ledger(
    ledger: Ledger, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = path.with_name("backup.db")
    target.write_text("last week's")
    code, _, err = run(capsys, "backup", path, target)
    told = f"plancher-collector: backup {target}: there already: name another file, or give --force"
    assert (code, err) == (Exit.CANNOT_CREATE, [told])
    assert target.read_text() == "last week's"
    assert run(capsys, "backup", "--force", path, target)[0] == Exit.OK
    assert len(query(target, "SELECT seq FROM measurements")) == 4
    code, _, err = run(capsys, "backup", "--force", path, path)
    assert code == Exit.CANNOT_CREATE
    assert err[0].endswith("the backup would overwrite the ledger itself: name another file")


def test_a_backup_of_what_is_not_sound_is_refused_and_leaves_nothing(ledger: Ledger, path: Path) -> None:
    change(path, "UPDATE epochs SET committed = 9")
    before = files(path)
    with pytest.raises(LedgerError, match="not sound: table epochs, key 1: the row was altered"):
        back_up(path, path.with_name("backup.db"), NOW_US, silent, replace=False)
    assert files(path) == before


def test_a_backup_that_cannot_be_written_is_told_in_one_line(ledger: Ledger, path: Path) -> None:
    target = path.with_name("nowhere") / "backup.db"
    with pytest.raises(LedgerError) as raised:
        back_up(path, target, NOW_US, silent, replace=False)
    assert str(raised.value) == f"{target.parent}: no such folder: make it, or name another"


def test_a_backup_ends_and_is_of_one_moment_while_commits_go_on(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, with a commit after each: a copy that began anew at every one would never end."""
    monkeypatch.setattr(backup_module, "PAGES", 1)
    monkeypatch.setattr(verification, "TELL_SECONDS", 0.0)
    seqs = iter(range(10, 100_000))

    def write(text: str) -> None:
        if text.startswith("copied"):
            commit(ledger, batch(next(seqs)))

    target = path.with_name("backup.db")
    assert back_up(path, target, NOW_US, write, replace=False).measurements == 4
    assert query(path, "SELECT count(*) > 20 FROM measurements") == [(1,)]
    assert verify(target, NOW_US, silent).problems == []


def saved(path: Path) -> Path:
    target = path.with_name("backup.db")
    back_up(path, target, NOW_US, silent, replace=False)
    return target


def test_a_restored_ledger_is_the_backup_and_asks_for_what_came_since(
    ledger: Ledger, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = saved(path)
    commit(ledger, batch(10, 11))
    ledger.close()
    code, out, _ = run(capsys, "restore", path, backup)
    assert code == Exit.OK
    restored = f"ok     {path}: restored; its collector will ask every site to send later records again"
    assert out[0] == restored
    assert query(path, "SELECT count(*) FROM measurements") == [(4,)]
    _, (command_id, since_us) = query(path, "SELECT command, since_us FROM resends ORDER BY key")
    assert since_us == NOW_US + HOUR_US - MARGIN_US
    assert command_id.startswith("resend-")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (aside,) = path.parent.glob("ledger.db.replaced-*")
    assert out[1] == f"ok     {aside}: the ledger from before"
    assert query(aside, "SELECT count(*) FROM measurements") == [(6,)]
    assert query(backup, "SELECT count(*) FROM resends") == [(1,)]
    assert not list(path.parent.glob("*.restoring*"))
    assert verify(path, NOW_US, silent).problems == []
    again = Ledger(path)
    assert [one.records[0].redelivered for one in commit(again, batch(2), batch(10))] == [True, False]
    again.close()


def test_each_restore_asks_anew_and_the_newest_is_in_force(ledger: Ledger, path: Path) -> None:
    backup = saved(path)
    ledger.close()
    restore(path, backup, NOW_US, silent)
    restore(path, saved_again(path), NOW_US + 5, silent)
    commands = [row for (row,) in query(path, "SELECT command FROM resends ORDER BY key")]
    request = reading.resend(path)
    assert request is not None
    assert len(set(commands)) == 3
    assert (request.command.id, request.asked_us) == (commands[-1], NOW_US + 5)
    assert len(list(path.parent.glob("ledger.db.replaced-*"))) == 2


def saved_again(path: Path) -> Path:
    target = path.with_name("backup-2.db")
    back_up(path, target, NOW_US, silent, replace=False)
    return target


def test_while_a_collector_has_the_ledger_it_is_not_restored(ledger: Ledger, path: Path) -> None:
    backup = saved(path)
    before = files(path)
    with pytest.raises(LedgerError) as raised:
        restore(path, backup, NOW_US, silent)
    told = f"another collector (process {os.getpid()}) has it: end that one first"
    assert str(raised.value) == f"ledger {path}: {told}"
    assert files(path) == before
    commit(ledger, batch(10))


def test_a_second_collector_is_refused(ledger: Ledger, path: Path) -> None:
    with pytest.raises(LedgerError, match=r"another collector .* has it"):
        Ledger(path)
    ledger.close()
    Ledger(path).close()


def test_while_a_program_without_the_lock_has_it_open_it_is_not_restored(ledger: Ledger, path: Path) -> None:
    backup = saved(path)
    ledger.close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT count(*) FROM measurements").fetchone()
        with pytest.raises(LedgerError, match="another program has it open: end that one first"):
            restore(path, backup, NOW_US, silent)
    assert query(path, "SELECT count(*) FROM resends") == [(1,)]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE epochs SET committed = 9", "not sound: table epochs, key 1: the row was altered"),
        ("UPDATE ledger_schema SET version = 99", "of schema 99, this program writes 1"),
        ("DROP TABLE ledger_schema", "a database, but no ledger of this program"),
    ],
)
def test_a_backup_that_will_not_do_leaves_the_ledger_as_it_was(
    ledger: Ledger, path: Path, statement: str, problem: str
) -> None:
    backup = saved(path)
    ledger.close()
    change(backup, statement)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=f"^backup {backup}: {problem}"):
        restore(path, backup, NOW_US, silent)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("ledger.db.re*"))


def test_a_damaged_ledger_is_set_aside_as_it_is(ledger: Ledger, path: Path) -> None:
    backup = saved(path)
    ledger.close()
    path.write_bytes(b"no database" * 1000)
    aside = restore(path, backup, NOW_US, silent)
    assert aside is not None
    assert aside.read_bytes() == b"no database" * 1000
    assert verify(path, NOW_US, silent).problems == []


def test_where_there_is_no_ledger_one_is_restored(ledger: Ledger, path: Path) -> None:
    backup = saved(path)
    elsewhere = path.with_name("new.db")
    assert restore(elsewhere, backup, NOW_US, silent) is None
    assert verify(elsewhere, NOW_US, silent).measurements == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away")
def test_what_root_restores_belongs_to_the_folders_owner(ledger: Ledger, path: Path) -> None:
    backup = saved(path)
    folder = path.with_name("collector")
    folder.mkdir()
    os.chown(folder, 12345, 12346)
    restore(folder / "ledger.db", backup, NOW_US, silent)
    owners = {file.name: (file.stat().st_uid, file.stat().st_gid) for file in folder.iterdir()}
    assert owners == dict.fromkeys(("ledger.db", "ledger.db.lock", "ledger.db.exists"), (12345, 12346))


def test_a_ledger_is_no_backup_of_itself(ledger: Ledger, path: Path) -> None:
    ledger.close()
    with pytest.raises(LedgerError, match="is the ledger itself: name another file"):
        restore(path, path, NOW_US, silent)


def test_an_empty_backup_asks_for_everything(path: Path) -> None:
    Ledger(path).close()
    restore(path.with_name("new.db"), path, NOW_US, silent)
    assert query(path.with_name("new.db"), "SELECT since_us FROM resends") == [(0,), (0,)]


def test_what_was_interrupted_before_is_no_hindrance(ledger: Ledger, path: Path) -> None:
    path.with_name("backup.db.partial").write_text("half")
    saved(path)
    assert "backup.db.partial" not in files(path)
