"""Identities, states and what a program finds again in its journal."""

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.journal import journal as journal_module
from outbox.journal.journal import Journal
from outbox.rows import Change, Filing, PreviousRun, State, runs
from tests.outbox.journalled import CLOCK, SIZE, build, commit, connection, later, opened, refusing
from wire.messages.envelope import EpochMark, EpochRange, decode_measurement


def state(journal: Journal) -> tuple[int, int, int, int, int]:
    found = journal.counts()
    return found.waiting, found.committed, found.rejected, found.conflict, found.gaps


def keys(journal: Journal) -> list[int]:
    return [row.seq for row in journal.waiting(1000)]


def test_what_is_committed_is_there_newest_first(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        made = commit(journal, 3)
        rows = journal.waiting(2)
        assert [decode_measurement(row.record) for row in rows] == [made[2], made[1]]
        assert [row.seq for row in journal.waiting(9, after=rows[1].position)] == [3]


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
        with refusing(journal):
            commit(journal, 2)
            journal.apply([Change(journal.epoch, 3, 3, State.COMMITTED)], CLOCK)
            assert [row.seq for row in journal.waiting_at([1, 2, 3, 6, 99])] == [6, 1]


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
        with refusing(journal):
            commit(journal, filing=Filing(resume_key="a"), detail="in memory")
            assert b'"detail":"in memory"' in (journal.resumable("a") or b"")
            assert journal.resumable("c") is None


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
    with Journal(path, SIZE, CLOCK) as journal:
        found = connection(journal).execute("SELECT epoch, seq FROM record").fetchall()
        assert set(printed) <= set(found)
        assert len(found) - len(printed) <= 2
        committed = journal.counts().committed
        assert committed % 5 == 0
        assert committed >= 15  # two tens in the first life, one in the second


@given(st.sets(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 30))))
def test_runs_name_exactly_the_identities(identities: set[tuple[str, int]]) -> None:
    found = runs(identities)
    assert {(epoch, seq) for epoch, first, last in found for seq in range(first, last + 1)} == identities
    assert all(one[0] != two[0] or one[2] + 1 < two[1] for one, two in itertools.pairwise(found))


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
    journal.release_file()  # as a kill does
    with opened(tmp_path) as journal:
        ended = journal.previous_run
        assert ended == PreviousRun(last=CLOCK, closed=None)
        assert not ended.clean
        with refusing(journal):
            commit(journal)
            assert journal.previous_run == ended


def test_what_a_ledger_lacks_is_sent_again_by_its_numbers_alone(tmp_path: Path) -> None:
    """The clocks of both ends may say anything, so the time of the receipts counts for nothing."""
    with opened(tmp_path) as journal:
        for _ in range(9):
            commit(journal)
        journal.apply([Change(journal.epoch, 1, 9, State.COMMITTED)], CLOCK)
        ranges = [EpochRange(epoch=journal.epoch, first=first, last=last) for first, last in ((2, 3), (7, 7))]
        assert journal.resend("resend-1", CLOCK.wall_us + 10**15, ranges) == 3
        assert sorted(row.seq for row in journal.waiting(10)) == [2, 3, 7]
        assert journal.resend("resend-1", 0, ranges) is None
