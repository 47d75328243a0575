"""Sending-rate tables: 1153 rows, each computed by rule.

RFC 9946 fixes no table. This is the default one of the reference program, for IPv4. Packets have at most 1250
bytes up to 1 Gbit/s and are jumbo packets above. Row r of 1 to 1000 sends exactly r Mbit/s at the IP layer,
as RFC 9097 §8.1 recommends.

Below 10 Mbit/s its packets are small, 125 bytes at 1 Mbit/s. A line that carries frames or cells then spends
up to a third on headers, which no download does. Between two ends of this program all packets have one size
(``RateTable``). Bits of the set-up that foreign programs echo and ignore agree on it.
"""

import math

from msgspec import Struct

from wire.ip_layer import IPV4_UDP_BYTES, IPV6_UDP_BYTES
from wire.udpstp import pdu
from wire.udpstp.pdu import RANDOM_SIZE, SendingRate

LAST_ROW = 1152
HIGH_SPEED_ROW = 1000
"""1 Gbit/s: the end of the 1 Mbit/s steps (RFC 9097 §8.1)."""

_FULL = 1222
_JUMBO = 8972
_SMALLEST_RANDOM = 52
# Row 0 is 20 packets a second, 0.11 Mbit/s: no load, but enough for delays and feedback.
_IDLE_INTERVAL_US = 50_000
_IPV6_REDUCTION = IPV6_UDP_BYTES - IPV4_UDP_BYTES


def sending_rate(row: int) -> SendingRate:
    """Compute the transmitters of a row. Raises ValueError for a row outside 0 to 1152."""
    if not 0 <= row <= LAST_ROW:
        raise ValueError(f"sending-rate rows are 0 to {LAST_ROW}, not {row}")
    if row == 0:
        return SendingRate(interval_2_us=_IDLE_INTERVAL_US, addon_2=RANDOM_SIZE | _FULL)
    if row <= HIGH_SPEED_ROW:
        return _steps_of_one(row)
    # Packets grow by 125 bytes a row up to the largest of a 9,000-byte frame, then their number grows.
    if row <= 1062:
        return SendingRate(interval_1_us=100, payload_1=_FULL + 125 * (row - 1000), burst_1=10)
    return SendingRate(interval_1_us=100, payload_1=_JUMBO, burst_1=min(row - 1052, 100))


def _steps_of_one(row: int) -> SendingRate:
    # Packets of 1250 bytes: 100 Mbit/s is one every 100 us, 10 Mbit/s is one every 1 ms. The rest is one
    # smaller packet every 1 ms.
    hundreds, tens, ones = row // 100, row % 100 // 10, row % 10
    return SendingRate(
        interval_1_us=100 if hundreds else 0,
        payload_1=_FULL if hundreds else 0,
        burst_1=hundreds,
        interval_2_us=1000 if tens or ones else 0,
        payload_2=_FULL if tens else 0,
        burst_2=tens,
        addon_2=125 * ones - IPV4_UDP_BYTES if ones else 0,
    )


PACKET_BYTES = (1250, 1000, 500, 1500)
"""IP packets of the size classes 0 to 3. Up to 1 Gbit/s RFC 9946 §6.1 allows 1250 bytes by default."""

EXACT, MOST_BURST = 0.0002, 10
_SHORTEST_US, _BURST_US = 100, 1000


class RateTable(Struct, frozen=True):
    """Table whose rows send packets of ``packet_bytes`` (IP) alone; None for the default table.

    Rows of 1 to 1000 send at least their number of Mbit/s, and at most 0.1 % more.
    """

    packet_bytes: int | None = None

    def sending_rate(self, row: int) -> SendingRate:
        """Compute the transmitters of a row. Raises ValueError for a row outside 0 to 1152."""
        if self.packet_bytes is None or not 1 <= row <= HIGH_SPEED_ROW:
            return sending_rate(row)
        payload = self.packet_bytes - IPV4_UDP_BYTES
        # One packet every 100 us is 100 Mbit/s of 1250 bytes; the rest is the second transmitter's.
        every_100_us, rest = divmod(row * _SHORTEST_US, self.packet_bytes * 8)
        burst, interval_us = self._rest(rest / _SHORTEST_US) if rest else (0, 0)
        return SendingRate(
            interval_1_us=_SHORTEST_US if every_100_us else 0,
            payload_1=payload if every_100_us else 0,
            burst_1=every_100_us,
            interval_2_us=interval_us,
            payload_2=payload if burst else 0,
            burst_2=burst,
        )

    def _rest(self, mbps: float) -> tuple[int, int]:
        """Packets a burst, and microseconds between bursts, for a rate below one packet every 100 us."""
        spacing_us = (self.packet_bytes or 0) * 8 / mbps
        # Intervals are whole microseconds: several packets a burst make them exact. A wake-up of the sender
        # more than once a millisecond costs more than it gains, as in the default table.
        least = min(max(1, math.ceil(_BURST_US / spacing_us - 1e-9)), MOST_BURST)
        errors = {
            burst: burst * spacing_us / int(burst * spacing_us + 1e-9) - 1
            for burst in range(least, least + MOST_BURST)
        }
        burst = next((one for one in errors if errors[one] <= EXACT), min(errors, key=errors.__getitem__))
        return burst, int(burst * spacing_us + 1e-9)

    @property
    def modifiers(self) -> int:
        """Setup modifiers that offer this table; 0 for the default one."""
        if self.packet_bytes is None:
            return 0
        return pdu.SETUP_FULL_SIZE_OFFERED | PACKET_BYTES.index(self.packet_bytes) << 2


DEFAULT_TABLE = RateTable()


def offered_table(modifiers: int) -> RateTable:
    """Table that a Setup Request offers."""
    if not modifiers & pdu.SETUP_FULL_SIZE_OFFERED:
        return DEFAULT_TABLE
    return RateTable(PACKET_BYTES[(modifiers & pdu.SETUP_SIZE_CLASS) >> 2])


def bits_per_second(rate: SendingRate) -> float:
    """Compute the IP-layer rate of the transmitters; a random size counts with its mean."""
    total = 0.0
    if rate.interval_1_us:
        total += _packet_bytes(rate.payload_1) * rate.burst_1 / rate.interval_1_us
    if rate.interval_2_us:
        burst = _packet_bytes(rate.payload_2) * rate.burst_2 + _packet_bytes(rate.addon_2)
        total += burst / rate.interval_2_us
    return total * 8e6


def _packet_bytes(size: int) -> float:
    if size & RANDOM_SIZE:
        return (_SMALLEST_RANDOM + (size & ~RANDOM_SIZE)) / 2 + IPV4_UDP_BYTES
    return size + IPV4_UDP_BYTES if size else 0


def packets_per_second(rate: SendingRate) -> float:
    """Compute the packet rate of both transmitters together."""
    first = rate.burst_1 / rate.interval_1_us if rate.interval_1_us else 0.0
    bursts = rate.burst_2 + bool(rate.addon_2)
    return (first + (bursts / rate.interval_2_us if rate.interval_2_us else 0.0)) * 1e6


def row_for(rate_bps: float) -> int:
    """Find the lowest row that sends at least ``rate_bps`` (IP layer).

    Raises ValueError above 1 Gbit/s and for 0 or less.
    """
    row = math.ceil(rate_bps / 1e6)
    if not 1 <= row <= HIGH_SPEED_ROW:
        raise ValueError(f"no row of 1 to {HIGH_SPEED_ROW} Mbit/s sends {rate_bps:g} bit/s")
    return row


def over_ipv6(size: int) -> int:
    """Reduce a UDP payload size stated for IPv4, so that the IPv6 packet has the same length."""
    # The sender itself subtracts, as the reference program does: the table on the wire stays that of IPv4.
    return size - _IPV6_REDUCTION if size & ~RANDOM_SIZE > _IPV6_REDUCTION else size
