"""Own traffic of the site, from marks beside a load."""

import pytest
from msgspec import structs
from msgspec.structs import replace

from agent.line.readings import CounterReading, Unavailable
from agent.load.rules import own_traffic
from agent.load.rules.own_traffic import CounterMark, OwnTraffic
from lab.links.line import LineSettings
from tests.agent.load import fixed_rate
from wire.records import Direction
from wire.udpstp.load import LoadReport, LoadSoFar

FLOOR = 8e6
BOTH = pytest.mark.parametrize("direction", list(Direction))


def marks(
    seconds: float, other: list[float], own_bps: float = 7e6, delay_us: int = 0, lost: float = 0.0
) -> list[CounterMark]:
    """Every 100 ms; ``other`` bit/s in each of as many equal parts."""
    found, line, own = [], 0.0, 1000.0
    steps = round(seconds * 10)
    for step in range(steps + 1):
        counted = CounterReading(round(line + own), 0, round(line + own), 0)
        packets = round(own / 1000)
        so_far = LoadSoFar(round(own), packets, round(lost * packets), delay_us)
        found.append(CounterMark(step / 10, counted, so_far))
        line += other[min(step * len(other) // steps, len(other) - 1)] / 80
        own += own_bps / 80
    return found


def report(direction: Direction = Direction.DOWN, rate: int = 7_600_000, queue: int = 100_000) -> LoadReport:
    return fixed_rate.run(LineSettings(rate=rate, queue=queue), direction=direction)[0]


def test_down_all_that_arrived_is_counted() -> None:
    own = own_traffic.between(marks(2, [1e6], own_bps=7.6e6), report())
    assert isinstance(own, OwnTraffic)
    assert own.total_bps == pytest.approx(8.6e6, rel=0.001)
    assert own.bps == pytest.approx(1e6, rel=0.01)
    assert own.most_bps is None


def test_up_in_a_queue_without_loss_it_shares_the_tests_fate() -> None:
    own = own_traffic.between(marks(2, [1e6], own_bps=8e6), report(Direction.UP))
    assert isinstance(own, OwnTraffic)
    assert own.bps == pytest.approx(1e6 * 7.6 / 8, rel=0.01)
    assert (own.most_bps, own.total_bps) == (None, None)


def test_up_beside_losses_it_is_at_most_what_was_offered() -> None:
    own = own_traffic.between(marks(2, [1e6], own_bps=8e6), report(Direction.UP, 6_000_000, 10_000))
    assert isinstance(own, OwnTraffic)
    assert own.most_bps == pytest.approx(1e6, rel=0.001)
    assert own.bps == pytest.approx(1e6 * 6 / 8, rel=0.02)


def test_traffic_before_the_load_does_not_count() -> None:
    idle = [CounterMark(at / 10, CounterReading(at * 1_000_000, 0, 0, 0), LoadSoFar()) for at in range(-5, 0)]
    began = [
        CounterMark(mark.at_s, CounterReading(mark.counters.received_bytes + 5_000_000, 0, 0, 0), mark.so_far)
        for mark in marks(2, [0.0], own_bps=7.6e6)
        if isinstance(mark.counters, CounterReading)
    ]
    own = own_traffic.between([*idle, *began], report())
    assert isinstance(own, OwnTraffic)
    assert own.total_bps == pytest.approx(7.6e6, rel=0.001)


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_too_short_a_span_is_unavailable(seconds: float) -> None:
    assert isinstance(own_traffic.between(marks(seconds, [0.0]) if seconds else [], report()), Unavailable)


def test_counters_that_cannot_be_read_say_why() -> None:
    gone = [CounterMark(mark.at_s, Unavailable("gone"), mark.so_far) for mark in marks(2, [0.0])]
    assert own_traffic.between(gone, report()) == Unavailable("gone")
    assert not own_traffic.should_give_way(gone, Direction.DOWN, FLOOR)


@BOTH
@pytest.mark.parametrize(
    ("seconds", "other", "delay_us", "lost", "gives_way"),
    [
        (1.4, [1e6], 60_000, 0.0, True),
        (1.4, [1e6], 0, 0.05, True),
        (1.4, [1e6, 0.0, 0.0], 60_000, 0.0, True),  # starved by the test
        (1.4, [1e6], 20_000, 0.01, False),  # the line carries both
        (1.4, [0.2e6], 60_000, 0.0, False),  # hardly anybody there
        (1.2, [1e6], 60_000, 0.0, False),  # not enough seen
    ],
)
def test_a_test_gives_way_where_it_congests_a_line_in_use(
    seconds: float, other: list[float], delay_us: int, lost: float, gives_way: bool, direction: Direction
) -> None:
    seen = marks(seconds, other, delay_us=delay_us, lost=lost)
    assert own_traffic.should_give_way(seen, direction, FLOOR) is gives_way


@BOTH
@pytest.mark.parametrize("late", [-1, 5])
def test_own_bytes_that_are_counted_late_once_are_no_other_traffic(late: int, direction: Direction) -> None:
    seen = marks(1.4, [0.0], delay_us=60_000)
    mark = seen[late]
    missing = replace(mark.so_far, line_bytes=mark.so_far.line_bytes - 60_000)
    seen[late] = structs.replace(mark, so_far=missing)
    assert not own_traffic.should_give_way(seen, direction, FLOOR)
