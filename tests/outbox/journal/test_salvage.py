"""A damaged journal: what can be read of it goes on, the rest up to its heartbeat is declared."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from outbox.journal import file as journal_file
from outbox.journal import heartbeat
from outbox.journal.journal import Journal
from outbox.rows import Change, State
from tests.outbox.journalled import CLOCK, SIZE, Identity, build, commit, connection, later
from wire.messages.envelope import decode_measurement
from wire.records import Measurement

FULL = bool(os.environ.get("FULL"))
"""Turn a bit of each 61st byte, and of each byte of page 1 and of the log's newest commit."""
LAST_COMMIT = -1
PAGE_BYTES = 4096
FILES = ("journal.db", "journal.db-wal", "journal.db-heartbeat")


class Original:
    """A journal of two epochs that was killed: with its log, and six records after its heartbeat."""

    def __init__(self, directory: Path) -> None:
        path = directory / "journal.db"
        self.contents: dict[Identity, Measurement] = {}
        self.committed: set[Identity] = set()
        with Journal(path, SIZE, CLOCK) as journal:
            self._commit(journal, 40)
            self._mark(journal, 1, 15)
        journal = Journal(path, SIZE, CLOCK)
        self._commit(journal, 30)
        connection(journal).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._commit(journal, 6)
        self._mark(journal, 5, 8)
        journal.beat(CLOCK)
        self.named = set(self.contents)
        self._commit(journal, 6)
        self.kept = directory / "kept"
        self.kept.mkdir()
        for name in FILES:
            shutil.copy(directory / name, self.kept / name)
        journal.close()

    def _commit(self, journal: Journal, count: int) -> None:
        for number in range(count):
            made = journal.commit(partial(build, detail="x" * (300 if number % 3 else 10)), CLOCK)
            self.contents[made.epoch, made.seq] = made

    def _mark(self, journal: Journal, first: int, last: int) -> None:
        journal.apply([Change(journal.epoch, first, last, State.COMMITTED)], CLOCK)
        self.committed |= {(journal.epoch, seq) for seq in range(first, last + 1)}

    def copy(self, directory: Path) -> Path:
        directory.mkdir()
        for file in self.kept.iterdir():
            shutil.copy(file, directory)
        return directory / "journal.db"

    def check(self, path: Path) -> tuple[int, int]:
        """Open it, and account for everything; returns what is there and what is declared lost."""
        epochs = list(dict.fromkeys(epoch for epoch, _ in self.contents))
        with Journal(path, SIZE, later(1)) as journal:
            assert journal.trouble is None
            rows = connection(journal).execute("SELECT epoch, seq, record FROM record").fetchall()
            found = {(epoch, seq): decode_measurement(raw) for epoch, seq, raw in rows}
            assert all(self.contents[identity] == record for identity, record in found.items()), "invented"
            ranges = connection(journal).execute("SELECT epoch, first, last FROM gap").fetchall()
            gaps = {(epoch, seq) for epoch, first, last in ranges for seq in range(first, last + 1)}
            assert gaps <= set(self.contents), "lost what never was"
            assert self.named - self.committed <= set(found) | gaps, "lost without a word"
            waiting = {row.identity for row in journal.waiting(1000)}
            assert set(found) - self.committed <= waiting, "never to be sent"
            marks = {mark.epoch: mark for mark in journal.marks(epochs)}
            assert all(marks[epoch].high_water >= seq for epoch, seq in self.named)
            assert marks[journal.epoch].previous == epochs[-1]
            assert journal.commit(build, later(1)).epoch not in epochs
            return len(found), len(gaps)


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


def turned(original: Original, place: Path, name: str, offsets: range) -> int:
    """Turn one bit over in each of these bytes; returns how many records remained at worst."""
    worst = 82
    for offset in offsets:
        path = original.copy(place / f"{offset}")
        with path.with_name(name).open("r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1 << offset % 8]))
        try:
            worst = min(worst, original.check(path)[0])
        except BaseException as error:
            error.add_note(f"byte {offset} of {name}")
            raise
        shutil.rmtree(path.parent)
    return worst


def last_commit(log: Path) -> int:
    """Bytes of the newest commit in a log: its frames behind the frame that ends the commit before."""
    data, frame = log.read_bytes(), PAGE_BYTES + 24
    # A frame that ends a commit names the file's size in pages, others 0 (SQLite's file format, 4.1).
    ends = [begin for begin in range(32, len(data), frame) if any(data[begin + 4 : begin + 8])]
    return ends[-1] - ends[-2]


@pytest.mark.parametrize(("name", "first", "stop", "step", "least"), [
    ("journal.db", 0, 108, 1, 0),  # the header
    ("journal.db", 108, PAGE_BYTES, 1 if FULL else 307, 0),  # tables' definitions
    ("journal.db", PAGE_BYTES, None, 61 if FULL else 1021, 50),
    ("journal.db-wal", 0, 56, 1, 70),
    ("journal.db-wal", 56, None, 61 if FULL else 1021, 70),
    ("journal.db-wal", LAST_COMMIT, None, 1 if FULL else 97, 76),
])  # fmt: skip
def test_a_bit_that_turns_over_costs_what_is_declared(
    place: Path, original: Original, name: str, first: int, stop: int | None, step: int, least: int
) -> None:
    size = (original.kept / name).stat().st_size
    begin = size - last_commit(original.kept / name) if first == LAST_COMMIT else first
    offsets = range(begin, size if stop is None else stop, step)
    worst = turned(original, place, name, offsets)
    print(f"{name}: {len(offsets)} bits turned from byte {begin}, at least {worst} of 82 records remained")
    assert worst >= least


def test_a_damaged_heartbeat_says_nothing(tmp_path: Path, original: Original) -> None:
    path = heartbeat.path_beside(original.copy(tmp_path / "copy"))
    assert heartbeat.read(path) is not None
    for offset in range(0, len(path.read_bytes().rstrip()), 7):
        data = bytearray((original.kept / path.name).read_bytes())
        data[offset] ^= 1
        path.write_bytes(data)
        assert heartbeat.read(path) is None or data[offset] in b'  "'


def test_a_page_of_zeros_or_ones_costs_what_stood_on_it(place: Path, original: Original) -> None:
    for number in range((original.kept / "journal.db").stat().st_size // PAGE_BYTES):
        for filling in (b"\0", b"\xff"):
            path = original.copy(place / f"{number}-{filling.hex()}")
            with path.open("r+b") as file:
                file.seek(number * PAGE_BYTES)
                file.write(filling * PAGE_BYTES)
            original.check(path)


def test_records_behind_a_damaged_page_are_found_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path, SIZE, CLOCK) as journal:
        commit(journal, 30)
        # A journal of years: its positions begin far from 0.
        connection(journal).execute("UPDATE record SET position = position + 5000000")
        query = "SELECT min(pageno) FROM dbstat WHERE name = 'record' AND pagetype = 'leaf'"
        page = connection(journal).execute(query).fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(b"\xff" * PAGE_BYTES)
    with Journal(path, SIZE, later(1)) as journal:
        counted = journal.counts()
        assert counted.waiting + counted.gaps == 30
        assert 0 < counted.gaps < 15


@pytest.mark.parametrize("what", FILES)
def test_a_journal_that_is_gone_is_declared_up_to_its_heartbeat(
    tmp_path: Path, original: Original, what: str
) -> None:
    path = original.copy(tmp_path / "copy")
    path.with_name(what).unlink()
    if what == "journal.db-heartbeat":
        assert original.check(path) == (82, 0)
        return
    found, gaps = original.check(path)
    assert found + gaps >= (70 - 15 if what == "journal.db" else 76)


def test_a_definition_that_is_no_text_is_damage(tmp_path: Path, original: Original) -> None:
    path = original.copy(tmp_path / "copy")
    for file in (path, path.with_name("journal.db-wal")):
        file.write_bytes(file.read_bytes().replace(b"CREATE TABLE epoch", b"CREATE TA\xcfLE epoch"))
    original.check(path)


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
