"""What a search shows of the line: Maximum IP-Layer Capacity (RFC 9097 §5, §6), as a function of its report.

**Method.** The series of 50 ms is cut into sub-intervals of equal length (dt, 1 s by default, §5.3). Each
gives the IP-layer bits that were *received* in it, duplicates apart, over the time it lasted; the maximum
of them is the result (§5.3, §6.3), told with its time and with the loss of that same sub-interval (§6.6).
No performance target leaves a sub-interval out: a line with random loss would have no capacity at all.

**Why the maximum is neither too great nor too small.** Counted behind the line's queue, nothing passes
faster than the line but the depth of its token bucket, once. But the search swings: what it learns of a
queue comes later by that queue, so that it goes too far both ways, and a row is a quarter of 4 Mbit/s. Half
idle between two swings, a line of 4 Mbit/s delivers 3.7 in every second (measured, 100 ms of queue), one of
20 delivers 19.96. So the maximum is refined: time during which a queue stood throughout is put together to
sub-intervals of the same length, which hold no idle line and no bucket, and the greatest of them replaces
the maximum unless it is more than 2 % below: a line that slowed down, or that hides its rate behind a
bucket for seconds, keeps the plain one.

At its edges a stretch of time is wrong by one packet: 0.3 % of a second at 4 Mbit/s. Downstream they are
cut by kernel stamps; upstream they are sums of whole trial intervals, whose length the peer measured
itself, and a sub-interval with a lost Status in it is left out.

**When it is only a lower bound** (§6.5). A second put together of standing queue proves that the line was
full. Without one, loss or a shorter queue is the sign, and a full line delivers the same in every interval
that has it: where fewer than half of them come near the maximum, or the sender stood still for more than
2 % of the time, something else was the limit.
"""

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

INTERVAL_US = 1_000_000
"""dt of RFC 9097 §5.3, its default."""

CLOCK_STEP_US = 5_000  # a tenth of an interval
REFUSED_SHARE = 0.005  # packets that reached this host and were dropped in it
STANDING_US = 5_000  # a smallest delay of an interval beyond this is a queue, not a busy host
STANDING_PACKETS = 2  # or as long as the line takes for so many packets, where that is more
SAME_LINE = 0.02
STRETCH = 3  # intervals in a row, so that few edges are in a second
LOSS_SIGN = 0.005
NEAR = 0.05  # one interval of 50 ms holds as few as 20 packets
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
    """Sums over consecutive intervals."""

    offset_us: int
    duration_us: int
    received_bits: float
    distinct: int
    lost: int
    delay_us: float | None

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
    """Why a search must not be judged by: the instrument spoilt it, or left nothing whole to judge."""
    if abs(report.wall_step_us) > CLOCK_STEP_US:
        return Failure.CLOCK_STEPPED  # it cuts the intervals, and one-way delays drive the search
    if report.receiver_drops > REFUSED_SHARE * max(report.received_packets, 1):
        return Failure.RECEIVER_SLOW
    if not sub_intervals(report.intervals, interval_us):
        return Failure.BUDGET_SPENT if report.bytes_spent else Failure.CONNECTION_LOST
    return None


def is_usable(report: LoadReport) -> bool:
    """Whether the search came as far as it was meant to, be it by its limit of bytes."""
    return report.ending in USABLE or report.bytes_spent


def sub_intervals(
    intervals: Sequence[LoadInterval], interval_us: int = INTERVAL_US
) -> tuple[CapacityInterval, ...]:
    """Equal sub-intervals of ``interval_us``, as many as are whole; the last interval ends with the load."""
    return tuple(one.record() for one in _cut(intervals[:-1], interval_us))


def _cut(intervals: Sequence[LoadInterval], interval_us: int) -> Iterator[_SubInterval]:
    group: list[LoadInterval] = []
    length = 0
    for one in intervals:
        if group and abs(one.offset_us - group[-1].offset_us - group[-1].duration_us) > _HOLE_US:
            group, length = [], 0
        group.append(one)
        length += one.duration_us
        # As RFC 9946 §8.2 closes its own: granularity is the trial interval's.
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
    )


def _bits(one: LoadInterval) -> float:
    """IP-layer bits received, a packet that came twice counted once."""
    return one.ip_bytes * 8.0 * _ratio(one.datagrams - one.duplicated, one.datagrams)


def _ratio(part: float, whole: float) -> float:
    return min(max(part / whole, 0.0), 1.0) if whole else 0.0


def maximum(intervals: Sequence[LoadInterval], interval_us: int = INTERVAL_US) -> CapacityInterval:
    """The sub-interval of Maximum_C, refined by the time in which a queue stood.

    Raises ValueError where no sub-interval is whole.
    """
    plain = max(_cut(intervals[:-1], interval_us), key=lambda one: one.received_bps)
    least = plain.received_bps * (1 - SAME_LINE)
    full = [one for one in _cut_full(intervals[:-1], interval_us) if one.received_bps >= least]
    return max(full, key=lambda one: one.received_bps, default=plain).record()


def _cut_full(intervals: Sequence[LoadInterval], interval_us: int) -> Iterator[_SubInterval]:
    """Sub-intervals of nothing but time in which the line had a queue."""
    group: list[LoadInterval] = []
    length = 0
    for stretch in _stretches(intervals):
        for one in stretch:
            group.append(one)
            length += one.duration_us
            if length > interval_us - one.duration_us // 2:
                yield _sum(group, length)
                group, length = [], 0


def _stretches(intervals: Sequence[LoadInterval]) -> Iterator[list[LoadInterval]]:
    """Runs of intervals in which a queue stood throughout."""
    stretch: list[LoadInterval] = []
    for one in intervals:
        if _has_queue(one):
            stretch.append(one)
            continue
        if len(stretch) >= STRETCH:
            yield stretch
        stretch = []
    if len(stretch) >= STRETCH:
        yield stretch


def values(
    report: LoadReport,
    line_counters: LineCounters,
    *,
    other_bps: float | None = None,
    under_load: LatencyUnderLoad | None = None,
    interval_us: int = INTERVAL_US,
) -> CapacityValues:
    """The result of a search that :func:`why_invalid` finds nothing against.

    ``other_bps``: the site's own traffic beside it, where ``line_counters`` could tell. Raises ValueError
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
    """What else than the line limited the search, None where it was the line."""
    maximum_bps = maximum(report.intervals, interval_us).received_bps
    if maximum_bps >= AS_ASKED * report.planned_bps:
        return Bound.REQUESTED_RATE
    if any(_is_near(one, maximum_bps) for one in _cut_full(report.intervals[:-1], interval_us)):
        return None
    if report.stall_us > STALL_SHARE * report.planned_duration_us:
        return Bound.SENDER
    if was_full(report.intervals, maximum_bps):
        return None
    if report.bytes_spent:
        return Bound.BUDGET
    return _bound_up(report) if report.direction is Direction.UP else _bound_down(report)


def was_full(intervals: Sequence[LoadInterval], maximum_bps: float) -> bool:
    """Whether enough intervals with a standing queue or with loss delivered what the maximum is."""
    congested = [one for one in intervals if _is_congested(one)]
    near = sum(_delivers(one, maximum_bps) for one in congested)
    return near >= max(SIGNS, len(congested) / 2)


def _delivers(one: LoadInterval, rate_bps: float) -> bool:
    bits = _bits(one)
    packet = bits / one.datagrams if one.datagrams else 0.0
    return bits >= rate_bps * one.duration_us / 1e6 * (1 - NEAR) - 2 * packet


def _is_near(one: _SubInterval, rate_bps: float) -> bool:
    return abs(one.received_bps - rate_bps) <= NEAR * rate_bps


def _is_congested(one: LoadInterval) -> bool:
    return _has_queue(one) or one.lost > LOSS_SIGN * (one.lost + one.datagrams)


def _has_queue(one: LoadInterval) -> bool:
    """Whether a queue stood throughout: each packet waited longer than the line takes for the one before."""
    if one.delay_min_us is None or not one.datagrams:
        return False
    service_us = one.duration_us / one.datagrams
    return one.delay_min_us >= max(STANDING_US, STANDING_PACKETS * service_us)


def _bound_up(report: LoadReport) -> Bound:
    """The peer told the rate, so that a cap at the peer and a slow sender differ."""
    last = report.sent_intervals[-2 * _END :]
    due = sum(one.requested_bps * one.duration_us for one in last)
    sent = sum(one.ip_bytes * 8e6 for one in last)
    if sent < SENDER_SHARE * due:
        return Bound.SENDER
    if last and last[-1].requested_bps >= AS_ASKED * report.planned_bps:
        return Bound.REQUESTED_RATE
    is_flat = len(last) == 2 * _END and len({one.requested_bps for one in last}) == 1
    return Bound.PEER if is_flat else Bound.TIME


def _bound_down(report: LoadReport) -> Bound:
    """Without a congestion sign the rate climbs a row an interval; where it does not, it may not or cannot.

    A cap at the peer is a row of its table, to the packet; a sender that cannot is anywhere.
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
