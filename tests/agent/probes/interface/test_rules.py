import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.line.counters import NoSource
from agent.line.readings import CounterReading, Unavailable
from agent.probes.interface.rules import LineTally, next_boundary, next_reading
from wire.records import InterfaceValues, LineCounters

SECOND = 1_000_000
EVERY = 10 * SECOND


class Source(NoSource):
    kind = LineCounters.INLINE
    interface = "wan0"


def values(tally: LineTally) -> InterfaceValues:
    told = tally.cut().values(Source(), EVERY)
    assert isinstance(told, InterfaceValues)
    return told


def why_not(tally: LineTally) -> str:
    told = tally.cut().values(Source(), EVERY)
    assert isinstance(told, Unavailable)
    return told.detail


def test_rates_are_of_the_ip_layer_and_the_peak_is_of_one_stretch() -> None:
    tally = LineTally(EVERY)
    tally.add(CounterReading(0, 0, 0, 0), 0)
    tally.add(CounterReading(1_514_000, 1000, 54_000, 1000), 10 * SECOND)
    tally.add(CounterReading(1_514_000, 1000, 108_000, 2000, speed_bps=1e8), 30 * SECOND)
    told = values(tally)
    assert (told.source, told.interface, told.readings) == (LineCounters.INLINE, "wan0", 3)
    assert (told.span_us, told.end_boot_us, told.reading_us) == (30 * SECOND, 30 * SECOND, EVERY)
    assert (told.down.ip_bytes, told.down.packets) == (1_500_000, 1000)
    assert told.down.mean_bps == pytest.approx(400_000)
    assert told.down.peak_bps == pytest.approx(1_200_000)
    assert (told.up.mean_bps, told.up.peak_bps) == (pytest.approx(80_000 * 8 / 30), pytest.approx(32_000))
    assert told.speed_bps == 1e8


def test_one_record_begins_where_the_one_before_ended() -> None:
    tally = LineTally(EVERY)
    tally.add(CounterReading(0, 0, 0, 0, frame_bytes=0), 0)
    tally.add(CounterReading(100, 1, 0, 0, frame_bytes=0), 10 * SECOND)
    first = values(tally)
    tally.add(CounterReading(250, 2, 0, 0, frame_bytes=0), 20 * SECOND)
    second = values(tally)
    assert (first.down.ip_bytes, second.down.ip_bytes) == (100, 150)
    assert second.end_boot_us - second.span_us == first.end_boot_us


def test_a_reading_that_failed_leaves_no_hole() -> None:
    tally = LineTally(EVERY)
    tally.add(CounterReading(0, 0, 0, 0, frame_bytes=0), 0)
    tally.add(Unavailable("no answer"), 10 * SECOND)
    tally.add(CounterReading(500, 1, 0, 0, frame_bytes=0), 20 * SECOND)
    told = values(tally)
    assert (told.down.ip_bytes, told.span_us, told.readings) == (500, 20 * SECOND, 2)


def test_what_lies_around_a_reset_is_not_counted() -> None:
    tally = LineTally(EVERY)
    tally.add(CounterReading(9_000, 9, 9_000, 9, frame_bytes=0), 0)
    tally.add(CounterReading(50, 1, 50, 1, frame_bytes=0), 10 * SECOND)
    tally.add(CounterReading(150, 2, 50, 1, frame_bytes=0), 20 * SECOND)
    told = values(tally)
    assert (told.resets, told.down.ip_bytes, told.span_us) == (1, 100, 10 * SECOND)


def test_errors_drops_and_losses_are_summed_where_they_are_known() -> None:
    tally = LineTally(EVERY)
    tally.add(CounterReading(0, 0, 0, 0, 1, 1, 1, None, carrier_losses=3), 0)
    tally.add(CounterReading(0, 0, 0, 0, 2, 1, 4, None, carrier_losses=5, carrier=True), 10 * SECOND)
    tally.add(CounterReading(0, 0, 0, 0, 2, 3, 4, None, carrier_losses=5, carrier=False), 20 * SECOND)
    told = values(tally)
    assert (told.down.errors, told.down.drops, told.up.errors, told.up.drops) == (1, 2, 3, None)
    assert (told.carrier, told.carrier_losses) == (False, 2)


def test_losses_that_are_not_counted_are_those_seen() -> None:
    tally = LineTally(EVERY)
    for second, carrier in ((0, True), (10, False), (20, False), (30, True), (40, False)):
        tally.add(CounterReading(0, 0, 0, 0, carrier=carrier), second * SECOND)
    assert values(tally).carrier_losses == 2


def test_a_moment_between_two_readings_makes_no_peak() -> None:
    tally = LineTally(EVERY)
    tally.add(CounterReading(0, 0, 0, 0, frame_bytes=0), 0)
    tally.add(CounterReading(1000, 1, 0, 0, frame_bytes=0), 10 * SECOND)
    tally.add(CounterReading(2000, 2, 0, 0, frame_bytes=0), 11 * SECOND)
    told = values(tally)
    assert told.down.peak_bps == pytest.approx(told.down.mean_bps)


def test_counters_that_lag_never_show_a_peak_that_was_not_there() -> None:
    """1 Mbit/s throughout, but of the second reading 3 s are told with the third."""
    tally = LineTally(EVERY, lag_us=5 * SECOND)
    for second, counted_s in ((0, 0), (10, 7), (20, 20), (30, 27)):
        tally.add(CounterReading(counted_s * 125_000, 0, 0, 0), second * SECOND)
    told = values(tally)
    assert told.down.mean_bps == pytest.approx(900_000)
    assert told.down.mean_bps <= told.down.peak_bps <= 1_000_000


def test_without_two_readings_the_reason_is_reported() -> None:
    tally = LineTally(EVERY)
    assert why_not(tally) == "the line's counters were not read twice yet"
    tally.add(CounterReading(5, 5, 5, 5), 0)
    tally.add(Unavailable("no interface wan0 here"), 10 * SECOND)
    assert why_not(tally) == "no interface wan0 here"
    tally.add(CounterReading(4, 4, 4, 4), 20 * SECOND)
    assert why_not(tally) == "a counter of the line went back: the interface was set up again"


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**6), st.booleans()), min_size=1))
def test_however_records_are_cut_they_add_up_to_what_was_counted(steps: list[tuple[int, int, bool]]) -> None:
    tally, now, octets, packets, told = LineTally(EVERY), 0, 0, 0, []
    tally.add(CounterReading(0, 0, 0, 0), 0)
    for more, lapse, cut in steps:
        octets, packets, now = octets + more + 14, packets + 1, now + lapse + 1
        tally.add(CounterReading(octets, packets, 0, 0), now)
        if cut:
            told.append(values(tally))
    tally.add(CounterReading(octets, packets, 0, 0), now + 1)
    told.append(values(tally))
    assert sum(record.down.ip_bytes for record in told) == octets - 14 * packets
    assert sum(record.span_us for record in told) == now + 1
    assert all(record.down.peak_bps >= record.down.mean_bps for record in told)


@pytest.mark.parametrize(
    ("now", "expected"), [(0, 10), (10, 20), (40, 50), (45, 55), (50, 60), (55, 60), (46, 60)]
)
def test_readings_meet_the_boundary_without_a_short_stretch_before_it(now: int, expected: int) -> None:
    assert next_reading(now * SECOND, 60 * SECOND, EVERY) == expected * SECOND


@pytest.mark.parametrize(("now", "expected"), [(59, 60), (60, 120), (61, 120), (600, 660), (659, 660)])
def test_boundaries_that_were_slept_through_are_over(now: int, expected: int) -> None:
    assert next_boundary(now, 60, 60) == expected
