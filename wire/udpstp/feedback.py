"""What a load sender that is also the reporting client learns of its load: Status PDUs, some of them lost.

A Status tells of one trial interval, once. The sub-interval block in it is repeated until the next one is
finished, so a total over numbered sub-intervals survives lost Status PDUs; what came after the last
finished one, and before the first Status, is told by the trial intervals alone.
"""

from msgspec import Struct

from wire.udpstp import pdu
from wire.udpstp.load import LoadInterval

MOST_STATUSES = 20 * 3600
"""Beyond an hour's worth no more are kept: Status PDUs are not authenticated in mode 1."""


class Totals(Struct, frozen=True):
    """Sums over the whole load so far. ``complete``: nothing that the receiver told is missing in them."""

    datagrams: int
    payload_bytes: int
    lost: int
    reordered: int
    duplicated: int
    complete: bool
    first_known: bool
    """Whether the trial interval before the first Status is among them: no sub-interval holds it."""


class FeedbackTotals:
    """Sums what Status PDUs tell, in whatever order they come; keeps none of them longer than it has to."""

    def __init__(self) -> None:
        self.highest = 0
        self._first: pdu.Status | None = None
        self._statuses: dict[int, pdu.Status] = {}
        self._settled = 0
        self._last = 0
        self._finished: dict[int, pdu.SubInterval] = {}
        self._first_with: dict[int, int] = {}

    def add(self, status: pdu.Status) -> None:
        """Take in one Status PDU; one that was already seen changes nothing."""
        sequence, number = status.sequence, status.sub_interval_number
        if len(self._statuses) >= MOST_STATUSES or len(self._finished) >= MOST_STATUSES:
            return
        if sequence == 1 and self._first is None:
            self._first = status
        if number:
            self._finished.setdefault(number, status.sub_interval)
        self._first_with[number] = min(self._first_with.get(number, sequence), sequence)
        self.highest = max(self.highest, sequence)
        if sequence >= self._settled:
            self._statuses.setdefault(sequence, status)
        if number > self._last:
            self._settle(number)

    def _settle(self, number: int) -> None:
        """What closed the sub-interval before the last one may still come late, but nothing before it."""
        before, self._last = self._last, number
        self._settled = max(self._settled, self._first_with.get(before, 0) - 1)
        self._statuses = {key: kept for key, kept in self._statuses.items() if key >= self._settled}
        self._first_with = {key: first for key, first in self._first_with.items() if key >= before}

    def totals(self) -> Totals:
        """The first trial interval + finished sub-intervals + the trial intervals after the last of them."""
        last = max(self._finished, default=0)
        closing = self._first_with[last] - 1 if last else 0
        tail = [self._statuses[number] for number in sorted(self._statuses) if number > closing]
        parts: list[pdu.Status | pdu.SubInterval] = [*self._finished.values(), *tail]
        if last and self._first is not None:
            parts.append(self._first)
        complete = (
            len(self._finished) == last
            and len(tail) == self.highest - closing
            and (not last or closing in self._statuses)
        )
        return Totals(
            datagrams=sum(part.datagrams for part in parts),
            payload_bytes=sum(part.payload_bytes for part in parts),
            lost=sum(part.lost for part in parts),
            reordered=sum(part.reordered for part in parts),
            duplicated=sum(part.duplicated for part in parts),
            complete=complete,
            first_known=self._first is not None,
        )


class FeedbackSeries:
    """Collects Status PDUs in whatever order they come."""

    def __init__(self, *, overhead: int) -> None:
        self._overhead = overhead
        self._statuses: dict[int, pdu.Status] = {}
        self._totals = FeedbackTotals()
        self.highest = 0
        self.told_packets = self.told_lost = 0
        self.newest_delay_us = 0
        """By the trial intervals whose Status PDUs came: while the load runs, not to judge by."""
        self.empty_us = 0
        """How long the receiver has now received nothing, by its newest Status PDUs."""

    def add(self, status: pdu.Status) -> None:
        """Take in one Status PDU; one that was already seen changes nothing."""
        if status.sequence in self._statuses or len(self._statuses) >= MOST_STATUSES:
            return
        self._statuses[status.sequence] = status
        self.told_packets += max(0, status.datagrams - status.duplicated)
        self.told_lost += status.lost
        self._totals.add(status)
        if status.sequence > self.highest:
            self.highest = status.sequence
            if status.delay_min != pdu.NO_DELAY:
                self.newest_delay_us = status.delay_min * 1000
            self.empty_us = 0 if status.datagrams else self.empty_us + status.interval_us

    @property
    def missing(self) -> int:
        """How many Status PDUs up to the newest one never came."""
        return self.highest - len(self._statuses)

    @property
    def rtt_minimum_ms(self) -> int | None:
        """The smallest round trip the receiver told of."""
        known = [
            status.rtt_minimum for status in self._statuses.values() if status.rtt_minimum != pdu.NO_DELAY
        ]
        return min(known) if known else None

    def totals(self) -> Totals:
        """Sums over the whole load so far."""
        return self._totals.totals()

    def intervals(self) -> tuple[LoadInterval, ...]:
        """The series up to the last interval that held a packet; lost Status PDUs leave holes."""
        statuses = [self._statuses[number] for number in sorted(self._statuses)]
        while statuses and not statuses[-1].datagrams:
            statuses.pop()
        if not statuses:
            return ()
        begin = _begin_us(statuses[0])
        low = min(status.clock_delta_min for status in statuses)
        return tuple(self._interval(status, begin, low) for status in statuses)

    def _interval(self, status: pdu.Status, begin: int, low: int) -> LoadInterval:
        """Delays in the PDU are above the minimum known then; ``low`` (ms) is that of the whole test."""
        base = (status.clock_delta_min - low) * 1000
        known = status.delay_count > 0 and status.delay_min != pdu.NO_DELAY
        return LoadInterval(
            offset_us=_begin_us(status) - begin,
            duration_us=status.interval_us,
            datagrams=status.datagrams,
            ip_bytes=status.payload_bytes + status.datagrams * self._overhead,
            lost=status.lost,
            reordered=status.reordered,
            duplicated=status.duplicated,
            delay_mean_us=base + status.delay_sum * 1000 / status.delay_count if known else None,
            delay_min_us=base + status.delay_min * 1000.0 if known else None,
            delay_max_us=base + status.delay_max * 1000.0 if known else None,
        )


def _begin_us(status: pdu.Status) -> int:
    return status.sent_s * 1_000_000 + status.sent_ns // 1000 - status.interval_us


def whole_interval_bps(intervals: tuple[LoadInterval, ...]) -> float:
    """Mean IP-layer rate over the intervals that lie wholly within the load; 0 when there are none.

    The first begins with the first packet and the last ends after the last one: neither length fits its
    packets.
    """
    inner = intervals[1:-1]
    duration = sum(interval.duration_us for interval in inner)
    return sum(interval.ip_bytes for interval in inner) * 8e6 / duration if duration else 0.0
