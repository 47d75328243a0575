"""Values of searches, from reports made up interval by interval."""

import pytest
from msgspec.structs import replace

from agent.load.rules import capacity as capacity_rules
from tests.wire.udpstp.simulation import SERVER, World
from wire.records import Algorithm, Bound, Direction, Failure, LineCounters
from wire.udpstp.load import Ending, LoadInterval, LoadReport, Plan, Search, SentInterval
from wire.udpstp.reception import Limits

BOTH = pytest.mark.parametrize("direction", list(Direction))
MS50 = 50_000


def interval(
    index: int, mbit: float, *, delay_ms: float = 0.0, lost: int = 0, duplicated: int = 0
) -> LoadInterval:
    packets = round(mbit * 1e6 * 0.05 / 8 / 500)
    return LoadInterval(
        offset_us=index * MS50,
        duration_us=MS50,
        datagrams=packets,
        ip_bytes=packets * 500,
        lost=lost,
        reordered=0,
        duplicated=duplicated,
        delay_mean_us=delay_ms * 1000 if packets else None,
        delay_min_us=delay_ms * 1000 if packets else None,
        delay_max_us=delay_ms * 1000 if packets else None,
    )


def report(intervals: list[LoadInterval], direction: Direction = Direction.DOWN) -> LoadReport:
    packets = sum(one.datagrams for one in intervals)
    return LoadReport(
        session="1-1",
        direction=direction,
        row=1000,
        planned_bps=1_000_000_000,
        planned_duration_us=len(intervals) * MS50,
        planned_packets=0,
        ending=Ending.COMPLETED,
        received_packets=packets,
        received_ip_bytes=packets * 500,
        sent_packets=packets,
        algorithm=Algorithm.B,
        intervals=tuple(intervals),
    )


def series(*parts: tuple[int, float, float]) -> list[LoadInterval]:
    """Parts of so many intervals at a rate in Mbit/s with a delay in ms, and the last interval, not whole."""
    told = [(mbit, delay) for count, mbit, delay in parts for _ in range(count)] + [(1.0, 0.0)]
    return [interval(index, mbit, delay_ms=delay) for index, (mbit, delay) in enumerate(told)]


def test_equal_sub_intervals_and_the_maximum_with_its_time_and_loss() -> None:
    intervals = series((20, 10, 0), (20, 40, 0), (20, 20, 0), (10, 80, 0))
    intervals[25] = interval(25, 40, lost=100)
    values = capacity_rules.values(report(intervals), LineCounters.NONE)
    assert [one.received_bps for one in values.intervals] == [10e6, 40e6, 20e6]
    assert [one.offset_us for one in values.intervals] == [0, 1_000_000, 2_000_000]
    assert (values.maximum_bps, values.maximum_at_us, values.interval_us) == (40e6, 1_000_000, 1_000_000)
    assert values.maximum_loss_ratio == pytest.approx(100 / (20 * 500 + 100))
    assert values.algorithm is Algorithm.B


def test_duplicates_count_once() -> None:
    intervals = [interval(index, 40, duplicated=250) for index in range(21)]
    assert capacity_rules.maximum(intervals).received_bps == pytest.approx(20e6)


def test_a_hole_in_the_series_begins_a_new_sub_interval() -> None:
    intervals = [interval(index, 40) for index in range(61) if index != 30]
    found = capacity_rules.sub_intervals(intervals)
    assert [one.offset_us for one in found] == [0, 31 * MS50]


def test_nothing_is_cut_out_of_the_time() -> None:
    """A foreign peer swings to the end: what its best second delivered is the answer."""
    swing = [(12, 4.0, 50.0), (4, 2.6, 0.0)]
    intervals = series(*(swing * 12))
    best = max(one.received_bps for one in capacity_rules.sub_intervals(intervals))
    assert capacity_rules.maximum(intervals).received_bps == best < 3.9e6


def test_arrivals_in_bursts_are_no_faster_line() -> None:
    """Radio that delivers 26 Mbit/s for 0.2 s and less for as long: 20 in each second."""
    intervals = series(*([(5, 26.0, 30.0), (5, 14.0, 30.0)] * 8))
    assert capacity_rules.maximum(intervals).received_bps == pytest.approx(20e6)


@pytest.mark.parametrize("loss", [0.01, 0.02])
def test_loss_that_does_not_grow_with_the_rate_is_no_full_line(loss: float) -> None:
    lossy = [replace(one, lost=round(one.datagrams * loss)) for one in climbing(300, steps=100)]
    assert capacity_rules.bound(report(lossy)) is Bound.TIME


def test_a_line_that_hides_behind_a_bucket_keeps_its_plain_maximum() -> None:
    values = capacity_rules.values(report(series((20, 50, 0), (60, 6, 80))), LineCounters.NONE)
    assert values.maximum_bps == 50e6
    assert values.bound is not None


def climbing(last: float, steps: int = 60) -> list[LoadInterval]:
    return [interval(index, last - (steps - index)) for index in range(steps + 1)]


def test_a_climb_that_time_ended_is_a_lower_bound() -> None:
    assert capacity_rules.bound(report(climbing(100))) is Bound.TIME


def test_a_climb_that_its_bytes_ended_is_a_lower_bound() -> None:
    assert capacity_rules.bound(replace(report(climbing(100)), bytes_spent=True)) is Bound.BUDGET


def test_the_requested_rate_is_a_bound_before_all_others() -> None:
    asked = replace(report(series((60, 20, 50))), planned_bps=20_000_000)
    assert capacity_rules.bound(asked) is Bound.REQUESTED_RATE


@pytest.mark.parametrize(("mbit", "limit"), [(40.0, Bound.PEER), (40.5, Bound.SENDER)])
def test_down_a_plateau_without_congestion_is_the_peers_row_or_a_slow_sender(
    mbit: float, limit: Bound
) -> None:
    assert capacity_rules.bound(report(series((20, 20, 0), (60, mbit, 0)))) is limit


def test_a_rate_that_swings_about_a_row_is_no_cap() -> None:
    swinging = series((20, 20, 0), *[(1, 30, 0), (1, 50, 0)] * 30)
    assert capacity_rules.bound(report(swinging)) is Bound.SENDER


def up(requested_bps: float, sent_bps: float, **changes: int) -> LoadReport:
    sent = tuple(
        SentInterval(
            offset_us=index * MS50,
            duration_us=MS50,
            requested_bps=requested_bps,
            ip_bytes=round(sent_bps / 160),
        )
        for index in range(60)
    )
    found = replace(report(series((60, sent_bps / 1e6, 0)), Direction.UP), sent_intervals=sent)
    return replace(found, **changes)  # type: ignore[arg-type]


def test_up_the_requested_rate_distinguishes_a_cap_from_a_slow_sender() -> None:
    assert capacity_rules.bound(up(40e6, 40e6)) is Bound.PEER
    assert capacity_rules.bound(up(60e6, 40e6)) is Bound.SENDER


def test_losses_that_do_not_cap_are_no_full_line() -> None:
    """A host that drops in bursts loses at many rates; a policer at one."""
    bursts = climbing(100)
    for index in range(0, 60, 4):
        bursts[index] = replace(bursts[index], lost=50)
    assert capacity_rules.bound(report(bursts)) is Bound.TIME
    policed = series((10, 20, 0), (60, 40, 0))
    policed = [replace(one, lost=30) if one.offset_us > 500_000 else one for one in policed]
    assert capacity_rules.bound(report(policed)) is None
    assert capacity_rules.bound(replace(report(policed), stall_us=200_000)) is Bound.SENDER


@pytest.mark.parametrize(("changes", "failure"), [
    ({}, None), ({"wall_step_us": 6_000}, Failure.CLOCK_STEPPED),
    ({"receiver_drops": 1_000}, Failure.RECEIVER_SLOW),
    ({"intervals": ()}, Failure.CONNECTION_LOST),
    ({"intervals": (), "bytes_spent": True}, Failure.BUDGET_SPENT),
])  # fmt: skip
def test_what_the_instrument_spoilt(changes: dict[str, int], failure: Failure | None) -> None:
    spoilt = replace(report(series((40, 20, 0))), **changes)  # type: ignore[arg-type]
    assert capacity_rules.why_invalid(spoilt) is failure


@pytest.mark.parametrize(
    ("direction", "algorithm", "mbit", "queue_ms"),
    [(Direction.DOWN, Algorithm.B, 4, 500), (Direction.UP, Algorithm.C, 8.4, 60)],
)
def test_whole_searches_over_a_line(
    direction: Direction, algorithm: Algorithm, mbit: float, queue_ms: float
) -> None:
    world = World()
    way = world.up if direction is Direction.UP else world.down
    way.rate, way.queue_ms = mbit * 1e6, queue_ms
    plan = Plan(
        address=SERVER, ident=7, key_id=7, secret=b"secret", direction=direction, row=50, duration_s=5,
        search=Search(algorithm=algorithm), packet_bytes=1250,
    )  # fmt: skip
    found = world.run(plan)
    assert capacity_rules.is_usable(found)
    assert capacity_rules.why_invalid(found) is None
    values = capacity_rules.values(found, LineCounters.INLINE, other_bps=1.0)
    assert values.maximum_bps == pytest.approx(mbit * 1e6, rel=0.01)
    assert values.bound is None
    assert (values.line_counters, values.other_traffic_bps) == (LineCounters.INLINE, 1.0)


@BOTH
def test_a_whole_search_that_the_peer_caps(direction: Direction) -> None:
    plan = Plan(
        address=SERVER, ident=7, key_id=7, secret=b"secret", direction=direction, row=40, duration_s=3,
        search=Search(),
    )  # fmt: skip
    found = World(limits=Limits(highest_row=30)).run(plan)
    values = capacity_rules.values(found, LineCounters.NONE)
    assert values.maximum_bps == pytest.approx(30e6, rel=0.01)
    assert values.bound is Bound.PEER
