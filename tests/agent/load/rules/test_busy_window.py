"""Windows in which a queue never emptied, by value."""

import pytest
from msgspec.structs import replace

from agent.load.rules import busy_window, own_traffic
from agent.load.rules.busy_window import AlignedMark, OwnArrivals
from agent.load.rules.own_traffic import OwnTraffic
from lab.links.line import LineSettings
from tests.agent.load import fixed_rate
from wire.records import Direction
from wire.udpstp.load import LoadInterval

SIZE = 1000
PACKETS = 40


def series(count: int = 30, delay_us: float = 50_000, lost: int = 0, growing: int = 3) -> list[LoadInterval]:
    return [
        LoadInterval(
            offset_us=50_000 * index, duration_us=50_000, datagrams=PACKETS, ip_bytes=PACKETS * SIZE,
            lost=lost, reordered=0, duplicated=0, delay_mean_us=delay_us, delay_min_us=delay_us,
            delay_max_us=delay_us + 1000 * index * growing,
        )
        for index in range(count)
    ]  # fmt: skip


def marks(
    intervals: list[LoadInterval], others: float = 2e6, packet: int = 1200, *, sent: bool = False
) -> list[AlignedMark]:
    """Every 100 ms; others' bit/s in packets of some bytes."""
    found = []
    for tenth in range(1, len(intervals) // 2):
        inside = intervals[: 2 * tenth]
        own = sum(one.ip_bytes + (one.lost * SIZE if sent else 0) for one in inside)
        other = round(others / 80 * tenth)
        found.append(
            AlignedMark(
                100_000 * tenth, tenth / 10, own + other, own // SIZE + other // packet, own, own / SIZE
            )
        )
    return found


def test_down_all_that_arrived_in_the_window_is_the_capacity() -> None:
    intervals = series()
    window = busy_window.down_window(marks(intervals), OwnArrivals(intervals, SIZE), 10_000)
    assert window is not None
    assert window.share_bps == pytest.approx(6.4e6)
    assert (window.least_other_bps, window.most_other_bps) == pytest.approx((2e6, 2e6))
    assert window.lasted_us == pytest.approx(1_300_000)


def test_a_queue_that_emptied_cuts_the_window() -> None:
    intervals = series()
    intervals[15] = replace(intervals[15], delay_min_us=9_000.0)
    assert busy_window.down_window(marks(intervals), OwnArrivals(intervals, SIZE), 10_000) is None
    intervals = series(60)
    intervals[15] = replace(intervals[15], delay_min_us=9_000.0)
    window = busy_window.down_window(marks(intervals), OwnArrivals(intervals, SIZE), 10_000)
    assert window is not None
    assert window.lasted_us == pytest.approx(2_000_000, abs=200_000)


@pytest.mark.parametrize("empty", [None, 0.0])
def test_an_interval_without_a_delay_is_no_standing_queue(empty: float | None) -> None:
    intervals = [replace(one, delay_min_us=empty) for one in series()]
    assert busy_window.down_window(marks(intervals), OwnArrivals(intervals, SIZE), 10_000) is None
    assert busy_window.up_window(marks(intervals), OwnArrivals(intervals, SIZE), 10_000) is None


def test_counters_that_are_renewed_once_a_second_make_no_window() -> None:
    intervals = series(60)
    lazy = [
        AlignedMark(
            one.series_us,
            one.at_s,
            1_050_000 * int(one.at_s),
            one.line_packets,
            one.own_bytes,
            one.own_packets,
        )
        for one in marks(intervals)
    ]
    assert busy_window.down_window(lazy, OwnArrivals(intervals, SIZE), 10_000) is None


@pytest.mark.parametrize("down", [True, False])
def test_packets_counted_before_they_were_cut_leave_a_span(down: bool) -> None:
    intervals = series()
    find = busy_window.down_window if down else busy_window.up_window
    window = find(marks(intervals, packet=9000), OwnArrivals(intervals, SIZE), 10_000)
    assert window is not None
    assert window.least_other_bps == pytest.approx(2e6)
    assert window.most_other_bps == pytest.approx(2.1e6)


def test_up_what_was_offered_left_unless_something_was_lost() -> None:
    intervals = series()
    window = busy_window.up_window(marks(intervals, sent=True), OwnArrivals(intervals, SIZE), 10_000)
    assert window is not None
    assert window.lasted_us >= 1_200_000
    assert window.share_bps == pytest.approx(6.4e6)
    assert window.least_other_bps == window.most_other_bps == pytest.approx(2e6)
    intervals = series(lost=4)
    window = busy_window.up_window(marks(intervals, sent=True), OwnArrivals(intervals, SIZE), 10_000)
    assert window is not None
    assert window.share_bps == pytest.approx(6.4e6)
    assert window.least_other_bps == 0
    assert window.most_other_bps == pytest.approx(2e6)


def test_up_a_queue_that_may_be_full_may_have_refused_others_only() -> None:
    intervals = series(growing=0)
    window = busy_window.up_window(marks(intervals, sent=True), OwnArrivals(intervals, SIZE), 10_000)
    assert window is not None
    assert (window.least_other_bps, window.most_other_bps) == pytest.approx((0.0, 2e6))


def test_a_series_with_a_gap_places_no_mark() -> None:
    intervals = series()
    assert OwnArrivals(intervals, SIZE).whole
    assert not OwnArrivals(intervals[:10] + intervals[12:], SIZE).whole
    assert not OwnArrivals([], SIZE).whole


def test_a_byte_has_its_moment_only_if_it_arrived() -> None:
    arrived = OwnArrivals(series(4, lost=10), SIZE)
    assert arrived.when(60 * SIZE, sent=False) == pytest.approx(75_000)
    assert arrived.when(75 * SIZE, sent=True) == pytest.approx(75_000)
    assert arrived.when(0, sent=True) is None
    assert arrived.when(161 * SIZE, sent=False) is None


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("rate", [7.2e6, 8.4e6])
@pytest.mark.parametrize("burst", [1, 12])
def test_on_an_exact_line_the_capacity_lies_within_the_window(
    rate: float, burst: int, direction: Direction
) -> None:
    line = LineSettings(rate=round(rate), queue=100_000, delay=10_000_000)
    for other in (1e6, 3e6, 6e6):
        _, own = fixed_rate.run(line, 8e6, 2, direction, other, burst)
        assert isinstance(own, OwnTraffic)
        assert own.window is not None
        least, most = (
            own.window.share_bps + bps for bps in (own.window.least_other_bps, own.window.most_other_bps)
        )
        assert least <= 1.01 * rate
        assert most >= 0.99 * rate
        if direction is Direction.DOWN:
            assert least == pytest.approx(rate, rel=0.005)


def test_a_sender_pause_longer_than_the_queue_makes_no_window() -> None:
    report, _ = fixed_rate.run(LineSettings(rate=7_600_000, queue=50_000), other_bps=3e6)
    marks = fixed_rate.marks_of(LineSettings(rate=7_600_000, queue=50_000), other_bps=3e6)
    assert own_traffic.busy(marks, report, report.intervals) is not None
    paused = replace(report, longest_gap_us=60_000)
    assert own_traffic.busy(marks, paused, report.intervals) is None
