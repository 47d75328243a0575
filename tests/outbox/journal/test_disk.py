"""Disks that are full, read-only or gone for a while, on file systems made for it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from outbox.journal import memory as journal_memory
from outbox.journal.file import JournalError
from outbox.journal.journal import Journal
from outbox.rows import Change, PreviousRun, State
from tests.outbox.journalled import (
    CLOCK,
    SIZE,
    commit,
    connection,
    identities,
    later,
    opened,
    refusing,
    waiting,
)
from wire.messages.envelope import EpochRange, GapReason

RETRY = later(10_000_000)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="file systems are mounted by root only")


class Disk:
    """A file system of its own, as large as it is said to be."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "journal.db"
        self._filling = directory / "filling"

    def fill(self) -> None:
        with self._filling.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        self._filling.unlink()

    def remount(self, mode: str) -> None:
        mount("-o", f"remount,{mode}", str(self.directory))


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path, "16m") as made:
        yield made


@contextmanager
def mounted(tmp_path: Path, size: str) -> Iterator[Disk]:
    directory = tmp_path / "disk"
    directory.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size}", "plancher-test", str(directory))
    try:
        yield Disk(directory)
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@as_root
def test_a_disk_that_fills_up_costs_nothing_while_memory_lasts(disk: Disk) -> None:
    with Journal(disk.path, SIZE, CLOCK) as journal:
        made = commit(journal, 20)
        journal.apply([Change(journal.epoch, 1, 5, State.COMMITTED)], CLOCK)
        disk.fill()
        made += commit(journal, 300, detail="x" * 250)
        assert "full" in str(journal.trouble)
        left = identities(made[5:])
        assert waiting(journal) == left
        # What a receipt says now is not sent again, wherever it stands.
        journal.apply([Change(journal.epoch, 6, 9, State.COMMITTED)], CLOCK)
        journal.apply([Change(journal.epoch, 315, 320, State.COMMITTED)], CLOCK)
        left = identities(made[9:314])
        assert waiting(journal) == left
        journal.recover(RETRY)
        assert journal.trouble
        disk.free()
        journal.recover(later(20_000_000))
        assert journal.trouble is None
        assert waiting(journal) == left
    with Journal(disk.path, SIZE, CLOCK) as journal:
        assert waiting(journal) == left
        counted = journal.counts()
        assert (counted.waiting, counted.committed, counted.gaps) == (305, 15, 0)
        assert journal.previous_run == PreviousRun(last=CLOCK, closed=later(20_000_000))


@as_root
def test_what_memory_cannot_hold_either_is_a_declared_gap(disk: Disk) -> None:
    with Journal(disk.path, SIZE, CLOCK) as journal:
        first = commit(journal)
        disk.fill()
        made = first + commit(journal, 2000, detail="x" * 280)
        counted = journal.counts()
        assert counted.waiting + counted.gaps == 2001
        assert counted.gaps > 500
        assert counted.used < journal_memory.BYTES + 200_000
        [gap] = journal.gaps(64)
        assert gap.reason is GapReason.NOT_STORED
        assert (gap.first, gap.last) == (made[1].seq, gap.first + counted.gaps - 1)
        named = EpochRange(epoch=gap.epoch, first=gap.first, last=gap.first + 99)
        journal.apply([], CLOCK, [named])
        [rest] = journal.gaps(64)
        assert (rest.first, rest.last) == (gap.first + 100, gap.last)
        disk.free()
        commit(journal, now=RETRY)
        assert journal.trouble is None
        assert journal.gaps(64) == [rest]
        assert journal.counts().gaps == counted.gaps
        assert journal.counts().waiting == counted.waiting + 1


@as_root
@pytest.mark.parametrize("how", ["full", "ro"])
def test_an_agent_that_starts_on_a_bad_disk_measures_and_recovers(disk: Disk, how: str) -> None:
    with Journal(disk.path, SIZE, CLOCK) as journal:
        old = commit(journal, 3)
        before = journal.epoch
    if how == "full":
        disk.fill()
    else:
        disk.remount("ro")
    with Journal(disk.path, SIZE, CLOCK) as journal:
        assert journal.trouble
        assert journal.previous_run is None
        assert journal.newest_slots() == {}
        made = commit(journal, 4)
        assert waiting(journal) == identities(made)
        journal.apply([Change(journal.epoch, 2, 2, State.COMMITTED)], CLOCK)
        disk.remount("rw")
        if how == "full":
            disk.free()
        made += commit(journal, now=RETRY)
        assert journal.trouble is None
        assert waiting(journal) == identities([*old, made[0], *made[2:]])
        assert [row.seq for row in journal.waiting(9)] == [5, 4, 3, 1, 3, 2, 1]
        assert journal.marks([])[0].previous == before
        assert journal.marks([])[0].previous_last == 3
        assert journal.previous_run == PreviousRun(last=CLOCK, closed=CLOCK)
    with Journal(disk.path, SIZE, CLOCK) as journal:
        assert len(waiting(journal)) == 7
        assert journal.marks([])[0].previous_last == 5


@as_root
def test_a_directory_that_a_read_only_disk_lacks_is_a_mistake_of_the_settings(disk: Disk) -> None:
    disk.remount("ro")
    with pytest.raises(JournalError, match="Read-only file system: give a directory this user may write in"):
        Journal(disk.directory / "other" / "journal.db", SIZE, CLOCK)


@as_root
def test_a_damaged_journal_waits_for_room_to_be_salvaged(disk: Disk) -> None:
    with Journal(disk.path, SIZE, CLOCK) as journal:
        old = commit(journal, 2000)
    with disk.path.open("r+b", buffering=0) as file:
        file.seek(40 * 4096)
        file.write(bytes(4096))
    disk.fill()
    with Journal(disk.path, SIZE, CLOCK) as journal:
        assert journal.trouble
        made = commit(journal, 2)
        disk.free()
        made += commit(journal, now=RETRY)
        assert journal.trouble is None
        counted = journal.counts()
        assert counted.waiting + counted.gaps == len(old) + len(made)
        assert 0 < counted.gaps < 20
        assert waiting(journal) >= identities(made)


@as_root
def test_two_agents_do_not_share_a_journal_that_recovers(disk: Disk) -> None:
    Journal(disk.path, SIZE, CLOCK).close()
    disk.remount("ro")
    with Journal(disk.path, SIZE, CLOCK) as first, Journal(disk.path, SIZE, CLOCK) as second:
        disk.remount("rw")
        commit(first, now=RETRY)
        commit(second, now=RETRY)
        assert first.trouble is None
        assert "in use by process" in str(second.trouble)


def test_a_measurement_is_sent_from_memory_as_from_the_disk(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        [first] = commit(journal)
        with refusing(journal):
            [second] = commit(journal)
            assert second.epoch == first.epoch
            rows = journal.waiting(10)
            assert [row.seq for row in rows] == [2, 1]
            assert journal.waiting(10, skip=[rows[0].position]) == rows[1:]
            assert journal.waiting(10, after=rows[1].position) == rows[:1]
            assert journal.marks([])[0].high_water == 2


def test_the_disk_is_tried_every_ten_seconds_and_once_more_on_closing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as journal:
        commit(journal)
        with refusing(journal):
            commit(journal)
            assert journal.apply([Change(journal.epoch, 1, 1, State.REJECTED)], CLOCK) == 0
        journal.recover(later(9_999_999))
        assert journal.trouble
        journal.recover(RETRY)
        assert journal.trouble is None
        with refusing(journal):
            commit(journal)
        ended = journal.epoch
    with opened(tmp_path) as journal:
        counted = journal.counts()
        assert (counted.waiting, counted.rejected) == (2, 1)
        [mark] = journal.marks([])
        assert (mark.previous, mark.previous_last) == (ended, 3)
    assert "attempt to write a readonly database): keeping records in memory" in caplog.text
    assert caplog.text.count("works again: it has the records that were kept in memory") == 2


def test_a_disk_in_trouble_costs_the_marks_of_an_envelope_and_no_more(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal)
        connection(journal).execute("ALTER TABLE epoch RENAME TO elsewhere")
        assert [mark.high_water for mark in journal.marks(["0" * 16])] == [1]
