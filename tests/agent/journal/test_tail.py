"""What SQLite leaves in a journal's log: a commit that was cut short, or what stands behind a damage."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from agent.journal.journal import Change, Journal, State
from agent.journal.pages import Pages
from agent.journal.schema import PAGE_BYTES
from tests.agent.journal.test_salvage import every_gap, everything
from tests.agent.journalled import CLOCK, DAY_US, build, connection, later

SIZE = 64_000_000
SECTOR = 512
FORGOTTEN = range(3, 16)
HELD = {*range(1, 3), *range(16, 21)}
NEW = 6
Seqs = set[int]


class Original:
    """A journal that has forgotten what was marked, behind what is unsent, and commits when the power goes.

    ``synced`` is its log before the last commit, ``log`` after it.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "journal.db"
        with Journal(self.path, SIZE, CLOCK) as journal:
            self.old = journal.epoch
            for _ in range(20):
                journal.commit(build, CLOCK)
            marked = Change(journal.epoch, FORGOTTEN[0], FORGOTTEN[-1], State.MARKED)
            journal.apply([marked], CLOCK)
            journal.prune(later(8 * DAY_US))
        log = directory / "journal.db-wal"
        journal = Journal(self.path, SIZE, later(8 * DAY_US))
        self.new = journal.epoch
        connection(journal).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(NEW):
            self.synced = log.read_bytes() if log.exists() else b""
            journal.commit(partial(build, detail=f"{number}" * 3000), later(8 * DAY_US))
        self.log, self.file = log.read_bytes(), self.path.read_bytes()
        journal.close()

    def left(self, directory: Path, log: bytes) -> Path:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        (directory / "journal.db-wal").write_bytes(log)
        path = directory / "journal.db"
        path.write_bytes(self.file)
        return path

    def open(self, path: Path) -> tuple[Seqs, Seqs, dict[str, int]]:
        """What is there of the old epoch and of the new one, and all that is declared, by epoch."""
        with Journal(path, SIZE, later(9 * DAY_US)) as journal:
            assert journal.trouble is None
            there = {
                epoch: {row.seq for row in everything(journal) if row.epoch == epoch}
                for epoch in (self.old, self.new)
            }
            gaps = every_gap(journal)
            assert all(gap.epoch == self.new for gap in gaps), "what was forgotten is declared as lost"
            lost = {seq for gap in gaps for seq in range(gap.first, gap.last + 1)}
            reached = journal.marks([self.old, self.new])[1:]  # without the present one
            marks = {mark.epoch: mark.high_water for mark in reached}
        assert not list(path.parent.glob("*broken*"))
        assert there[self.old] == HELD
        return there[self.new], lost, marks


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return Original(tmp_path_factory.mktemp("original"))


def cut_short(original: Original) -> Iterator[bytes]:
    """The log as a power cut in the last commit may leave it: of what was not synced, some sectors."""
    synced, log = len(original.synced), original.log
    sectors = range(synced, len(log), SECTOR)
    for at in sectors:
        yield log[:at]
        yield log[:at] + bytes(min(SECTOR, len(log) - at)) + log[at + SECTOR :]
        yield log[:synced] + bytes(at - synced) + log[at:]


def test_a_commit_cut_short_is_no_damage(
    tmp_path: Path, original: Original, caplog: pytest.LogCaptureFixture
) -> None:
    before, whole = set(range(1, NEW)), set(range(1, NEW + 1))
    seen = set()
    for log in cut_short(original):
        there, lost, marks = original.open(original.left(tmp_path / "copy", log))
        assert there in (before, whole)
        assert lost == set()
        assert marks == {original.old: 20, original.new: len(there)}
        seen.add(len(there))
    assert seen == {NEW - 1, NEW}
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("lost", range(1, NEW))
def test_what_is_broken_before_the_last_commit_is_declared(
    tmp_path: Path, original: Original, lost: int, caplog: pytest.LogCaptureFixture
) -> None:
    log, frame = bytearray(original.log), 24 + PAGE_BYTES
    for begin in range(32 + 24, len(log), frame):
        if b"%d" % (lost - 1) * 3000 in log[begin : begin + PAGE_BYTES]:
            log[begin : begin + PAGE_BYTES] = bytes(PAGE_BYTES)
    there, declared, marks = original.open(original.left(tmp_path / "copy", bytes(log)))
    assert (there, declared) == (set(range(1, NEW + 1)) - {lost}, {lost})
    assert marks == {original.old: 20, original.new: NEW}
    assert "the journal lacks 1 measurements" in caplog.text


def test_the_frames_before_the_last_commit_are_synced(tmp_path: Path, original: Original) -> None:
    before = (len(original.synced) - 32) // (24 + PAGE_BYTES)
    for log in (original.log, original.log[:-1], original.log[: len(original.synced) + 24 + PAGE_BYTES]):
        pages = Pages(original.left(tmp_path / "copy", log))
        assert pages.synced_frames(pages.live_frames()) == before
        pages.close()
