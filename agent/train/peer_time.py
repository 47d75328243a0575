"""Time of the peer, learnt from its authenticated STAMP replies. No clock is ever set by it. Pure.

RFC 9946 authentication needs the time of the peer within 5 s (section 5.3.1), and a site's clock may be years
off. The offset is kept against CLOCK_BOOTTIME, so that setting the wall clock does not falsify it.

A reply counts only if its HMAC is right. It also has to copy the SSID and the sending time of a packet of the
present train, to the nanosecond. A recorded reply fits no later packet. Delaying a true reply moves the
offset by half of the delay at most.
"""

from collections.abc import Iterable

from msgspec import Struct

from wire.records import ClockReading
from wire.stamp.sender import Exchange, ReplyArrival
from wire.stamp.statistics import round_trip_ns

LONGEST_RTT_NS = 2_000_000_000  # its half, the error, is a fifth of the window of 5 s
STEP_US = 100_000
FRESH_US = 3_600_000_000


class PeerClockOffset(Struct, frozen=True):
    """Peer's time minus CLOCK_BOOTTIME, right within ``error_us`` when CLOCK_BOOTTIME was ``boot_us``.

    The error is half the round trip, plus the peer's own Error Estimate where its clock is ``synchronised``.
    """

    offset_us: int
    error_us: int
    boot_us: int
    synchronised: bool


class PeerTime:
    """Newest offset of one peer's clock; ``offset`` is None before the first."""

    def __init__(self) -> None:
        self.offset: PeerClockOffset | None = None

    def learn(self, exchanges: Iterable[Exchange], before: ClockReading, after: ClockReading) -> None:
        """Learn the offset from an authenticated train, with our clocks read before and after it.

        The quickest round trip has the smallest error. A train in which our wall clock was set is ignored. So
        are replies with PTP timestamps, because their scale is TAI.
        """
        boot_offset_us = after.wall_us - after.boot_us
        if abs(boot_offset_us - (before.wall_us - before.boot_us)) >= STEP_US:
            return
        usable = [
            (round_trip_ns(one, reply), one, reply)
            for one in exchanges
            if (reply := one.arrival) is not None and not reply.estimate.ptp
        ]
        quickest = min((one for one in usable if 0 <= one[0] <= LONGEST_RTT_NS), default=None, key=_first)
        if quickest is not None:
            rtt_ns, exchange, reply = quickest
            self.offset = PeerClockOffset(
                offset_us=boot_offset_us + _offset_ns(exchange, reply) // 1000,
                error_us=rtt_ns // 2000
                + (round(reply.estimate.seconds * 1e6) if _is_synchronised(reply) else 0)
                + 1,
                boot_us=after.boot_us,
                synchronised=_is_synchronised(reply),
            )

    def ahead_s(self, now: ClockReading) -> float:
        """Peer's time minus our wall clock's, in seconds; 0 where nothing better is known.

        A synchronised wall clock is better than an offset of more than an hour ago.
        """
        if self.offset is None or (now.synchronised and now.boot_us - self.offset.boot_us > FRESH_US):
            return 0.0
        return (self.offset.offset_us - (now.wall_us - now.boot_us)) / 1e6


def _first(one: tuple[int, Exchange, ReplyArrival]) -> int:
    return one[0]


def _is_synchronised(reply: ReplyArrival) -> bool:
    return reply.estimate.synchronised and reply.estimate.seconds < 3600


def _offset_ns(exchange: Exchange, reply: ReplyArrival) -> int:
    """((T2 - T1) + (T3 - T4)) / 2: right if both ways took equally long (RFC 5905 section 8)."""
    forward = reply.reflector_received_ns - exchange.sent_ns
    return (forward + reply.reflector_sent_ns - reply.received_ns) // 2
