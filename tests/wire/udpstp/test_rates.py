"""The rows of the reference program's default table."""

from collections.abc import Callable

import pytest

from wire.udpstp import rates
from wire.udpstp.pdu import RANDOM_SIZE, SendingRate


def _rate(*values: int) -> SendingRate:
    names = ("interval_1_us", "payload_1", "burst_1", "interval_2_us", "payload_2", "burst_2", "addon_2")
    return SendingRate(**dict(zip(names, values, strict=True)))


@pytest.mark.parametrize(("row", "values", "mbps"), [
    *((row, (0, 0, 0, 1000, 0, 0, 125 * row - 28), row) for row in (1, 2, 5, 8, 9)),
    (10, (0, 0, 0, 1000, 1222, 1, 0), 10),
    (50, (0, 0, 0, 1000, 1222, 5, 0), 50),
    (100, (100, 1222, 1, 0, 0, 0, 0), 100),
    (500, (100, 1222, 5, 0, 0, 0, 0), 500),
    (1000, (100, 1222, 10, 0, 0, 0, 0), 1000),
    (1001, (100, 1347, 10, 0, 0, 0, 0), 1100),
    (1090, (100, 8972, 38, 0, 0, 0, 0), 27360),
    (1152, (100, 8972, 100, 0, 0, 0, 0), 72000),
])  # fmt: skip
def test_rows(row: int, values: tuple[int, ...], mbps: float) -> None:
    rate = rates.sending_rate(row)
    assert rate == _rate(*values)
    assert rates.bits_per_second(rate) == pytest.approx(mbps * 1e6)


def test_row_0_is_twenty_random_packets_a_second() -> None:
    rate = rates.sending_rate(0)
    assert rate == _rate(0, 0, 0, 50_000, 0, 0, RANDOM_SIZE | 1222)
    assert rates.packets_per_second(rate) == 20
    assert rates.bits_per_second(rate) == pytest.approx(0.106e6, rel=0.01)


def test_every_row_up_to_a_gigabit_sends_its_number() -> None:
    for row in range(1, 1001):
        assert rates.bits_per_second(rates.sending_rate(row)) == pytest.approx(row * 1e6)
        assert rates.row_for(row * 1e6) == row


@pytest.mark.parametrize(("look_up", "outside", "message"), [
    *((rates.sending_rate, row, "sending-rate rows are 0 to 1152") for row in (-1, 1153, 0xFFFF)),
    *((rates.row_for, rate_bps, "no row") for rate_bps in (0, 1e9 + 1)),
])  # fmt: skip
def test_rows_and_rates_outside_the_table(
    look_up: Callable[[float], object], outside: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        look_up(outside)


@pytest.mark.parametrize(("rate_bps", "row"), [(8e6, 8), (8_000_001, 9), (7.6e6, 8), (1, 1), (1e9, 1000)])
def test_a_row_never_sends_less_than_asked(rate_bps: float, row: int) -> None:
    assert rates.row_for(rate_bps) == row


def test_over_ipv6_the_packet_keeps_its_length() -> None:
    assert [rates.over_ipv6(size) for size in (1222, 97, 0)] == [1202, 77, 0]
    assert rates.over_ipv6(RANDOM_SIZE | 1222) == RANDOM_SIZE | 1202


@pytest.mark.parametrize("packet_bytes", rates.PACKET_BYTES)
def test_rows_of_one_packet_size_send_their_number_or_a_little_more(packet_bytes: int) -> None:
    table = rates.RateTable(packet_bytes)
    for row in range(1, 1001):
        rate = table.sending_rate(row)
        assert {rate.payload_1, rate.payload_2} <= {0, packet_bytes - 28}
        assert rate.addon_2 == 0
        assert row * (1e6 - 1e-3) <= rates.bits_per_second(rate) <= row * 1.001e6
    assert rates.RateTable(1250).sending_rate(8) == _rate(0, 0, 0, 1250, 1222, 1, 0)
    assert rates.RateTable(1250).sending_rate(120) == _rate(100, 1222, 1, 1000, 1222, 2, 0)
    assert table.sending_rate(0) == rates.sending_rate(0)


def test_a_table_is_offered_by_bits_of_the_setup() -> None:
    for packet_bytes in (None, *rates.PACKET_BYTES):
        assert rates.offered_table(rates.RateTable(packet_bytes).modifiers).packet_bytes == packet_bytes
    assert rates.offered_table(0xC3) == rates.DEFAULT_TABLE
