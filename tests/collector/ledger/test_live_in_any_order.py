"""Live state is the same from any order of records, and from the ledger."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.ingest.decode import judge
from collector.ledger.place import mark_path
from collector.ledger.read import latest as reading
from collector.ledger.write.writer import Ledger
from collector.live.fleet import Fleet
from collector.model.inventory import Site
from tests.collector.examples import (
    HOUR_US,
    MINUTE_US,
    NOW_US,
    SITE,
    arrival,
    capacity,
    failed,
    floor,
    floor_values,
    interface,
    path,
    seen,
    stamp,
    stamp_values,
)
from wire.records import Direction, FloorValues, Measurement, Standing, Verdict

INVENTORY = {SITE: Site(SITE, "Lycée", floor_down=8_000_000, floor_up=4_000_000)}
PASS, FAIL, UNCONFIRMED, UNDETERMINED = (
    floor_values(verdict, 6.4e6, 6.5e6)
    for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.UNCONFIRMED, Verdict.UNDETERMINED)
)

RECORDS = st.lists(
    st.builds(
        lambda kind, seq, minutes: kind(seq, NOW_US - minutes * MINUTE_US),
        st.sampled_from(
            [
                stamp,
                failed,
                lambda seq, at: stamp(seq, at, stamp_values(seq * 1000 + 400), dscp=0),
                lambda seq, at: floor(seq, at, PASS),
                lambda seq, at: floor(seq, at, FAIL),
                lambda seq, at: floor(seq, at, UNCONFIRMED),
                lambda seq, at: floor(seq, at, replace(UNDETERMINED, standing=Standing.SUSPECT)),
                lambda seq, at: floor(seq, at, replace(FAIL, standing=Standing.CONDEMNED)),
                capacity,
                interface,
                path,
                lambda seq, at: floor(seq, at, FAIL, direction=Direction.UP),
                lambda seq, at: floor(seq, at + 100 * 24 * HOUR_US),
            ]
        ),
        st.integers(1, 50),
        st.integers(0, 5),
    ),
    max_size=12,
    unique_by=lambda record: record.seq,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORDS, st.randoms(use_true_random=False))
def test_live_state_is_the_same_from_any_order_and_from_the_ledger(
    tmp_path: Path, records: list[Measurement], random: object
) -> None:
    file = tmp_path / "ledger.db"
    file.unlink(missing_ok=True)
    mark_path(file).unlink(missing_ok=True)
    file.with_name("ledger.db-wal").unlink(missing_ok=True)
    ledger, made = Ledger(file), Fleet(INVENTORY)
    for record in records:
        for committed in ledger.commit([judge(arrival(record))]).messages:
            made.learn(committed.observations, NOW_US)
    ledger.close()
    rebuilt = Fleet(INVENTORY)
    rebuilt.restore(reading.newest(file))
    assert [found.series for found in rebuilt] == [found.series for found in made]
    expected = {}
    for record in records:
        if record.start.wall_us <= NOW_US:
            found = expected.get(seen(record).series)
            expected[seen(record).series] = max(found or 0, record.start.wall_us)
    (of_site,) = made
    assert {series: state.newest.time_us for series, state in of_site.series.items()} == expected
    decided = [state.decisive for state in of_site.series.values() if state.decisive]
    assert all(isinstance(found.values, FloorValues) and found.values.tests == () for found in decided)
