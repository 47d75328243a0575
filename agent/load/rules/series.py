"""Raw series of a load test: growth of its delay, parts of it, and the samples kept with a verdict. Pure."""

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from wire.records import Direction, LoadSample
from wire.udpstp.load import DrainSample, LoadInterval, LoadReport

SAMPLE_US = 100_000
MOST_SAMPLES = 600
_END = 5  # intervals of 50 ms that represent one end of a test
PROBE_IP_BYTES = 60
PROBES_BPS = PROBE_IP_BYTES * 8 / 0.004  # one each 4 ms (``wire.udpstp.ends.sender``)
# Probes that arrive so soon after the load see its queue drained, and the path as it was during the load.
DRAIN_WINDOW_US = 45_000
# Part of each quarter's share of the growth below which the queue did not grow steadily.
STEADY_SHARE = 0.4
# A steady queue never shrinks by more than jitter, or this part of its growth.
SHRUNK_US, SHRUNK_SHARE = 12_000, 0.2
# Time in which a dozen probes arrive, so that the least of their delays is free of jitter.
_SLOT_US = 50_000
# Part of its growth that a steady queue has reached when the last quarter of the load begins.
_AT_LAST_QUARTER = 0.8
# Intervals of one growth: a step of the path then touches a fifth of those of a test of 2 s.
_APART = 7
# Time without an arrival that no queue and no radio of a working line makes.
HOLE_US = 200_000
EDGE_US, _UNUSUAL = 30_000, 10


class Growth(Struct, frozen=True):
    """Growth of one-way delay: in microseconds, and per microsecond of receiving.

    ``sustained`` growth lasted throughout the test, ``steady`` growth had its share of it in each quarter.
    Growth that is not ``known`` says nothing of a queue.
    """

    gained_us: float = 0.0
    rate: float = 0.0
    sustained: bool = False
    known: bool = False
    steady: bool = False


class QueueDrain(Struct, frozen=True):
    """Signs of the probes sent after a load, in microseconds.

    ``path_shift_us`` is the delay of the idle path after the load minus that before it. ``depth_us`` is the
    depth of the load's queue at its end, below 0 if the path became longer just then. ``rate`` is that depth
    per microsecond of receiving. ``envelope_rate`` is a second, coarser rate: from the least delays of the
    load's last quarter, and of all probes. ``median_rate`` is a third: the median growth within the load, in
    which a single step of the path does not count. ``idle_range_us`` is by how much the delay of the idle
    path varied after the load. ``shortened_us`` is by how much the path may have become shorter since the
    load's first packets.
    """

    path_shift_us: float
    depth_us: float
    rate: float
    idle_range_us: float
    envelope_rate: float
    median_rate: float
    shortened_us: float


def queue_growth(intervals: Sequence[LoadInterval]) -> Growth:
    """Growth of one-way delay over the test; not ``known`` where too little arrived.

    In a growing queue the smallest delay of an interval is that of its first packet, hence its time is the
    interval's begin. The end is the median of the last five intervals, so that one late stall does not count.
    The trend from the five before carries it on to the last arrival: a full queue grows no further.
    """
    known = [one for one in intervals if one.delay_min_us is not None]
    series = [(one.offset_us, one.delay_min_us or 0.0) for one in known]
    if len(series) < 2 * _END or not _in_order(series):
        return Growth()
    begin_us, low = series[0][0], min(delay for _, delay in series[:3])
    (at_before, before), (at_last, last) = _median(series[-2 * _END : -_END]), _median(series[-_END:])
    over_us = known[-1].offset_us + known[-1].duration_us
    trend = max(0.0, (last - before) / (at_last - at_before))
    gained = last - low + trend * (over_us - at_last)
    if gained <= 0:
        return Growth(known=True)
    # At 1 the line would carry nothing, and the slope per second of sending would be infinite.
    rate = min(0.99, gained / (over_us - begin_us))
    return Growth(
        gained, rate, _sustained(series, low, gained), known=True, steady=_is_steady(series, low, gained)
    )


def _in_order(series: Sequence[tuple[int, float]]) -> bool:
    """True if time runs forward. Up, offsets are of the peer's wall clock, which may be set back."""
    return all(earlier[0] < later[0] for earlier, later in pairwise(series))


def _sustained(series: Sequence[tuple[int, float]], low: float, gained: float) -> bool:
    """True if delay grew in the first half already: a burst of other traffic near the end leaves it flat."""
    half = (len(series) - _END) // 2
    return _median(series[half : half + _END])[1] - low >= gained / 4


def _is_steady(series: Sequence[tuple[int, float]], low: float, gained: float) -> bool:
    """True if each quarter has its share of the growth: a rate that varies makes a queue come and go."""
    quarter = len(series) // 4
    # The least of the last two intervals: jitter only ever adds.
    marks = [
        low,
        *(min(delay for _, delay in series[at - 2 : at]) for at in (quarter, 2 * quarter, 3 * quarter)),
    ]
    parts = [after - before for before, after in pairwise([*marks, low + gained])]
    if any(part < STEADY_SHARE * gained / 4 for part in parts):
        return False
    # A rate that swings once a quarter looks even in these marks, but its queue shrinks between them.
    highest = shrunk = 0.0
    for _, delay in series:
        highest = max(highest, delay)
        shrunk = max(shrunk, highest - delay)
    return shrunk <= max(SHRUNK_US, SHRUNK_SHARE * gained)


def queue_drain(report: LoadReport) -> QueueDrain | None:
    """Signs of the probes after the load; None if they or the delays of the load are missing.

    A queue of our own drains at 1 ms a ms when the load stops. The probes behind it then see the idle path.
    A path whose own delay changed does not come back.
    """
    known = [one for one in report.intervals if one.delay_min_us is not None]
    # A peer's clock that is set back, or a peer that lies, gives times that cannot be divided by.
    in_order = _in_order([(one.offset_us, one.delay_min_us or 0.0) for one in known])
    if len(known) < 2 * _END or not in_order or not report.received_bps:
        return None
    last = min(known[-2:], key=lambda one: one.delay_min_us or 0.0)
    # Probes sent into the load's queue arrive behind it; on a very slow line they are a queue of their own.
    drained_us = (last.delay_min_us or 0.0) * PROBES_BPS / report.received_bps
    # Up, a sample has the least delay of the 50 ms that follow it.
    sample_us = _SLOT_US if report.direction is Direction.UP else 0
    probes = [one for one in report.drain if one.offset_us + sample_us >= drained_us]
    if not probes:
        return None
    # On a path that became longer just after the load they arrive later.
    until_us = max(drained_us, probes[0].offset_us) + DRAIN_WINDOW_US
    idle = [one.delay_us for one in probes if one.offset_us < until_us]
    # A full-size packet takes longer to serialise than a probe.
    size = report.sent_ip_bytes / report.sent_packets - PROBE_IP_BYTES
    after = min(idle) + size * 8e6 / report.received_bps
    first = [one.delay_min_us or 0.0 for one in known[:3]]
    before = min(first)
    last_us = last.delay_min_us or 0.0
    depth = last_us - after
    # Arrivals take as much longer than the sending as delay has grown, by the queue or by the path.
    sending_us = last.offset_us - known[0].offset_us - (last_us - first[0])
    taken_us = max(1.0, sending_us + max(0.0, depth))
    quarter = [one.delay_min_us or 0.0 for one in known[-(len(known) // 4) :]]
    least_idle = min(one.delay_us for one in probes) + size * 8e6 / report.received_bps
    # Half of the quarter is missing in the growth of a queue that began with the load.
    envelope = (min(quarter) - least_idle) / taken_us / _AT_LAST_QUARTER
    return QueueDrain(
        path_shift_us=after - before,
        depth_us=depth,
        rate=min(0.99, max(0.0, depth) / taken_us),
        idle_range_us=_idle_range_us(probes),
        envelope_rate=envelope,
        median_rate=_median_growth(known),
        shortened_us=max(0.0, max(first) - least_idle),
    )


def _median_growth(known: Sequence[LoadInterval]) -> float:
    """Median growth of delay over a third of a second, per microsecond of receiving."""
    growths = sorted(
        ((after.delay_min_us or 0.0) - (before.delay_min_us or 0.0)) / (after.offset_us - before.offset_us)
        for before, after in zip(known, known[_APART:], strict=False)
    )
    return growths[len(growths) // 2]


def _idle_range_us(probes: Sequence[DrainSample]) -> float:
    """Range of the least delays of 50 ms each, after the queue has drained."""
    least: dict[int, float] = {}
    for one in probes:
        slot = one.offset_us // _SLOT_US
        least[slot] = min(least.get(slot, one.delay_us), one.delay_us)
    return max(least.values()) - min(least.values())


def is_interrupted(report: LoadReport) -> bool:
    """True if nothing arrived for 0.2 s and packets sent meanwhile are lost: the line was away.

    At the begin and at the end of the load a hole is cut off, so that 30 ms are enough. A line that carries a
    small part of the load also loses many packets in a row, but not ten times its share.
    """
    arrived = [one for one in report.intervals if one.datagrams]
    if not report.planned_packets or not arrived:
        return False
    spacing_us = report.planned_duration_us / report.planned_packets
    behind = report.lost - sum(one.lost for one in report.intervals)
    run = max(arrived[0].lost, behind)
    if run * spacing_us >= EDGE_US and run * report.received_packets >= _UNUSUAL * report.sent_packets:
        return True
    for before, after in pairwise(arrived):
        hole_us = after.offset_us - before.offset_us - before.duration_us
        if hole_us >= HOLE_US and after.lost * spacing_us >= hole_us / 2:
            return True
    return False


def _median(series: Sequence[tuple[int, float]]) -> tuple[int, float]:
    """Median time and median delay of an odd number of intervals."""
    # Not ``statistics.median``: that module takes a quarter of a megabyte of the resident agent.
    middle = len(series) // 2
    return sorted(at for at, _ in series)[middle], sorted(delay for _, delay in series)[middle]


def share_above(intervals: Sequence[LoadInterval], bps: float) -> float:
    """Share of the second half's intervals that received more than ``bps``; 0 without any."""
    # A policer's token bucket is full at the start: the first half would show the bucket, not the rate.
    half = [one for one in intervals[len(intervals) // 2 : -1] if one.duration_us]
    above = sum(one.distinct_ip_bytes * 8e6 / one.duration_us > bps for one in half)
    return above / len(half) if half else 0.0


def part_of(report: LoadReport, begin_us: int, end_us: int) -> LoadReport | None:
    """Report of the test as if it had lasted from ``begin_us`` to ``end_us`` of its series.

    None if nothing arrived between the two. Intervals that lie partly outside are left out. The sent packets
    are those that arrived or were lost between. The sender's pace and its faults stay those of the whole
    test, since they spoil every part.
    """
    inside = tuple(
        one
        for one in report.intervals
        if begin_us <= one.offset_us and one.offset_us + one.duration_us <= end_us
    )
    duration_us = sum(one.duration_us for one in inside)
    received = sum(one.datagrams for one in inside)
    if received < 2 or duration_us <= 0 or report.sent_packets < 2:
        return None
    duplicated = sum(one.duplicated for one in inside)
    lost = max(0, sum(one.lost for one in inside))
    sent = max(1, received - duplicated + lost)
    return replace(
        report,
        planned_duration_us=duration_us,
        planned_packets=round(report.planned_packets * duration_us / report.planned_duration_us),
        sent_packets=sent,
        sent_ip_bytes=round(report.sent_ip_bytes * sent / report.sent_packets),
        send_span_us=round(report.send_span_us * (sent - 1) / (report.sent_packets - 1)),
        received_packets=received,
        received_ip_bytes=sum(one.ip_bytes for one in inside),
        receive_span_us=round(duration_us * (received - 1) / received),
        lost=lost,
        duplicated=duplicated,
        reordered=sum(one.reordered for one in inside),
        intervals=inside,
        drain=(),
    )


def samples(intervals: Sequence[LoadInterval]) -> tuple[LoadSample, ...]:
    """Samples of 100 ms for the record of a verdict, of the first minute at most."""
    steps: dict[int, list[LoadInterval]] = {}
    for one in intervals:
        steps.setdefault(max(0, one.offset_us) // SAMPLE_US, []).append(one)
    return tuple(_sample(steps[number]) for number in sorted(steps)[:MOST_SAMPLES])


def _sample(parts: Sequence[LoadInterval]) -> LoadSample:
    least = [one.delay_min_us for one in parts if one.delay_min_us is not None]
    most = [one.delay_max_us for one in parts if one.delay_max_us is not None]
    return LoadSample(
        offset_us=max(0, parts[0].offset_us),
        duration_us=sum(max(0, one.duration_us) for one in parts),
        ip_bytes=sum(one.ip_bytes for one in parts),
        lost=sum(one.lost for one in parts),
        delay_min_us=max(0, round(min(least))) if least else None,
        delay_max_us=max(0, round(max(most))) if most else None,
    )
