"""Size of a journal: what it has to fit, and the order in which a full one drops records."""

from collections import Counter
from functools import partial
from pathlib import Path

import msgspec
import pytest

from agent.settings.sections import JournalSettings as Settings
from agent.task.declaration import DropOrder
from outbox.journal.journal import Journal
from outbox.journal.store import used_bytes
from outbox.rows import Change, Filing, State
from tests.collector import examples
from tests.outbox.journalled import CLOCK, DAY_US, connection, later
from wire.messages.envelope import GapReason, decode_measurement
from wire.records import (
    FloorMeasurement,
    HostLoad,
    InterfaceMeasurement,
    LoadSample,
    PathMeasurement,
    StampMeasurement,
    Verdict,
    probe_of,
)

LOAD = HostLoad(busy_ratio=0.0312345678, load_1min=0.13)
SERIES = tuple(LoadSample(at * 100_000, 100_000, 99_000, 0, 123, 4567) for at in range(21))


def stamp(epoch: str, seq: int) -> StampMeasurement:
    spread = examples.spread(5_000)
    values = msgspec.structs.replace(examples.stamp_values(), delay_forward=spread, delay_return=spread)
    return examples.stamp(seq, epoch=epoch, host=LOAD, values=values, session="3c9d1f20-12345678")


def interface(epoch: str, seq: int) -> InterfaceMeasurement:
    return examples.interface(seq, epoch=epoch, host=LOAD, schedule="interface", slot_us=examples.NOW_US)


def path(epoch: str, seq: int) -> PathMeasurement:
    return examples.path(seq, epoch=epoch, host=LOAD, schedule="path")


def floor(epoch: str, seq: int, *, series: bool = False) -> FloorMeasurement:
    values = examples.floor_values(Verdict.FAIL if series else Verdict.PASS)
    test = msgspec.structs.replace(
        values.tests[0], series=SERIES if series else (), slope=0.00123456789, received_bps=7_999_999.1234567
    )
    tests = (test,) * (4 if series else 1)
    values = msgspec.structs.replace(values, tests=tests, under_load=examples.under_load())
    return examples.floor(seq, epoch=epoch, host=LOAD, values=values)


def filled(path_of_it: Path, minutes: int) -> Journal:
    """The default cadence: trains and counters every minute, two floors every hour, each tenth not passed."""
    journal = Journal(path_of_it, 10**9, CLOCK)
    connection(journal).execute("PRAGMA synchronous = OFF")  # nobody cuts the power here
    often, seldom, verdict = (Filing(order, "schedule", 1) for order in DropOrder)
    for minute in range(minutes):
        journal.commit(stamp, later(minute * 60_000_000), often)
        journal.commit(interface, later(minute * 60_000_000), often)
        if minute % 30 == 0:
            journal.commit(partial(floor, series=minute % 300 == 0), CLOCK, verdict)
        if minute % 1440 == 0:
            journal.commit(path, CLOCK, seldom)
    return journal


def held(journal: Journal) -> Counter[str]:
    found = connection(journal).execute("SELECT record FROM record")
    decoded = [decode_measurement(raw) for (raw,) in found]
    return Counter(probe_of(record) for record in decoded if not hasattr(record, "reason"))


def test_thirty_days_fit_in_the_size_that_is_the_default(tmp_path: Path) -> None:
    with filled(tmp_path / "journal.db", 1440) as journal:
        thirty_days = 30 * used_bytes(connection(journal))
        assert thirty_days < 110_000_000
        assert thirty_days * 1.4 < Settings().size <= 200_000_000


def test_the_greatest_drop_order_goes_last_and_every_drop_is_declared(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with filled(tmp_path / "journal.db", 1440) as journal:
        journal.apply([Change(journal.epoch, 100, 199, State.COMMITTED)], CLOCK)
        journal.apply([Change(journal.epoch, 200, 299, State.REJECTED)], CLOCK)
        lacking = held(journal).total() - 100
        query = "SELECT count(*) FROM record WHERE drop_order = 2 AND state <> 1"
        floors = connection(journal).execute(query).fetchone()[0]
        full = used_bytes(connection(journal))

        shrink(journal, full - 60_000)
        assert (journal.counts().committed < 50, journal.counts().gaps) == (True, 0)
        for size, kept in ((full // 2, {}), (120_000, {"path": 1})):
            shrink(journal, size)
            counted = journal.counts()
            assert counted.waiting + counted.rejected + counted.gaps == lacking
            assert held(journal)["floor"] == floors
            assert held(journal).items() >= kept.items()
        assert set(held(journal)) == {"floor", "path"}
        shrink(journal, 60_000)
        assert set(held(journal)) == {"floor"}
        assert held(journal)["floor"] + journal.counts().gaps == lacking
        assert {gap.reason for gap in journal.gaps(64)} == {GapReason.DROPPED}
    assert "of the oldest; look at the broker and the collector" in caplog.text


def shrink(journal: Journal, size: int) -> None:
    journal._size = size
    journal.prune(CLOCK)
    assert used_bytes(connection(journal)) <= size


def test_committed_ones_stay_a_week_while_there_is_room(tmp_path: Path) -> None:
    with filled(tmp_path / "journal.db", 60) as journal:
        total = held(journal).total()
        journal.apply([Change(journal.epoch, 1, total, State.COMMITTED)], CLOCK)
        journal.prune(later(7 * DAY_US))
        assert held(journal).total() == total
        journal.prune(later(7 * DAY_US + 1))
        assert held(journal).total() == 0
        assert journal.counts().gaps == 0


def test_a_named_gap_is_remembered_as_long_as_a_receipt(tmp_path: Path) -> None:
    with filled(tmp_path / "journal.db", 60) as journal:
        journal._size = 100_000
        journal.prune(CLOCK)
        gaps = journal.gaps(64)
        lost = journal.counts().gaps
        assert lost
        journal.apply([], CLOCK, gaps)
        assert journal.gaps(64) == []
        journal.prune(later(7 * DAY_US))
        assert journal.counts().gaps == lost
        journal.prune(later(7 * DAY_US + 1))
        assert journal.counts().gaps == 0


def test_a_wrong_clock_drops_nothing_early(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db", 10**9, CLOCK) as journal:
        journal.commit(stamp, CLOCK)
        journal.apply([Change(journal.epoch, 1, 1, State.COMMITTED)], later(0, synchronised=False))
        for days, synchronised, committed in ((4000, False, 1), (5000, True, 1), (5008, True, 0)):
            journal.prune(later(days * DAY_US, synchronised=synchronised))
            assert journal.counts().committed == committed
