"""Journals with measurements, and the harm that their tests do to them."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from outbox.journal.journal import Journal
from outbox.rows import Filing
from wire.records import ClockReading, Measurement, Outcome, Purpose, StampMeasurement

SIZE = 64_000_000
UNFILED = Filing()
Identity = tuple[str, int]

CLOCK = ClockReading(wall_us=1_775_000_000_000_000, boot_us=1_000_000_000, boot_id="boot", synchronised=True)
DAY_US = 86_400_000_000


def later(microseconds: int, *, synchronised: bool = True) -> ClockReading:
    return ClockReading(
        wall_us=CLOCK.wall_us + microseconds,
        boot_us=CLOCK.boot_us + microseconds,
        boot_id="boot",
        synchronised=synchronised,
    )


def build(epoch: str, seq: int, *, detail: str = "") -> Measurement:
    return StampMeasurement(
        epoch=epoch,
        seq=seq,
        purpose=Purpose.SCHEDULED,
        peer="pop-1",
        start=CLOCK,
        duration_us=10_000_000,
        outcome=Outcome.OK,
        slot_us=CLOCK.wall_us,
        interval_us=60_000_000,
        schedule="stamp-dscp-0",
        dscp=0,
        detail=detail,
    )


def opened(folder: Path, now: ClockReading = CLOCK) -> Journal:
    return Journal(folder / "journal.db", SIZE, now)


def commit(
    journal: Journal, count: int = 1, filing: Filing = UNFILED, *, detail: str = "", now: ClockReading = CLOCK
) -> list[Measurement]:
    return [journal.commit(partial(build, detail=detail), now, filing) for _ in range(count)]


def identities(made: Iterable[Measurement]) -> set[Identity]:
    return {(one.epoch, one.seq) for one in made}


def waiting(journal: Journal) -> set[Identity]:
    return {row.identity for row in journal.waiting(5000)}


@contextmanager
def refusing(journal: Journal) -> Iterator[None]:
    """The disk takes nothing meanwhile."""
    connection(journal).execute("PRAGMA query_only = ON")
    yield
    connection(journal).execute("PRAGMA query_only = OFF")


def connection(journal: Journal) -> sqlite3.Connection:
    """The journal's own connection, to do harm by."""
    assert journal._disk.store is not None
    return journal._disk.store.connection


def flip(journal: Journal, path: Path, text: bytes, bit: int = 1) -> None:
    """Let a bit of the first place that holds ``text`` fall over in the file of a journal at work."""
    connection(journal).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    place = content.index(text)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes([content[place] ^ bit]))
    connection(journal).execute("PRAGMA shrink_memory")
