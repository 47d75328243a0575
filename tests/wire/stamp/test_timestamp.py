import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wire.records import ClockReading
from wire.stamp.timestamp import ErrorEstimate, to_ntp, to_unix_ns

NTP = ErrorEstimate()


def test_a_known_moment():
    assert to_ntp(1_775_000_000_500_000_000) == 0xED76D84080000000
    assert to_unix_ns(0xED76D84080000000, NTP) == 1_775_000_000_500_000_000


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_nanoseconds_survive_the_wire(unix_ns):
    assert to_unix_ns(to_ntp(unix_ns), NTP) == unix_ns


def test_the_era_after_2036_is_read():
    in_2040 = 2_208_988_800 * 10**9
    assert to_ntp(in_2040) >> 32 == 2 * 2_208_988_800 - 2**32
    assert to_unix_ns(to_ntp(in_2040), NTP) == in_2040


def test_ptp_words_count_nanoseconds():
    word = 1_775_000_000 << 32 | 999_999_999
    assert to_unix_ns(word, ErrorEstimate(ptp=True)) == 1_775_000_000_999_999_999


@given(st.integers(0, 0xFFFF))
def test_every_error_estimate_field_survives(field):
    assert ErrorEstimate.from_field(field).field == field


@pytest.mark.parametrize(
    ("field", "seconds", "synchronised"),
    [(0x9004, 61.04e-6, True), (0x8001, 2**-32, True), (0x0001, 2**-32, False)],
)
def test_known_error_estimates(field, seconds, synchronised):
    estimate = ErrorEstimate.from_field(field)
    assert estimate.seconds == pytest.approx(seconds, rel=1e-3)
    assert estimate.synchronised is synchronised


@example(0x1FF / 2**32, True)  # rounding up needs one more bit
@given(st.floats(0, 1e9), st.booleans())
def test_an_estimate_is_never_below_the_error_and_hardly_above(error_s, synchronised):
    estimate = ErrorEstimate.from_seconds(error_s, synchronised=synchronised)
    assert error_s <= estimate.seconds <= max(error_s * 1.02, error_s + 2**-32)
    assert 1 <= estimate.multiplier <= 255
    assert ErrorEstimate.from_field(estimate.field) == estimate


def test_an_error_beyond_the_field_is_its_largest_value():
    assert ErrorEstimate.from_seconds(1e30, synchronised=False) == ErrorEstimate(False, 63, 255)


@pytest.mark.parametrize(
    ("synchronised", "max_error_us", "seconds"),
    [(True, 1500, 1.5e-3), (True, None, 255 * 2**31), (False, None, 255 * 2**31), (False, 3, 255 * 2**31)],
)
def test_estimate_of_a_clock_reading(synchronised, max_error_us, seconds):
    reading = ClockReading(
        wall_us=1, boot_us=1, boot_id="x", synchronised=synchronised, max_error_us=max_error_us
    )
    estimate = ErrorEstimate.of_clock(reading)
    assert estimate.synchronised is synchronised
    assert estimate.seconds == pytest.approx(seconds, rel=0.02)
