"""A damaged journal: what can be read of it goes on, the rest is declared, nothing is invented."""

import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from agent.journal import file as journal_file
from agent.journal.journal import Change, Journal, State
from agent.journal.pages import Pages
from agent.journal.salvage import rows_of
from agent.journal.schema import PAGE_BYTES
from tests.agent.journalled import CLOCK, build, connection, later
from wire.messages.envelope import Gap, GapReason, decode_measurement
from wire.records import Measurement

SIZE = 64_000_000
Identity = tuple[str, int]


class Original:
    """A journal of two epochs, with measurements marked and not, that was killed: its log is still there."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "journal.db"
        self.contents: dict[Identity, Measurement] = {}
        self.marked: set[Identity] = set()
        self.reached: dict[str, int] = {}
        with Journal(self.path, SIZE, CLOCK) as journal:
            self._commit(journal, 40)
            self._mark(journal, 1, 15)
        journal = Journal(self.path, SIZE, CLOCK)
        self._commit(journal, 30)
        connection(journal).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._commit(journal, 12)
        self._mark(journal, 5, 8)
        self.kept = directory / "kept"
        self.kept.mkdir()
        for name in ("journal.db", "journal.db-wal"):
            shutil.copy(directory / name, self.kept / name)
        journal.close()

    def _commit(self, journal: Journal, count: int) -> None:
        for number in range(count):
            detail = "x" * (300 if number % 3 else 10)
            schedule = "floor-down" if number % 5 else "stamp-dscp-0"
            made = journal.commit(partial(build, detail=detail, schedule=schedule), CLOCK)
            self.contents[made.epoch, made.seq] = made
            self.reached[made.epoch] = made.seq

    def _mark(self, journal: Journal, first: int, last: int) -> None:
        journal.apply([Change(journal.epoch, first, last, State.MARKED)], CLOCK)
        self.marked |= {(journal.epoch, seq) for seq in range(first, last + 1)}

    def copy(self, directory: Path) -> Path:
        directory.mkdir()
        for file in self.kept.iterdir():
            shutil.copy(file, directory)
        return directory / "journal.db"

    def check(self, path: Path) -> tuple[int, int]:
        """Open it, and account for everything; returns what is there and what is declared lost."""
        with Journal(path, SIZE, later(1)) as journal:
            assert journal.trouble is None
            found = {(row.epoch, row.seq): decode_measurement(row.record) for row in everything(journal)}
            for identity, record in found.items():
                assert self.contents[identity] == record, "invented"
            gaps = {(gap.epoch, seq) for gap in every_gap(journal) for seq in range(gap.first, gap.last + 1)}
            assert gaps <= set(self.contents), "lost what never was"
            assert set(self.contents) - self.marked <= set(found) | gaps, "silently missing"
            unsent = {(row.epoch, row.seq) for row in journal.unsent(1000)}
            assert set(self.contents) - self.marked - gaps <= unsent, "never to be sent"
            marks = {mark.epoch: mark for mark in journal.marks(list(self.reached))}
            assert {epoch: marks[epoch].high_water for epoch in self.reached} == self.reached
            assert marks[journal.epoch].previous == list(self.reached)[-1]
            assert marks[journal.epoch].previous_last == list(self.reached.values())[-1]
            fresh = journal.commit(build, later(1))
            assert fresh.epoch not in self.reached
            return len(found), len(gaps)


class _Stored:
    def __init__(self, epoch: str, seq: int, record: bytes) -> None:
        self.epoch, self.seq, self.record = epoch, seq, record


def everything(journal: Journal) -> list[_Stored]:
    return [
        _Stored(*row) for row in connection(journal).execute("SELECT epoch, seq, record FROM measurement")
    ]


def every_gap(journal: Journal) -> list[Gap]:
    found = connection(journal).execute("SELECT epoch, first, last, reason, at_us FROM gap").fetchall()
    return [
        Gap(epoch=epoch, first=first, last=last, reason=GapReason(reason), at_us=at_us)
        for epoch, first, last, reason, at_us in found
    ]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return Original(tmp_path_factory.mktemp("original"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """For hundreds of journals: in memory where that can be, since no disk is in question."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as directory:
        yield Path(directory)


def test_an_undamaged_one_loses_nothing_of_a_kill(tmp_path: Path, original: Original) -> None:
    assert original.check(original.copy(tmp_path / "copy")) == (82, 0)
    assert [file.name for file in (tmp_path / "copy").glob("*broken*")] == []


def flips(path: Path, step: int) -> list[int]:
    """Offsets of the bytes to damage: some of every page, and all of the headers."""
    size = path.stat().st_size
    header = range(108) if path.name == "journal.db" else range(56)
    return sorted({*header, *range(0, size, step), *range(2048, size, PAGE_BYTES)})


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal"])
def test_whatever_falls_over_is_declared(place: Path, original: Original, name: str) -> None:
    worst = 0
    for offset in flips(original.kept / name, 1021):
        path = original.copy(place / f"{offset}")
        target = path.with_name(name)
        data = bytearray(target.read_bytes())
        data[offset] ^= 1 << offset % 8
        target.write_bytes(data)
        try:
            found, _ = original.check(path)
        except BaseException as error:
            error.add_note(f"byte {offset} of {name}")
            raise
        worst = max(worst, 82 - found)
        shutil.rmtree(path.parent)
    assert worst < 40


def test_a_page_of_zeros_or_ones_costs_what_stood_on_it(place: Path, original: Original) -> None:
    for number in range((original.kept / "journal.db").stat().st_size // PAGE_BYTES):
        for filling in (b"\0", b"\xff"):
            path = original.copy(place / f"{number}-{filling.hex()}")
            with path.open("r+b") as file:
                file.seek(number * PAGE_BYTES)
                file.write(filling * PAGE_BYTES)
            original.check(path)


def test_a_definition_that_is_no_text_is_damage(tmp_path: Path, original: Original) -> None:
    path = original.copy(tmp_path / "copy")
    for file in (path, path.with_name("journal.db-wal")):
        file.write_bytes(file.read_bytes().replace(b"CREATE TABLE epoch", b"CREATE TA\xcfLE epoch"))
    assert original.check(path)[1] == 0


def test_power_may_go_while_a_damaged_one_is_set_aside(
    tmp_path: Path, original: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = original.copy(tmp_path / "copy")
    data = bytearray(path.read_bytes())
    hit = data.index(b'"seq":30,')
    data[hit : hit + 9] = bytes(9)
    path.write_bytes(data)
    log = path.with_name("journal.db-wal")
    kept = log.read_bytes()

    def cut(*_: object) -> None:
        path.rename(path.with_name("aside"))
        log.write_bytes(kept)  # as where SQLite had not folded it into the file
        raise RuntimeError("the power is cut")

    monkeypatch.setattr(journal_file, "set_aside", cut)
    with pytest.raises(RuntimeError):
        Journal(path, SIZE, CLOCK)
    monkeypatch.undo()
    assert original.check(path) == (81, 1)
    assert not list(path.parent.glob("*broken*"))


def test_pages_give_what_sqlite_gives(tmp_path: Path, original: Original) -> None:
    path = original.copy(tmp_path / "copy")
    pages = Pages(path)
    seen = {row[2][1:3] for row in rows_of(pages) if row[0] == "measurement"}
    pages.close()
    assert seen == set(original.contents)
