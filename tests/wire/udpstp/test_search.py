"""Searches for the capacity in simulated time, in both directions, beside the rate of the link."""

import pytest
from msgspec.structs import replace

from tests.wire.udpstp.simulation import MS, WALL, S, Way, World, plan_for
from wire.records import Algorithm, Direction
from wire.udpstp import pdu, rates
from wire.udpstp.client import Client
from wire.udpstp.load import Ending, LoadReport, Plan, Search
from wire.udpstp.reception import Limits
from wire.udpstp.server import ServerOutcome

BOTH = pytest.mark.parametrize("direction", list(Direction))


def plan(direction: Direction, search: Search | None = None, *, row: int = 50, seconds: int = 4) -> Plan:
    return plan_for(direction, row=row, seconds=seconds, search=search or Search())


def best_second_bps(report: LoadReport) -> float:
    """Highest rate of twenty consecutive intervals."""
    intervals = report.intervals[:-1]
    windows = [intervals[begin : begin + 20] for begin in range(max(len(intervals) - 19, 1))]
    return max(
        sum(one.ip_bytes for one in window) * 8e6 / sum(one.duration_us for one in window)
        for window in windows
    )


@pytest.mark.parametrize(
    ("direction", "algorithm", "rate"),
    [(Direction.UP, Algorithm.B, 8.4e6), (Direction.DOWN, Algorithm.C, 4e6)],
)
def test_a_search_finds_the_rate_of_the_line(direction: Direction, algorithm: Algorithm, rate: float) -> None:
    world = World()
    world.way(direction).rate = rate
    report = world.run(plan(direction, Search(algorithm=algorithm)))
    assert (report.ending, report.detail, report.algorithm) == (Ending.COMPLETED, "", algorithm)
    assert (report.row, report.planned_bps, report.planned_packets) == (50, 50_000_000, 0)
    assert best_second_bps(report) == pytest.approx(rate, rel=0.01)
    assert report.backoff_steps == 0
    assert (world.test.outcome, world.test.searches) == (ServerOutcome.COMPLETED, True)


@BOTH
def test_a_short_queue_that_drops_is_found_as_well(direction: Direction) -> None:
    world = World()
    way = world.way(direction)
    way.rate, way.queue_ms = 6e6, 10
    report = world.run(plan(direction, seconds=3))
    assert report.lost > 0
    assert best_second_bps(report) == pytest.approx(6e6, rel=0.02)


@BOTH
@pytest.mark.parametrize(("limits", "asked", "reached"), [
    (Limits(highest_row=15), 50, 15), (Limits(), 25, 25),
])  # fmt: skip
def test_no_search_climbs_above_the_row_asked_for_or_served(
    direction: Direction, limits: Limits, asked: int, reached: int
) -> None:
    world = World(limits=limits)
    report = world.run(plan(direction, row=asked, seconds=2))
    assert report.ending is Ending.COMPLETED
    assert best_second_bps(report) == pytest.approx(reached * 1e6, rel=0.01)
    assert max(one.ip_bytes * 8e6 / one.duration_us for one in report.intervals[1:-1]) < reached * 1.05e6
    assert report.received_packets == report.sent_packets


@BOTH
def test_a_higher_start_of_a_search_is_lowered_to_the_highest_row_served(direction: Direction) -> None:
    report = World().run(plan(direction, Search(start_row=40), seconds=2))
    assert report.ending is Ending.COMPLETED
    assert report.received_bps > 40e6
    report = World(limits=Limits(highest_row=8)).run(plan(direction, Search(start_row=40), seconds=2))
    assert report.ending is Ending.COMPLETED
    assert best_second_bps(report) == pytest.approx(8e6, rel=0.01)


def test_up_the_report_has_the_sender_interval_by_interval() -> None:
    report = World().run(plan(Direction.UP, seconds=2))
    sent = report.sent_intervals
    assert len(sent) == pytest.approx(38, abs=3)
    assert sent[-1].requested_bps == 50e6
    for one in sent[-10:]:
        assert one.ip_bytes * 8e6 / one.duration_us == pytest.approx(one.requested_bps, rel=0.1)
    requested = [one.requested_bps for one in sent]
    assert requested == sorted(requested)
    ends = [one.offset_us + one.duration_us for one in sent]
    assert ends[:-1] == pytest.approx([one.offset_us for one in sent[1:]], abs=1)


@BOTH
@pytest.mark.parametrize(("limit", "least"), [(200_000, 10_000), (2_000_000, 1_100_000)])
def test_a_search_ends_before_its_bytes_are_exceeded(direction: Direction, limit: int, least: int) -> None:
    world = World()
    world.way(direction).rate = 20e6
    report = world.run(plan(direction, Search(byte_limit=limit), seconds=10))
    assert (report.ending, report.bytes_spent) == (Ending.STOPPED, True)
    spent = report.bytes_sent + report.bytes_received
    assert least < spent <= limit
    assert world.test.outcome is ServerOutcome.STOPPED_BY_CLIENT


@pytest.mark.parametrize(("algorithm", "delay_ms"), [(Algorithm.B, 75), (Algorithm.C, 300)])
def test_packets_after_a_stop_count_and_the_stop_is_early_enough(algorithm: Algorithm, delay_ms: int) -> None:
    world = World(up=Way(delay_ms=delay_ms), down=Way(delay_ms=delay_ms))
    search = Search(algorithm=algorithm, byte_limit=10_000_000)
    report = world.run(plan(Direction.DOWN, search, row=400, seconds=10))
    assert report.bytes_spent
    assert world.up.carried + world.down.carried == report.bytes_sent + report.bytes_received
    assert report.bytes_sent + report.bytes_received <= 10_000_000


def test_a_cancel_ends_the_counting_after_a_stop() -> None:
    world = World(up=Way(drops=lambda packet, _: packet[:3] == b"\xfe\xed\x02"))
    search = Search(byte_limit=2_000_000)
    report = world.run(plan(Direction.DOWN, search, row=10, seconds=10), cancel_at=2000 * MS)
    assert report.bytes_spent
    assert report.intervals[-1].offset_us < 2_200_000


def test_up_packets_in_flight_at_the_byte_limit_are_no_loss() -> None:
    world = World(up=Way(delay_ms=150, rate=20e6))
    report = world.run(plan(Direction.UP, Search(byte_limit=5_000_000), row=10, seconds=10))
    assert report.bytes_spent
    assert (report.lost, report.received_packets) == (0, report.sent_packets)
    assert world.test.outcome is ServerOutcome.STOPPED_BY_CLIENT


@BOTH
def test_a_sender_without_feedback_lowers_its_rate(direction: Direction) -> None:
    world = World()
    other = world.down if direction is Direction.UP else world.up
    other.drops = lambda packet, now: packet[:2] == b"\xfe\xed" and now > S
    report = world.run(plan(direction, Search(start_row=50), seconds=3))
    early = [one for one in report.intervals if 400_000 < one.offset_us < 900_000]
    assert min(one.ip_bytes for one in early) > 300_000
    if direction is Direction.UP:
        assert report.backoff_steps > 10
        assert report.sent_packets < 5000 * 1.4 + 1000 * 1.7
    else:
        late = [one for one in report.intervals if one.offset_us > 2_000_000]
        assert max(one.ip_bytes for one in late) < 50_000


def test_a_forged_status_cannot_raise_the_rate_above_the_one_asked_for() -> None:
    world = World()

    def forged(packet: bytes) -> bytes:
        status = pdu.parse_status(packet)
        return replace(status, rate=rates.sending_rate(900)).pack() if status else packet

    world.alter(forged)
    report = world.run(plan(Direction.UP, row=10, seconds=1))
    assert max(one.requested_bps for one in report.sent_intervals) == 10e6
    assert report.sent_bps < 10.1e6


@pytest.mark.parametrize(("direction", "begins"), [
    (Direction.UP, rates.sending_rate(5)), (Direction.DOWN, pdu.OFF),
])  # fmt: skip
def test_the_response_has_a_first_rate_in_the_direction_up_only(
    direction: Direction, begins: pdu.SendingRate
) -> None:
    world = World()
    sent: list[bytes] = []
    world.alter(lambda packet: sent.append(packet) or packet)
    world.run(plan(direction, Search(start_row=5), seconds=1))
    answers = [answer for packet in sent if (answer := pdu.parse_activation(packet))]
    assert [(one.rate, one.row, one.modifiers) for one in answers] == [(begins, 5, 1)]


@pytest.mark.parametrize(("walls", "step_us"), [
    ([0, 0, 9 * MS, 0, 8 * MS, 0], 0), ([0, 0, 7 * MS, 7 * MS, 8 * MS], 7_000),
    ([0, -6 * MS, -6 * MS], 6_000),
])  # fmt: skip
def test_a_clock_step_is_reported_and_a_delay_between_readings_is_not(walls: list[int], step_us: int) -> None:
    client = Client(plan(Direction.DOWN), 0, WALL)
    for now, wall in enumerate(walls):
        client.transmit(bytearray(2000), now * MS, WALL + now * MS + wall)
    assert client.report().wall_step_us == step_us
