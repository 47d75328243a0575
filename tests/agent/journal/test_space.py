"""What a full journal forgets first, and that it fits what it has to."""

from collections import Counter
from functools import partial
from pathlib import Path

import msgspec

from agent.journal.entries import worth_of
from agent.journal.journal import Change, Journal, State, Worth
from agent.journal.space import AT_ONCE, without_series
from agent.journal.store import used_bytes
from agent.settings.sections import JournalSettings as Settings
from tests.agent.journalled import CLOCK, DAY_US, connection, later
from tests.collector import examples
from wire.messages.envelope import GapReason, decode_measurement, encode
from wire.records import (
    FloorMeasurement,
    HostLoad,
    InterfaceMeasurement,
    LoadSample,
    Measurement,
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
    for minute in range(minutes):
        journal.commit(stamp, later(minute * 60_000_000))
        journal.commit(interface, later(minute * 60_000_000))
        if minute % 30 == 0:
            journal.commit(partial(floor, series=minute % 300 == 0), CLOCK)
        if minute % 1440 == 0:
            journal.commit(path, CLOCK)
    return journal


def held(journal: Journal) -> Counter[str]:
    found = connection(journal).execute("SELECT record FROM measurement")
    decoded = [decode_measurement(raw) for (raw,) in found]
    return Counter(probe_of(record) for record in decoded if not hasattr(record, "reason"))


def test_thirty_days_fit_in_the_size_that_is_the_default(tmp_path: Path) -> None:
    with filled(tmp_path / "journal.db", 1440) as journal:
        thirty_days = 30 * used_bytes(connection(journal))
        assert thirty_days < 110_000_000
        assert thirty_days * 1.4 < Settings().size <= 200_000_000


def test_floor_results_go_last_and_every_drop_is_declared(tmp_path: Path) -> None:
    with filled(tmp_path / "journal.db", 1440) as journal:
        journal.apply([Change(journal.epoch, 100, 199, State.MARKED)], CLOCK)
        journal.apply([Change(journal.epoch, 200, 299, State.QUARANTINED)], CLOCK)
        query = "SELECT count(*) FROM measurement WHERE worth >= 2 AND state <> 1"
        floors = connection(journal).execute(query).fetchone()[0]
        unmarked = held(journal).total() - 100
        full = used_bytes(connection(journal))

        shrink(journal, full - 60_000)
        assert (held(journal).total(), journal.counts().gaps) == (unmarked, 0)
        assert with_series(journal) == 5
        shrink(journal, used_bytes(connection(journal)) - 1)
        assert with_series(journal) == 0
        assert journal.counts().gaps <= AT_ONCE  # of a few records SQLite may get no page back
        for size, kept in ((full // 2, {}), (130_000, {"path": 1})):
            shrink(journal, size)
            counted = journal.counts()
            assert counted.unsent + counted.quarantined + counted.gaps == unmarked
            assert held(journal)["floor"] == floors
            assert held(journal).items() >= kept.items()
        assert set(held(journal)) == {"floor", "path"}
        shrink(journal, 80_000)
        assert set(held(journal)) == {"floor"}
        assert held(journal)["floor"] + journal.counts().gaps == unmarked
        assert {gap.reason for gap in journal.gaps(64)} == {GapReason.DROPPED}


def shrink(journal: Journal, size: int) -> None:
    journal._size = size
    journal.prune(CLOCK)
    assert used_bytes(connection(journal)) <= size


def with_series(journal: Journal) -> int:
    found = connection(journal).execute("SELECT record FROM measurement").fetchall()
    return sum(b'"series"' in record for (record,) in found)


def test_the_series_is_taken_only_from_what_was_never_sent(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db", 10**9, CLOCK) as journal:
        sent = journal.commit(partial(floor, series=True), CLOCK)
        assert [row.record for row in journal.unsent(1)] == [encode(sent)]
        kept = journal.commit(partial(floor, series=True), CLOCK)
        while used_bytes(connection(journal)) < 100_000:
            journal.commit(stamp, CLOCK)
        journal._size = 90_000
        journal.prune(CLOCK)
        records = {row.seq: row.record for row in journal.unsent(1000)}
        assert records[1] == encode(sent)
        assert records[2] == without_series(encode(kept)) != encode(kept)
        stripped = decode_measurement(records[2])
        assert isinstance(stripped, FloorMeasurement)
        assert stripped.values is not None
        assert [test.session for test in stripped.values.tests] == ["3c9d1f20-1"] * 4


def test_what_is_sent_while_nothing_can_be_written_keeps_its_content(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db", 10**9, CLOCK) as journal:
        journal.commit(partial(floor, series=True), CLOCK)
        passed = journal.commit(floor, CLOCK)
        connection(journal).execute("PRAGMA query_only = ON")
        # The series might be taken out after a restart that knows nothing of this sending: so it waits.
        assert [row.seq for row in journal.unsent(9)] == [passed.seq]
        connection(journal).execute("PRAGMA query_only = OFF")
        journal.recover(later(10_000_000))
        assert [row.seq for row in journal.unsent(9)] == [2, 1]


def test_marked_ones_stay_a_week_while_there_is_room(tmp_path: Path) -> None:
    with filled(tmp_path / "journal.db", 60) as journal:
        total = held(journal).total()
        journal.apply([Change(journal.epoch, 1, total, State.MARKED)], CLOCK)
        journal.prune(later(7 * DAY_US))
        assert held(journal).total() == total
        journal.prune(later(7 * DAY_US + 1))
        assert held(journal).total() == 0
        assert journal.counts().gaps == 0


def test_each_kind_has_its_worth() -> None:
    made: list[Measurement] = [build("0" * 16, 1) for build in (stamp, interface, path, floor)]
    made.append(floor("0" * 16, 1, series=True))
    assert [worth_of(one) for one in made] == [
        Worth.MINUTE,
        Worth.MINUTE,
        Worth.OTHER,
        Worth.FLOOR,
        Worth.SERIES,
    ]


def test_a_told_gap_is_remembered_as_long_as_a_mark(tmp_path: Path) -> None:
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
        for _ in range(10):
            journal.commit(stamp, CLOCK)
        journal.apply([Change(journal.epoch, 1, 10, State.MARKED)], CLOCK)
        journal.prune(later(4000 * DAY_US, synchronised=False))
        assert journal.counts().marked == 10
