"""Maximum IP-Layer Capacity of a search (RFC 9097 §5, §6), as a function of its report. Pure.

**Method.** The series of 50 ms is cut into sub-intervals of equal length (dt, 1 s by default, §5.3). The rate
of each is the IP-layer bits *received* in it, without duplicates, over its length. The greatest is the result
(§5.3, §6.3), recorded with its time and the loss of the same sub-interval (§6.6). No performance target
excludes a sub-interval, since a line with random loss would then have no capacity at all.

**Upper bound.** Behind the line's queue, nothing passes faster than the line, except the depth of its token
bucket, once. So no second delivers more than the line carries, and nothing is cut out of the time. For the
best second to be as much, the queue must not empty in it. A peer of this program holds it standing in the
last seconds of a search (``wire.udpstp.ends.search``). By a foreign one, which swings to the end, a line of 4
Mbit/s may read 3.7 (decision 44).

**Error.** Each edge of a second is wrong by one packet at most: 0.25 % at 4 Mbit/s. Down,
edges are kernel timestamps. Up, they are those of whole trial intervals, whose length the peer measured. A
sub-interval with a lost Status PDU in it is left out.

**Lower bounds** (§6.5). The first that applies:

| bound | condition |
|---|---|
| requested rate | the maximum is within 1 % of it |
| none | a queue stood in nine tenths of a second within 5 % of the maximum |
| sender | it stood still for more than 2 % of the time |
| none | at least half of the intervals with a queue or loss deliver what the maximum is |
| budget | its bytes were spent |
| sender, requested rate, peer or time | by the end of the search: see ``_bound_up`` and ``_bound_down`` |
"""

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from wire.records import (
    Algorithm,
    Bound,
    CapacityInterval,
    CapacityValues,
    Direction,
    Failure,
    LatencyUnderLoad,
    LineCounters,
)
from wire.udpstp.load import Ending, LoadInterval, LoadReport

# Default of dt (RFC 9097 §5.3).
INTERVAL_US = 1_000_000

CLOCK_STEP_US = 5_000  # a tenth of an interval
REFUSED_SHARE = 0.005  # of the packets: dropped in this host, after they had passed the line
QUEUE_US = 5_000  # smallest delay of an interval: above it is a queue, not a busy host
QUEUE_PACKETS = 2  # or the time that the line takes for so many packets, if that is more
QUEUED_SHARE = 0.9  # of a second's intervals: the line never idled, but for jitter of single packets
LOSS_SIGN = 0.005
LOWER_SHARE, LEAST_LOWER_PACKETS = 0.75, 200  # of the maximum; packets that show a share of losses
NEAR = 0.05  # an interval of 50 ms contains as few as 20 packets
STALL_SHARE = 0.02
SIGNS = 3  # consecutive bad intervals that infer congestion (RFC 9097 §8.1, table 1)
AS_ASKED = 0.99
SENDER_SHARE = 0.97
ROW_BPS = 1e6
_END = 10  # intervals of 50 ms compared with the ten before them
_SLOWEST_CLIMB_BPS = _END * ROW_BPS  # one row an interval while nothing is wrong
_HOLE_US = 10_000

USABLE = (Ending.COMPLETED,)


class _SubInterval(Struct, frozen=True):
    """Sums over intervals."""

    offset_us: int
    duration_us: int
    received_bits: float
    distinct: int
    lost: int
    delay_us: float | None
    queued_share: float

    @property
    def received_bps(self) -> float:
        return self.received_bits * 1e6 / self.duration_us

    def record(self) -> CapacityInterval:
        return CapacityInterval(
            offset_us=self.offset_us,
            duration_us=self.duration_us,
            received_bps=self.received_bps,
            loss_ratio=_ratio(self.lost, self.lost + self.distinct),
            delay_variation_us=None if self.delay_us is None else round(self.delay_us),
        )


def why_invalid(report: LoadReport, interval_us: int = INTERVAL_US) -> Failure | None:
    """Reason why a search is not to be judged, None if it is valid."""
    if abs(report.wall_step_us) > CLOCK_STEP_US:
        return Failure.CLOCK_STEPPED  # the clock cuts the intervals, and one-way delays steer the search
    if report.receiver_drops > REFUSED_SHARE * max(report.received_packets, 1):
        return Failure.RECEIVER_SLOW
    if not sub_intervals(report.intervals, interval_us):
        return Failure.BUDGET_SPENT if report.bytes_spent else Failure.CONNECTION_LOST
    return None


def is_usable(report: LoadReport) -> bool:
    """True if the search came to its end, which may be that of its byte budget."""
    return report.ending in USABLE or report.bytes_spent


def sub_intervals(
    intervals: Sequence[LoadInterval], interval_us: int = INTERVAL_US
) -> tuple[CapacityInterval, ...]:
    """Whole sub-intervals of ``interval_us``."""
    # The last interval is cut off by the end of the load.
    return tuple(one.record() for one in _cut(intervals[:-1], interval_us))


def _cut(intervals: Sequence[LoadInterval], interval_us: int) -> Iterator[_SubInterval]:
    group: list[LoadInterval] = []
    length = 0
    for one in intervals:
        if group and abs(one.offset_us - group[-1].offset_us - group[-1].duration_us) > _HOLE_US:
            group, length = [], 0
        group.append(one)
        length += one.duration_us
        # RFC 9946 §8.2 closes its sub-intervals in the same way, at the nearest trial interval.
        if length > interval_us - one.duration_us // 2:
            yield _sum(group, length)
            group, length = [], 0


def _sum(group: Sequence[LoadInterval], length: int) -> _SubInterval:
    delayed = [
        (one.delay_mean_us, one.datagrams) for one in group if one.delay_mean_us is not None and one.datagrams
    ]
    weight = sum(count for _, count in delayed)
    return _SubInterval(
        offset_us=max(group[0].offset_us, 0),
        duration_us=length,
        received_bits=sum(_bits(one) for one in group),
        distinct=sum(one.datagrams - one.duplicated for one in group),
        lost=max(sum(one.lost for one in group), 0),
        delay_us=sum(delay * count for delay, count in delayed) / weight if weight else None,
        queued_share=sum(_has_queue(one) for one in group) / len(group),
    )


def _bits(one: LoadInterval) -> float:
    """IP-layer bits received; a duplicated packet counts once."""
    return one.ip_bytes * 8.0 * _ratio(one.datagrams - one.duplicated, one.datagrams)


def _ratio(part: float, whole: float) -> float:
    return min(max(part / whole, 0.0), 1.0) if whole else 0.0


def maximum(intervals: Sequence[LoadInterval], interval_us: int = INTERVAL_US) -> CapacityInterval:
    """Sub-interval of Maximum_C, the first of equals. Raises ValueError where no sub-interval is whole."""
    return max(_cut(intervals[:-1], interval_us), key=lambda one: one.received_bps).record()


def values(
    report: LoadReport,
    line_counters: LineCounters,
    *,
    other_bps: float | None = None,
    under_load: LatencyUnderLoad | None = None,
    interval_us: int = INTERVAL_US,
) -> CapacityValues:
    """Values of a search that :func:`why_invalid` accepts.

    ``other_bps`` is the site's own traffic beside it, where ``line_counters`` show it. Raises ValueError
    where no sub-interval is whole.
    """
    found = sub_intervals(report.intervals, interval_us)
    best = maximum(report.intervals, interval_us)
    return CapacityValues(
        maximum_bps=best.received_bps,
        maximum_at_us=best.offset_us,
        maximum_loss_ratio=best.loss_ratio,
        interval_us=interval_us,
        received_bps=report.received_bps,
        sent_bps=report.sent_bps,
        loss_ratio=_ratio(report.lost, report.sent_packets),
        algorithm=report.algorithm or Algorithm.B,
        line_counters=line_counters,
        intervals=found[:120],
        bound=bound(report, interval_us),
        other_traffic_bps=other_bps,
        rtt_min_us=report.rtt_min_us,
        under_load=under_load,
    )


def bound(report: LoadReport, interval_us: int = INTERVAL_US) -> Bound | None:
    """Limit of the search by the table of this module, None where it was the line."""
    maximum_bps = maximum(report.intervals, interval_us).received_bps
    if maximum_bps >= AS_ASKED * report.planned_bps:
        return Bound.REQUESTED_RATE
    if any(
        one.queued_share >= QUEUED_SHARE and _is_near(one, maximum_bps)
        for one in _cut(report.intervals[:-1], interval_us)
    ):
        return None
    # Only after the queue: a line that was full at some time is the limit, however late the sender was then.
    if report.stall_us > STALL_SHARE * report.planned_duration_us:
        return Bound.SENDER
    if was_full(report.intervals, maximum_bps):
        return None
    if report.bytes_spent:
        return Bound.BUDGET
    return _bound_up(report) if report.direction is Direction.UP else _bound_down(report)


def was_full(intervals: Sequence[LoadInterval], maximum_bps: float) -> bool:
    """True if at least half of the intervals with a queue or with loss delivered the maximum."""
    chance = _loss_at_lower_rates(intervals, maximum_bps)
    congested = [one for one in intervals if _is_congested(one, chance)]
    near = sum(_delivers(one, maximum_bps) for one in congested)
    return near >= max(SIGNS, len(congested) / 2)


def _delivers(one: LoadInterval, rate_bps: float) -> bool:
    """True if an interval delivered this rate, and not clearly more: then no second was full."""
    bits, due = _bits(one), rate_bps * one.duration_us / 1e6
    packet = bits / one.datagrams if one.datagrams else 0.0
    return abs(bits - due) <= NEAR * due + 2 * packet


def _is_near(one: _SubInterval, rate_bps: float) -> bool:
    return abs(one.received_bps - rate_bps) <= NEAR * rate_bps


def _is_congested(one: LoadInterval, chance: float) -> bool:
    sent = one.lost + one.datagrams
    expected = chance * sent
    return _has_queue(one) or one.lost - expected > max(LOSS_SIGN * sent, 3 * math.sqrt(expected))


def _loss_at_lower_rates(intervals: Sequence[LoadInterval], maximum_bps: float) -> float:
    """Share of the packets that is lost well below the maximum: no sign of a full line at any rate."""
    lower = [one for one in intervals if _bits(one) * 1e6 <= LOWER_SHARE * maximum_bps * one.duration_us]
    sent = sum(max(one.lost, 0) + one.datagrams for one in lower)
    # The first intervals after a full line still report what it lost.
    ratios = sorted(max(one.lost, 0) / (max(one.lost, 0) + one.datagrams) for one in lower if one.datagrams)
    return ratios[len(ratios) // 2] if sent >= LEAST_LOWER_PACKETS else 0.0


def _has_queue(one: LoadInterval) -> bool:
    """True if each packet waited for longer than the line takes for the packets before it."""
    if one.delay_min_us is None or not one.datagrams:
        return False
    service_us = one.duration_us / one.datagrams
    return one.delay_min_us >= max(QUEUE_US, QUEUE_PACKETS * service_us)


def _bound_up(report: LoadReport) -> Bound:
    """Limit of an upload without a sign of congestion: the peer's feedback has the rate it asked for."""
    last = report.sent_intervals[-2 * _END :]
    due = sum(one.requested_bps * one.duration_us for one in last)
    sent = sum(one.ip_bytes * 8e6 for one in last)
    if sent < SENDER_SHARE * due:
        return Bound.SENDER
    if last and last[-1].requested_bps >= AS_ASKED * report.planned_bps:
        return Bound.REQUESTED_RATE
    # A peer that may not send faster asks for the same rate to the end.
    is_flat = len(last) == 2 * _END and len({one.requested_bps for one in last}) == 1
    return Bound.PEER if is_flat else Bound.TIME


def _bound_down(report: LoadReport) -> Bound:
    """Limit of a download without a sign of congestion.

    The rate should climb by a row an interval. A peer that may not send faster stays exactly at a row of its
    table; a sender that cannot is anywhere.
    """
    last = report.intervals[-2 * _END - 1 : -1]
    if len(last) < 2 * _END:
        return Bound.TIME
    before, after = _mean_bps(last[:_END]), _mean_bps(last[_END:])
    if after >= AS_ASKED * report.planned_bps:
        return Bound.REQUESTED_RATE
    if after - before > _SLOWEST_CLIMB_BPS / 2:
        return Bound.TIME
    row_bps = max(round(after / ROW_BPS), 1) * ROW_BPS
    steady = all(abs(_mean_bps([one]) - after) <= NEAR * after for one in last)
    is_row = abs(after - row_bps) <= min(0.005 * after, ROW_BPS / 5)
    return Bound.PEER if is_row and steady else Bound.SENDER


def _mean_bps(intervals: Sequence[LoadInterval]) -> float:
    return sum(_bits(one) for one in intervals) * 1e6 / sum(one.duration_us for one in intervals)
