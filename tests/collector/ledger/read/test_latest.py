"""Cost of a start: live state is rebuilt without reading a series to its beginning."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, event

from collector.ingest.decode import judge
from collector.ledger.read import latest as reading
from collector.ledger.write.writer import Ledger
from tests.collector.examples import HOUR_US, MINUTE_US, NOW_US, arrival, failed, floor, floor_values, stamp
from wire.records import Measurement, Verdict

ROWS = 6000
PORTION = 500
STEPS = 100


@contextmanager
def steps_counted() -> Iterator[list[int]]:
    """Count hundreds of steps of SQLite, for every engine that connects meanwhile."""
    taken = [0]

    def step() -> int:
        taken[0] += 1
        return 0

    def watch(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_progress_handler(step, STEPS)

    event.listen(Engine, "connect", watch)
    try:
        yield taken
    finally:
        event.remove(Engine, "connect", watch)


def steps(file: Path, records: list[Measurement]) -> int:
    """Cost of rebuilding with these records in the ledger, in steps of SQLite."""
    ledger = Ledger(file)
    for start in range(0, len(records), PORTION):
        ledger.commit([judge(arrival(*records[start : start + PORTION]))])
    ledger.close()
    with steps_counted() as taken:
        assert list(reading.newest(file))
    return taken[0]


def of_an_older_agent(seq: int) -> Measurement:
    """A verdict without a standing."""
    return floor(seq, NOW_US - (ROWS - seq) * HOUR_US, floor_values(Verdict.PASS))


def of_a_dead_reflector(seq: int) -> Measurement:
    """Nothing but failures after the first train."""
    kind = stamp if seq == 1 else failed
    return msgspec.structs.replace(kind(seq, NOW_US - (ROWS - seq) * MINUTE_US), interval_us=MINUTE_US)


@pytest.mark.parametrize("kind", [of_an_older_agent, of_a_dead_reflector])
def test_a_long_history_costs_no_more_than_a_short_one(kind: object, tmp_path: Path) -> None:
    assert callable(kind)
    records = [kind(seq) for seq in range(1, ROWS + 1)]
    short = steps(tmp_path / "short.db", records[-ROWS // 3 :])
    long = steps(tmp_path / "long.db", records)
    assert long < 1.2 * short
