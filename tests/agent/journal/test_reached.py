"""What is told beside the journal, and what it is worth when the journal itself has lost it."""

import errno
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

from agent.journal import file as journal_file
from agent.journal import salvage as journal_salvage
from agent.journal.file import DiskTroubleError
from agent.journal.journal import Change, Journal, State
from agent.journal.pages import Pages
from agent.journal.reached import PLACE_BYTES, PLACES, ReachedFile
from agent.journal.schema import PAGE_BYTES
from tests.agent.journal.test_salvage import every_gap, everything
from tests.agent.journalled import CLOCK, DAY_US, build, connection, later
from wire.messages.envelope import EpochRange, decode_measurement
from wire.records import Measurement

SIZE = 64_000_000
MADE = 25
FRAME = 24 + PAGE_BYTES
FILES = ("journal.db", "journal.db-wal", "journal.db-reached")


def told(path: Path) -> tuple[str, int, int] | None:
    beside = ReachedFile(path)
    newest = beside.look()
    beside.close()
    return newest and (newest.epoch, newest.seq, newest.settled)


def test_it_tells_the_newest_commit(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    assert told(path) is None
    with Journal(path, SIZE, CLOCK) as journal:
        for seq in range(1, 4):
            journal.commit(build, CLOCK)
            assert told(path) == (journal.epoch, seq, 0)
        journal.apply([Change(journal.epoch, 1, 2, State.MARKED)], CLOCK)
        journal.prune(CLOCK)
        journal.commit(build, CLOCK)
        assert told(path) == (journal.epoch, 4, 2)
        assert journal.resend("again", 0) == 2
        assert told(path) == (journal.epoch, 4, 0), "what was settled waits for a receipt again"
    assert (tmp_path / "journal.db-reached").stat().st_mode & 0o077 == 0


def test_a_gap_that_nobody_was_told_of_is_not_settled(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path, SIZE, CLOCK) as journal:
        for _ in range(4):
            journal.commit(build, CLOCK)
        epoch = journal.epoch
        journal.apply([Change(epoch, 1, 1, State.MARKED), Change(epoch, 4, 4, State.MARKED)], CLOCK)
        connection(journal).execute("DELETE FROM measurement WHERE seq IN (2, 3)")
        connection(journal).execute(
            "INSERT INTO gap (epoch, first, last, reason, at_us) VALUES (?, 2, 3, 'dropped', 0)", (epoch,)
        )
        journal.prune(CLOCK)
        journal.commit(build, CLOCK)
        assert told(path) == (epoch, 5, 1)
        journal.apply([], CLOCK, [EpochRange(epoch=epoch, first=2, last=3)])
        journal.prune(CLOCK)
        journal.commit(build, CLOCK)
        assert told(path) == (epoch, 6, 4)


def test_a_write_cut_short_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    beside = ReachedFile(path)
    for seq in range(1, 4):
        beside.tell(seq, "e", seq, 0)
    beside.close()
    file = tmp_path / "journal.db-reached"
    assert told(path) == ("e", 3, 0)
    whole = file.read_bytes()
    for begin, rest in zip(PLACES, (2, 3), strict=True):
        for offset in range(begin, begin + PLACE_BYTES - 1, 7):
            harmed = bytearray(whole)
            harmed[offset] ^= 0x41
            file.write_bytes(harmed)
            assert told(path) in {("e", 3, 0), ("e", rest, 0)}
    file.write_bytes(b"")
    assert told(path) is None


def test_a_disk_that_does_not_take_it_is_no_trouble(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.db"
    (tmp_path / "journal.db-reached").mkdir()
    with Journal(path, SIZE, CLOCK) as journal:
        for seq in (1, 2):
            assert journal.commit(build, CLOCK).seq == seq
        assert journal.trouble is None
    assert told(path) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("what", ["pipe", "link", "noise"])
def test_whatever_stands_there_is_neither_waited_for_nor_followed(tmp_path: Path, what: str) -> None:
    path, beside = tmp_path / "journal.db", tmp_path / "journal.db-reached"
    if what == "pipe":
        os.mkfifo(beside)
    elif what == "link":
        beside.symlink_to(tmp_path / "elsewhere")
    else:
        beside.write_bytes(os.urandom(100_000))
    with Journal(path, SIZE, CLOCK) as journal:
        assert journal.commit(build, CLOCK).seq == 1
        assert journal.trouble is None
    assert not (tmp_path / "elsewhere").exists()
    assert (told(path) is not None) is (what == "noise")


def test_what_could_not_be_read_at_first_is_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    beside = ReachedFile(path)
    for seq in range(1, 5):
        beside.tell(seq, "e", seq, 0)
    beside.close()

    def fails(*_: object) -> bytes:
        raise OSError(errno.EIO, "the test's")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", fails)
        later_on = ReachedFile(path)
        assert later_on.look() is None
        later_on.tell(5, "e", 5, 0)
    later_on.tell(6, "e", 6, 0)
    later_on.close()
    assert told(path) == ("e", 6, 0)


class Left(NamedTuple):
    """A journal whose agent was killed after a commit, its files, and what it had made."""

    folder: Path
    epochs: list[str]
    made: dict[tuple[str, int], Measurement]

    def copy(self, folder: Path) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)
        return folder / "journal.db"

    def account(self, path: Path) -> tuple[int, int]:
        """Open it twice; what was made is there as it was, or declared. Returns how many of each."""
        for _ in range(2):
            with Journal(path, SIZE, later(9 * DAY_US)) as journal:
                assert journal.trouble is None
                there = {(row.epoch, row.seq): row.record for row in everything(journal)}
                gaps = every_gap(journal)
            lost = {(gap.epoch, seq) for gap in gaps for seq in range(gap.first, gap.last + 1)}
            assert there.keys() | lost == self.made.keys(), "missing or invented"
            assert all(decode_measurement(record) == self.made[key] for key, record in there.items())
        return len(there), len(lost - there.keys())


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """Its log ends in a commit of one measurement, and holds others before it."""
    working, folder = tmp_path_factory.mktemp("working"), tmp_path_factory.mktemp("left")
    made: dict[tuple[str, int], Measurement] = {}
    epochs = []
    for _ in range(2):
        journal = Journal(working / "journal.db", SIZE, CLOCK)
        epochs.append(journal.epoch)
        for seq in range(1, MADE + 1):
            made[journal.epoch, seq] = journal.commit(partial(build, detail="x" * (seq * 12)), CLOCK)
            if seq == MADE // 2:
                connection(journal).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if len(epochs) == 2:
            for name in FILES:
                shutil.copy(working / name, folder / name)
        journal.close()
    return Left(folder, epochs, made)


def last_commit(path: Path) -> range:
    """The bytes of the log's last commit: from its first frame to the log's end."""
    pages = Pages(path)
    try:
        frames = pages.live_frames()
        return range(32 + pages.synced_frames(frames) * FRAME, 32 + frames * FRAME)
    finally:
        pages.close()


def turned(left: Left, folder: Path, name: str, offsets: range) -> Iterator[tuple[int, Path]]:
    for offset in offsets:
        path = left.copy(folder)
        harmed = path.with_name(name)
        with harmed.open("r+b") as file:
            byte = os.pread(file.fileno(), 1, offset)[0]
            os.pwrite(file.fileno(), bytes([byte ^ 1 << offset % 8]), offset)
        yield offset, path


def test_whatever_falls_over_in_the_last_commit_is_declared(tmp_path: Path, left: Left) -> None:
    span = last_commit(left.folder / "journal.db")
    assert len(span) >= FRAME
    lost = 0
    for offset, path in turned(left, tmp_path / "copy", "journal.db-wal", span[::101]):
        try:
            lost += left.account(path)[1]
        except BaseException as error:
            error.add_note(f"byte {offset} of the log")
            raise
    assert lost, "no flip hit the row itself: the test tries nothing"


def test_what_memory_held_is_declared_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written in one commit when the disk works again, that one with its epoch."""
    working, folder = tmp_path / "working", tmp_path / "left"
    working.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(journal_file, "open_store", mock.Mock(side_effect=DiskTroubleError("the test's")))
        journal = Journal(working / "journal.db", SIZE, CLOCK)
    made = {(journal.epoch, seq): journal.commit(build, CLOCK) for seq in (1, 2)}
    journal.recover(later(60_000_000))
    assert journal.trouble is None
    shutil.copytree(working, folder)
    left = Left(folder, [journal.epoch], made)
    journal.close()
    span, lost = last_commit(folder / "journal.db"), 0
    for _, path in turned(left, tmp_path / "copy", "journal.db-wal", span[::307]):
        lost += left.account(path)[1]
    assert lost


@pytest.mark.parametrize("name", FILES)
def test_whatever_falls_over_in_any_page_is_declared(tmp_path: Path, left: Left, name: str) -> None:
    size = (left.folder / name).stat().st_size
    for offset, path in turned(left, tmp_path / "copy", name, range(17, size, min(4093, size // 3))):
        try:
            there, lost = left.account(path)
        except BaseException as error:
            error.add_note(f"byte {offset} of {name}")
            raise
        assert there + lost == len(left.made)
        assert name != "journal.db-reached" or not lost


def test_a_log_whose_end_is_gone_is_declared(tmp_path: Path, left: Left) -> None:
    """As a disk may leave it that took back what it had acknowledged."""
    path = left.copy(tmp_path / "copy")
    os.truncate(path.with_name("journal.db-wal"), last_commit(path)[0])
    assert left.account(path) == (len(left.made) - 1, 1)


def test_a_kill_while_it_is_declared_loses_nothing(
    tmp_path: Path, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A break further up: taking over what follows it and declaring what it hit is one thing, or nothing."""
    path = left.copy(tmp_path / "copy")
    log = path.with_name("journal.db-wal")
    with log.open("r+b") as file:
        broken = log.read_bytes().index(b"x" * (MADE - 3) * 12)
        os.pwrite(file.fileno(), b"y", broken)

    def killed(*_: object) -> int:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(journal_salvage, "_declare_rest", killed)
        with pytest.raises(RuntimeError):
            Journal(path, SIZE, CLOCK)
    there, lost = left.account(path)
    assert there + lost == len(left.made)


def test_a_journal_that_is_gone_is_declared(tmp_path: Path, left: Left) -> None:
    path = left.copy(tmp_path / "copy")
    for name in FILES[:2]:
        path.with_name(name).unlink()
    with Journal(path, SIZE, later(1)) as journal:
        gaps = every_gap(journal)
        assert [(gap.epoch, gap.first, gap.last) for gap in gaps] == [(left.epochs[-1], 1, MADE)]
        mark = journal.marks([])[0]
        assert (mark.previous, mark.previous_last) == (left.epochs[-1], MADE)


def test_a_journal_gone_that_had_settled_part_of_its_epoch_declares_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path, SIZE, CLOCK) as journal:
        for _ in range(6):
            journal.commit(build, CLOCK)
        journal.apply([Change(journal.epoch, 1, 4, State.MARKED)], CLOCK)
        journal.prune(CLOCK)
        journal.commit(build, CLOCK)
    path.unlink()
    with Journal(path, SIZE, CLOCK) as journal:
        assert [(gap.first, gap.last) for gap in every_gap(journal)] == [(5, 7)]


def test_a_journal_that_went_on_without_it_is_believed(tmp_path: Path, left: Left) -> None:
    """An older agent tells nothing beside it; what the journal has forgotten since is not lost."""
    path = left.copy(tmp_path / "copy")
    beside = path.with_name("journal.db-reached")
    before = beside.read_bytes()
    with Journal(path, SIZE, CLOCK) as journal:
        journal.apply([Change(epoch, 1, MADE, State.MARKED) for epoch in left.epochs], CLOCK)
        journal.commit(build, CLOCK)
        journal.prune(later(8 * DAY_US))
    beside.write_bytes(before)
    with Journal(path, SIZE, later(9 * DAY_US)) as journal:
        assert every_gap(journal) == []


def test_the_copy_of_a_settled_journal_declares_what_was_not(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path, SIZE, CLOCK) as journal:
        journal.commit(build, CLOCK)
        copy = [
            (file, file.read_bytes()) for file in tmp_path.glob("journal.db*") if "reached" not in file.name
        ]
        for _ in range(5):
            journal.commit(build, CLOCK)
        journal.apply([Change(journal.epoch, 1, 4, State.MARKED)], CLOCK)
        journal.prune(CLOCK)
        journal.commit(build, CLOCK)
    for file in tmp_path.glob("journal.db*"):
        if "reached" not in file.name:
            file.unlink()
    for file, content in copy:
        file.write_bytes(content)
    with Journal(path, SIZE, CLOCK) as journal:
        assert [(gap.first, gap.last) for gap in every_gap(journal)] == [(5, 7)]


def test_an_older_copy_is_told_by_after_all_was_forgotten(tmp_path: Path) -> None:
    path, copy = tmp_path / "journal.db", tmp_path / "copy.db"
    with Journal(path, SIZE, CLOCK) as journal:
        for _ in range(9):
            journal.commit(build, CLOCK)
    shutil.copy(path, copy)
    with Journal(path, SIZE, CLOCK) as journal:
        journal.apply([Change(epoch, 1, 9, State.MARKED) for epoch in (told(path) or ("",))[:1]], CLOCK)
        journal.prune(later(8 * DAY_US))
    with Journal(path, SIZE, later(8 * DAY_US)) as journal:
        newest = journal.epoch
        for _ in range(3):
            journal.commit(build, CLOCK)
    shutil.copy(copy, path)
    with Journal(path, SIZE, later(9 * DAY_US)) as journal:
        assert [(gap.epoch, gap.first, gap.last) for gap in every_gap(journal)] == [(newest, 1, 3)]


def test_openings_without_a_commit_do_not_forget_the_epoch_told(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path, SIZE, CLOCK) as journal:
        for _ in range(6):
            journal.commit(build, CLOCK)
        journal.apply([Change(journal.epoch, 1, 6, State.MARKED)], CLOCK)
        journal.prune(later(8 * DAY_US))
    for day in range(60):
        with Journal(path, SIZE, later((9 + day) * DAY_US)) as journal:
            journal.prune(later((9 + day) * DAY_US))
            assert every_gap(journal) == []


def test_all_forgotten_is_not_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.db"
    with Journal(path, SIZE, CLOCK) as journal:
        for _ in range(6):
            journal.commit(build, CLOCK)
        journal.apply([Change(journal.epoch, 1, 6, State.MARKED)], CLOCK)
        journal.prune(later(8 * DAY_US))
    with Journal(path, SIZE, later(9 * DAY_US)) as journal:
        assert every_gap(journal) == []
        assert journal.commit(build, CLOCK).seq == 1
        assert told(path) == (journal.epoch, 1, 0)
    assert not caplog.records
