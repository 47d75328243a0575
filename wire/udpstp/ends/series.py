"""Series of a load in intervals of about 50 ms, as the reporting client records them.

| direction | packets received | packets sent |
|---|---|---|
| down | ``ArrivalSeries``: every packet, to the nanosecond | inferred from sequence numbers and send stamps |
| up | ``FeedbackSeries``: Status PDUs, some of them lost | ``SentSeries`` |

A Status reports one trial interval, once. The block of a sub-interval is repeated in every Status until the
next sub-interval is finished: totals over numbered sub-intervals survive lost Status PDUs. No finished
sub-interval contains the packets before the first Status, nor those after the last finished one. For both of
these the trial intervals are the only source (``FeedbackCounter``).
"""

from msgspec import Struct
from msgspec.structs import replace

from wire.udpstp import pdu
from wire.udpstp.ends.batches import LoadRun
from wire.udpstp.ends.receiver import PacketOrder
from wire.udpstp.load import DrainSample, LoadInterval, SentInterval

INTERVAL_NS = 50_000_000
MOST_INTERVALS = 20 * 3600
"""Intervals of an hour, the longest load that a peer's settings allow."""


class _ArrivalInterval(Struct):
    datagrams: int = 0
    payload_bytes: int = 0
    lost: int = 0
    reordered: int = 0
    duplicated: int = 0
    delay_sum: int = 0
    delay_count: int = 0
    delay_min: int = 0
    delay_max: int = 0

    def delay(self, value: int, count: int) -> None:
        self.delay_min = min(self.delay_min, value) if self.delay_count else value
        self.delay_max = max(self.delay_max, value) if self.delay_count else value
        self.delay_sum += value * count
        self.delay_count += count


class ArrivalSeries:
    """Counts arrivals by receive stamp, and infers the sender's timing from sequence numbers and send stamps.

    ``spacing_ns`` is the mean time between packets of the plan. ``first_sequence`` is the number of the
    load's first packet, 1 unless the sender began at another rate.
    """

    def __init__(self, *, overhead: int, spacing_ns: float) -> None:
        self.packets = self.payload_bytes = self.duplicated = self.reordered = 0
        self.first_sequence = 1
        self.highest = 0
        self.first_wall = self.last_wall = 0
        self.first_sent = self.last_sent = 0
        self.longest_gap_ns = 0
        self._lateness_least = self._lateness_most = 0.0
        self._overhead = overhead
        self._spacing = spacing_ns
        self.delay_minimum = 0
        self._intervals: list[_ArrivalInterval] = []

    def begin(self, first_sequence: int, sequence: int, wall: int, sent: int) -> None:
        """Note the first packet to arrive: send stamp ``sent``, receive stamp ``wall`` (Unix ns)."""
        self.first_sequence = first_sequence
        self.highest = first_sequence - 1
        self.first_wall = self.last_wall = wall
        # The time of the first packet sent is inferred from the plan: packets lost before the first arrival
        # would otherwise look like a sender that began late.
        self.first_sent = sent - round((sequence - first_sequence) * self._spacing)
        self.last_sent = sent
        self.delay_minimum = wall - sent

    def add(self, run: LoadRun, arrival: PacketOrder, wall: int) -> None:
        """Count Load PDUs of the load with the receive stamp ``wall``; several at once only if in order."""
        interval = self._interval_at(wall)
        self.packets += run.count
        self.payload_bytes += run.payload * run.count
        interval.datagrams += run.count
        interval.payload_bytes += run.payload * run.count
        self.last_wall = max(self.last_wall, wall)
        if arrival is PacketOrder.DUPLICATE:
            self.duplicated += 1
            interval.duplicated += 1
        elif arrival is PacketOrder.LATE:
            self.reordered += 1
            interval.reordered += 1
            # The gap was counted where the packet behind it arrived: in another interval that loss stays.
            interval.lost -= interval.lost > 0
        else:
            self._in_order(interval, run, wall)

    def _interval_at(self, wall: int) -> _ArrivalInterval:
        index = min(max(wall - self.first_wall, 0) // INTERVAL_NS, MOST_INTERVALS - 1)
        while len(self._intervals) <= index:
            self._intervals.append(_ArrivalInterval())
        return self._intervals[index]

    def _in_order(self, interval: _ArrivalInterval, run: LoadRun, wall: int) -> None:
        missing = run.first - self.highest - 1
        interval.lost += missing
        delay = wall - run.sent
        interval.delay(delay, run.count)
        self.delay_minimum = min(self.delay_minimum, delay)
        if not missing:
            self.longest_gap_ns = max(self.longest_gap_ns, run.sent - self.last_sent)
        self.highest, self.last_sent = run.last, run.sent
        # Packets sent together have one send stamp: the first is the latest against its schedule.
        self._lateness_most = max(self._lateness_most, self._lateness(run.first, run.sent))
        self._lateness_least = min(self._lateness_least, self._lateness(run.last, run.sent))

    def _lateness(self, sequence: int, sent: int) -> float:
        return sent - self.first_sent - (sequence - self.first_sequence) * self._spacing

    def stall_ns(self, allowed_ns: int) -> int:
        """Drift of the sender from its schedule, beyond the catch-up that it is allowed."""
        return max(int(self._lateness_most - self._lateness_least) - allowed_ns, 0)

    def intervals(self) -> tuple[LoadInterval, ...]:
        """Series so far, with delays above the smallest of all."""
        return tuple(self._load_interval(index, interval) for index, interval in enumerate(self._intervals))

    def _load_interval(self, index: int, interval: _ArrivalInterval) -> LoadInterval:
        count = interval.delay_count
        low = self.delay_minimum
        return LoadInterval(
            offset_us=index * INTERVAL_NS // 1000,
            duration_us=INTERVAL_NS // 1000,
            datagrams=interval.datagrams,
            ip_bytes=interval.payload_bytes + interval.datagrams * self._overhead,
            lost=interval.lost,
            reordered=interval.reordered,
            duplicated=interval.duplicated,
            delay_mean_us=(interval.delay_sum / count - low) / 1000 if count else None,
            delay_min_us=(interval.delay_min - low) / 1000 if count else None,
            delay_max_us=(interval.delay_max - low) / 1000 if count else None,
        )


MOST_STATUSES = 20 * 3600
"""Bound on the Status PDUs kept, those of an hour: they are not authenticated in mode 1."""


class FeedbackTotals(Struct, frozen=True):
    """Totals of the load so far; ``complete`` where every interval that the receiver reported is in them."""

    datagrams: int
    payload_bytes: int
    lost: int
    reordered: int
    duplicated: int
    complete: bool
    first_known: bool
    """True where the trial interval of the first Status is known; no sub-interval contains it."""


class FeedbackCounter:
    """Adds up Status PDUs, in any order; ``highest`` is the highest sequence number.

    A Status is kept as long as no finished sub-interval makes it superfluous.
    """

    def __init__(self) -> None:
        self.highest = 0
        self._first: pdu.Status | None = None
        self._statuses: dict[int, pdu.Status] = {}
        self._oldest_kept = 0
        self._last = 0
        self._finished: dict[int, pdu.SubInterval] = {}
        self._first_with: dict[int, int] = {}  # sub-interval -> the first Status that contains it

    def add(self, status: pdu.Status) -> None:
        """Add one Status PDU; a duplicate changes nothing."""
        sequence, number = status.sequence, status.sub_interval_number
        # Full: a flood of forged Status PDUs must not push out true ones.
        if len(self._statuses) >= MOST_STATUSES or len(self._finished) >= MOST_STATUSES:
            return
        if sequence == 1 and self._first is None:
            self._first = status
        if number:
            self._finished.setdefault(number, status.sub_interval)
        self._first_with[number] = min(self._first_with.get(number, sequence), sequence)
        self.highest = max(self.highest, sequence)
        if sequence >= self._oldest_kept:
            self._statuses.setdefault(sequence, status)
        if number > self._last:
            self._drop_superfluous(number)

    def _drop_superfluous(self, number: int) -> None:
        # A late Status may still close the sub-interval before ``number``, but none before that one.
        before, self._last = self._last, number
        self._oldest_kept = max(self._oldest_kept, self._first_with.get(before, 0) - 1)
        self._statuses = {key: kept for key, kept in self._statuses.items() if key >= self._oldest_kept}
        self._first_with = {key: first for key, first in self._first_with.items() if key >= before}

    def totals(self) -> FeedbackTotals:
        """Sum of the first trial interval, the finished sub-intervals, and the trial intervals after them."""
        last = max(self._finished, default=0)
        closing = self._first_with[last] - 1 if last else 0
        tail = [self._statuses[number] for number in sorted(self._statuses) if number > closing]
        parts: list[pdu.Status | pdu.SubInterval] = [*self._finished.values(), *tail]
        if last and self._first is not None:
            # No sub-interval contains the first trial interval: they begin with the first Status (§8.2).
            parts.append(self._first)
        complete = (
            len(self._finished) == last
            and len(tail) == self.highest - closing
            and (not last or closing in self._statuses)
        )
        return FeedbackTotals(
            datagrams=sum(part.datagrams for part in parts),
            payload_bytes=sum(part.payload_bytes for part in parts),
            lost=sum(part.lost for part in parts),
            reordered=sum(part.reordered for part in parts),
            duplicated=sum(part.duplicated for part in parts),
            complete=complete,
            first_known=self._first is not None,
        )


class FeedbackSeries:
    """Series of the trial intervals that Status PDUs report, in any order.

    While the load runs, ``reported_packets``, ``reported_lost`` and ``newest_delay_us`` give what the
    received Status PDUs report; ``totals`` is exact.
    """

    def __init__(self, *, overhead: int) -> None:
        self._overhead = overhead
        self._statuses: dict[int, pdu.Status] = {}
        self._counter = FeedbackCounter()
        self.highest = 0
        self.reported_packets = self.reported_lost = 0
        self.newest_delay_us = 0
        self._last_load = 0
        self.empty_us = 0
        """Time for which the receiver has received no packet, by its newest Status PDUs."""

    def add(self, status: pdu.Status) -> None:
        """Add one Status PDU; a duplicate changes nothing."""
        if status.sequence in self._statuses or len(self._statuses) >= MOST_STATUSES:
            return
        self._statuses[status.sequence] = status
        self.reported_packets += max(0, status.datagrams - status.duplicated)
        self.reported_lost += status.lost
        self._counter.add(status)
        if status.datagrams:
            self._last_load = max(self._last_load, status.sequence)
        if status.sequence > self.highest:
            self.highest = status.sequence
            # The minimum, not the mean: a queue delays every packet of its interval.
            if status.delay_min != pdu.NO_DELAY:
                self.newest_delay_us = status.delay_min * 1000
            self.empty_us = (
                0 if status.delay_count or status.datagrams else self.empty_us + status.interval_us
            )

    @property
    def missing(self) -> int:
        """Number of Status PDUs missing up to the newest one."""
        return self.highest - len(self._statuses)

    @property
    def rtt_minimum_ms(self) -> int | None:
        """Smallest round trip that the receiver reported."""
        known = [
            status.rtt_minimum for status in self._statuses.values() if status.rtt_minimum != pdu.NO_DELAY
        ]
        return min(known) if known else None

    def totals(self) -> FeedbackTotals:
        """Totals of the load so far."""
        return self._counter.totals()

    def intervals(self) -> tuple[LoadInterval, ...]:
        """Series up to the last interval with a load packet; a lost Status PDU leaves a gap.

        With drain probes the last interval has no delays: it has probes in it.
        """
        statuses = [self._statuses[number] for number in sorted(self._statuses) if number <= self._last_load]
        if not statuses:
            return ()
        begin = _begin_us(statuses[0])
        low = self._least_delta(statuses)
        series = [self._interval(status, begin, low) for status in statuses]
        if self.probe_intervals:
            series[-1] = replace(series[-1], delay_mean_us=None, delay_min_us=None, delay_max_us=None)
        return tuple(series)

    @property
    def probe_intervals(self) -> int:
        """Number of trial intervals after the load in which nothing but drain probes arrived."""
        return sum(_has_delays(status) for status in self._after_load())

    def drain(self) -> tuple[DrainSample, ...]:
        """Delays of the drain probes: in the last interval of the load, and in those after it."""
        last = self._statuses.get(self._last_load)
        if last is None or not self.probe_intervals:
            return ()
        load = [status for number, status in self._statuses.items() if number <= self._last_load]
        low = self._least_delta(load)
        return tuple(
            DrainSample(
                max(0, _begin_us(status) - _begin_us(last) - last.interval_us),
                (status.clock_delta_min - low + status.delay_min) * 1000.0,
            )
            for status in (last, *self._after_load())
            if _has_delays(status)
        )

    def _after_load(self) -> list[pdu.Status]:
        return [self._statuses[number] for number in sorted(self._statuses) if number > self._last_load]

    def _least_delta(self, load: list[pdu.Status]) -> int:
        """Smallest one-way delay (ms) of the load: that of its last report contains all before it."""
        return min(status.clock_delta_min for status in load)

    def _interval(self, status: pdu.Status, begin: int, low: int) -> LoadInterval:
        # Delays in the PDU are above the minimum known at that time, ``low`` (ms) is that of the whole test.
        base = (status.clock_delta_min - low) * 1000
        known = _has_delays(status)
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


def _has_delays(status: pdu.Status) -> bool:
    return status.delay_count > 0 and status.delay_min != pdu.NO_DELAY


def _begin_us(status: pdu.Status) -> int:
    return status.sent_s * 1_000_000 + status.sent_ns // 1000 - status.interval_us


def whole_interval_bps(intervals: tuple[LoadInterval, ...]) -> float:
    """Mean IP-layer rate of the intervals that are entirely within the load; 0 when there are none."""
    # The first interval begins with a packet and the last one ends after the last packet: neither has the
    # length that its packets take.
    inner = intervals[1:-1]
    duration = sum(interval.duration_us for interval in inner)
    return sum(interval.ip_bytes for interval in inner) * 8e6 / duration if duration else 0.0


class SentSeries:
    """Series of the bytes sent between Status PDUs; times are ns of one clock, bytes are IP-layer totals."""

    def __init__(self) -> None:
        self._begin: int | None = None
        self._last = self._last_bytes = 0
        self._intervals: list[SentInterval] = []

    def add(self, first_sent: int, now: int, ip_bytes: int, requested_bps: float) -> None:
        """Add the interval up to a Status received at ``now``; its rate was to be ``requested_bps``."""
        if self._begin is None:
            self._begin = self._last = first_sent
        if now <= self._last or len(self._intervals) >= MOST_INTERVALS:
            return
        self._intervals.append(
            SentInterval(
                offset_us=(self._last - self._begin) // 1000,
                duration_us=(now - self._last) // 1000,
                requested_bps=requested_bps,
                ip_bytes=ip_bytes - self._last_bytes,
            )
        )
        self._last, self._last_bytes = now, ip_bytes

    def intervals(self) -> tuple[SentInterval, ...]:
        """Series so far."""
        return tuple(self._intervals)
