import itertools
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.journal import file as journal_file
from outbox.journal import journal as journal_module
from outbox.journal.file import JournalError
from outbox.journal.journal import Journal
from outbox.journal.store import counts, newest_records
from outbox.rows import Change, Filing, PreviousRun, State, runs
from tests.outbox.journalled import CLOCK, DAY_US, build, connection, later
from wire.messages.envelope import EpochMark, decode_measurement
from wire.records import Measurement

MB = 1_000_000
UNFILED = Filing()


def opened(tmp_path: Path, size: int = 64 * MB) -> Journal:
    return Journal(tmp_path / "state" / "journal.db", size, CLOCK)


def commit(journal: Journal, count: int = 1, filing: Filing = UNFILED, detail: str = "") -> list[Measurement]:
    return [journal.commit(partial(build, detail=detail), CLOCK, filing) for _ in range(count)]


def keys(journal: Journal) -> list[int]:
    return [row.seq for row in journal.waiting(1000)]


def state(journal: Journal) -> tuple[int, int, int, int, int]:
    found = journal.counts()
    return found.waiting, found.committed, found.rejected, found.conflict, found.gaps


def killed(journal: Journal) -> None:
    """As a kill leaves it, but for the log, which SQLite folds into the file."""
    journal.release_file()


def test_what_is_committed_is_there_newest_first(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        made = commit(journal, 3)
        rows = journal.waiting(2)
        assert [decode_measurement(row.record) for row in rows] == [made[2], made[1]]
        assert [row.seq for row in journal.waiting(9, after=rows[1].position)] == [3]


def test_only_this_user_may_read_it(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal)
        for name in ("journal.db", "journal.db-wal", "journal.db.lock"):
            assert stat.S_IMODE((tmp_path / "state" / name).stat().st_mode) == 0o600


def test_every_opening_begins_an_epoch_chained_to_the_one_before(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, 3)
        first = journal.epoch
        assert journal.marks([]) == (EpochMark(epoch=first, high_water=3),)
    with opened(tmp_path) as journal:
        assert journal.epoch != first
        assert set(journal.marks([first])) == {
            EpochMark(epoch=journal.epoch, high_water=0, previous=first, previous_last=3),
            EpochMark(epoch=first, high_water=3),
        }
        assert commit(journal)[0].seq == 1


def test_only_receipts_change_what_is_unsent(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, 6)
        changes = [
            Change(journal.epoch, 1, 2, State.COMMITTED),
            Change(journal.epoch, 3, 3, State.REJECTED),
            Change(journal.epoch, 4, 4, State.CONFLICT),
            Change("0" * 16, 1, 9, State.COMMITTED),
        ]
        assert journal.apply(changes, CLOCK) == 4
        assert keys(journal) == [6, 5]
        assert state(journal) == (2, 2, 1, 1, 0)


def test_what_is_committed_stays_so_and_what_was_rejected_waits_again_once_released(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, 3)
        journal.apply([Change(journal.epoch, 1, 1, State.COMMITTED)], CLOCK)
        journal.apply([Change(journal.epoch, 2, 2, State.REJECTED)], CLOCK)
        journal.apply([Change(journal.epoch, 1, 3, State.REJECTED)], later(1))
        assert (state(journal), keys(journal)) == ((0, 1, 2, 0, 0), [])
        assert journal.release() == 2
        assert keys(journal) == [3, 2]
        journal.apply([Change(journal.epoch, 2, 2, State.COMMITTED)], CLOCK)
        assert (state(journal), journal.release()) == ((1, 2, 0, 0, 0), 0)


def test_those_rejected_longest_ago_are_released_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "RELEASED_AT_ONCE", 2)
    with opened(tmp_path) as journal:
        commit(journal, 4)
        for moment, seq in enumerate((3, 1, 4, 2)):
            journal.apply([Change(journal.epoch, seq, seq, State.REJECTED)], later(moment))
        journal.release()
        assert keys(journal) == [3, 1]


def test_rows_are_found_by_position_while_they_wait(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, 4)
        journal.apply([Change(journal.epoch, 2, 2, State.COMMITTED)], CLOCK)
        connection(journal).execute("PRAGMA query_only = ON")
        commit(journal, 2)
        journal.apply([Change(journal.epoch, 3, 3, State.COMMITTED)], CLOCK)  # which the disk does not take
        assert [row.seq for row in journal.waiting_at([1, 2, 3, 6, 99])] == [6, 1]
        connection(journal).execute("PRAGMA query_only = OFF")


def test_marked_measurements_stay_a_week(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, 3)
        journal.apply([Change(journal.epoch, 1, 2, State.COMMITTED)], CLOCK)
        journal.prune(later(7 * DAY_US))
        assert state(journal) == (1, 2, 0, 0, 0)
        journal.prune(later(7 * DAY_US + 1))
        assert state(journal) == (1, 0, 0, 0, 0)


def test_a_clock_that_was_wrong_does_not_make_marks_old(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal)
        journal.apply([Change(journal.epoch, 1, 1, State.COMMITTED)], later(0, synchronised=False))
        journal.prune(later(5000 * DAY_US))
        assert state(journal) == (0, 1, 0, 0, 0)
        journal.prune(later(5008 * DAY_US))
        assert state(journal) == (0, 0, 0, 0, 0)


def test_a_full_journal_forgets_marked_ones_first_and_says_what_it_drops(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path, size=300_000) as journal:
        commit(journal, 500, detail="x" * 300)
        journal.apply([Change(journal.epoch, 1, 100, State.COMMITTED)], CLOCK)
        journal.prune(CLOCK)
        found = journal.counts()
        assert found.used <= 300_000
        assert found.committed == 0
        assert found.waiting > 0
        assert found.waiting + found.gaps == 400
        assert min(keys(journal)) == 100 + found.gaps + 1
    assert "of the oldest; look at the broker and the collector" in caplog.text


def test_what_a_full_disk_does_not_take_stands_in_memory_until_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as journal:
        commit(journal)
        connection(journal).execute("PRAGMA max_page_count = 1")
        made = commit(journal, 40, detail="x" * 300)
        assert "database or disk is full" in str(journal.trouble)
        assert keys(journal) == list(range(len(made) + 1, 0, -1))
        assert journal.marks([])[0].high_water == len(made) + 1
        connection(journal).execute("PRAGMA max_page_count = 100000")
        journal.recover(later(1_000_000))
        assert journal.trouble
        journal.recover(later(10_000_000))
        assert journal.trouble is None
        commit(journal)
        assert keys(journal) == list(range(len(made) + 2, 0, -1))
    with opened(tmp_path) as journal:
        assert state(journal) == (len(made) + 2, 0, 0, 0, 0)
    assert caplog.text.count("keeping records in memory until it works") == 1
    assert "works again: it has the records that were kept in memory" in caplog.text


def test_the_disk_is_tried_once_more_on_closing(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal)
        connection(journal).execute("PRAGMA query_only = ON")
        commit(journal)
        connection(journal).execute("PRAGMA query_only = OFF")
        ended = journal.epoch
    with opened(tmp_path) as journal:
        assert state(journal) == (2, 0, 0, 0, 0)
        assert journal.marks([])[0].previous == ended
        assert journal.marks([])[0].previous_last == 2


@pytest.mark.parametrize("damage", ["nothing like a database" * 100, None])
def test_a_damaged_file_is_set_aside_and_a_fresh_one_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str | None
) -> None:
    with opened(tmp_path) as journal:
        commit(journal, 200)
    path = tmp_path / "state" / "journal.db"
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


def test_damage_while_running_costs_no_new_measurement(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, 300)
        connection(journal).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with (tmp_path / "state" / "journal.db").open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 4096 * 20)
        connection(journal).execute("PRAGMA cache_size = 0")
        connection(journal).execute("PRAGMA shrink_memory")
        damaged = journal.epoch
        assert commit(journal)[0].seq == 1
        assert keys(journal)[0] == 1
        found = journal.counts()
        assert found.waiting + found.gaps == 301
        assert {gap.epoch for gap in journal.gaps(64)} == {damaged}
        # whoever reads what is newer than the last position it saw goes on reading
        assert [row.position for row in journal.waiting(10, after=300)] == [301]
        chained = EpochMark(epoch=journal.epoch, high_water=1, previous=damaged, previous_last=300)
        assert journal.marks([]) == (chained,)


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


def test_a_disk_in_trouble_costs_the_marks_of_an_envelope_and_no_more(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal)
        connection(journal).execute("ALTER TABLE epoch RENAME TO elsewhere")
        assert [mark.high_water for mark in journal.marks(["0" * 16])] == [1]


def test_only_the_newest_damaged_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for moment in range(1, 6):
        path.write_text("x")
        journal_file.set_aside(path, moment, "test")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["journal.db.broken-5"]


def test_a_second_agent_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(JournalError) as caught:
        opened(tmp_path)
    path = tmp_path / "state" / "journal.db"
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
    (tmp_path / "state").mkdir()
    other = sqlite3.connect(tmp_path / "state" / "journal.db")
    other.execute("CREATE TABLE mine (x)")
    other.close()
    with pytest.raises(JournalError, match="another program's database: give a path of its own"):
        opened(tmp_path)


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(JournalError, match="give a directory this user may write in"):
        opened(tmp_path)


def test_the_newest_slot_of_each_schedule_is_known_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, filing=Filing(schedule="stamp", slot_us=5))
        commit(journal, filing=Filing(schedule="floor-down", slot_us=7))
        commit(journal, 600, Filing(schedule="stamp", slot_us=9))
        commit(journal, filing=Filing(schedule="stamp"))
        assert journal.newest_slots() == {"stamp": 9, "floor-down": 7}


def test_the_newest_record_of_a_resume_key_is_found(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for detail, key in (("one", "a"), ("two", "a"), ("three", None), ("four", "b")):
            commit(journal, filing=Filing(resume_key=key), detail=detail)
        assert b'"detail":"two"' in (journal.resumable("a") or b"")
        connection(journal).execute("PRAGMA query_only = ON")
        commit(journal, filing=Filing(resume_key="a"), detail="in memory")
        assert b'"detail":"in memory"' in (journal.resumable("a") or b"")
        assert journal.resumable("c") is None
        connection(journal).execute("PRAGMA query_only = OFF")


def test_another_process_may_look_into_it(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        seldom = commit(journal, filing=Filing(schedule="floor-down"))[0]
        often = commit(journal, 600, Filing(schedule="stamp"))[-1]
        looking = journal_file.read_only(tmp_path / "state" / "journal.db")
        assert [decode_measurement(raw) for raw in newest_records(looking)] == [often, seldom]
        looking.close()


def test_a_kill_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    printed: list[tuple[str, int]] = []
    for wanted in (25, 40):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.outbox.journal.child", str(path)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                epoch, seq = line.split()
                printed.append((epoch, int(seq)))
                if len(printed) == wanted:
                    child.send_signal(signal.SIGKILL)
    with Journal(path, 64 * MB, CLOCK) as journal:
        found = connection(journal).execute("SELECT epoch, seq FROM record").fetchall()
        assert set(printed) <= set(found)
        assert len(found) - len(printed) <= 2
        marked = journal.counts().committed
        assert marked % 5 == 0
        assert marked >= 15  # two tens in the first life, one in the second


@given(st.sets(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 30))))
def test_runs_name_exactly_the_identities(identities: set[tuple[str, int]]) -> None:
    found = runs(identities)
    assert {(epoch, seq) for epoch, first, last in found for seq in range(first, last + 1)} == identities
    assert all(one[0] != two[0] or one[2] + 1 < two[1] for one, two in itertools.pairwise(found))


def test_a_log_line_names_the_trouble_of_the_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(tmp_path) as journal:
        commit(journal)
        connection(journal).execute("PRAGMA query_only = ON")
        with caplog.at_level(logging.ERROR):
            assert journal.apply([Change(journal.epoch, 1, 1, State.COMMITTED)], CLOCK) == 0
        connection(journal).execute("PRAGMA query_only = OFF")
        assert state(journal) == (1, 0, 0, 0, 0)
    assert "attempt to write a readonly database): keeping records in memory" in caplog.text


def test_how_the_run_before_ended(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert journal.previous_run is None
    journal.commit(build, later(5))
    journal.close(later(7))
    journal = opened(tmp_path)
    assert journal.previous_run == PreviousRun(last=later(5), closed=later(7))
    journal.close(later(8))
    journal = opened(tmp_path)
    assert journal.previous_run == PreviousRun(last=None, closed=later(8))
    commit(journal)
    killed(journal)
    with opened(tmp_path) as journal:
        ended = journal.previous_run
        assert ended == PreviousRun(last=CLOCK, closed=None)
        assert not ended.clean
        connection(journal).execute("PRAGMA query_only = ON")
        commit(journal)
        assert journal.previous_run == ended


def test_a_file_of_0_1_is_left_alone_and_a_journal_begun_beside_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(f"PRAGMA application_id = {0x504C4A31}; CREATE TABLE measurement (record BLOB);")
    before = path.read_bytes()
    for _ in range(2):
        with Journal(path, 64 * MB, CLOCK) as journal:
            commit(journal)
    assert path.read_bytes() == before
    assert journal_file.place(path) == tmp_path / "journal-new.db"
    with closing(journal_file.read_only(tmp_path / "journal-new.db")) as looking:
        assert counts(looking).waiting == 2
    beside = tmp_path / "journal-new.db"
    assert f"{path} was written by Plancher 0.1 and is left as it is: using {beside}" in caplog.text
