"""The site's own traffic beside a load test (cross traffic), from marks. Pure.

A mark has the counters of the line and the progress of the test's load at one moment. Between two marks the
counters show all traffic, and the test knows its own. The rest is the site's.

- Down, the counters show what arrived.
- Up, they show what was offered. While nothing is lost, it shared the fate of the test's packets in the
  queue.
- Up, with loss, all that is certain is that no more was carried than was offered. Size and timing decide
  which packets a full queue refuses.
"""

from collections.abc import Sequence

from msgspec import Struct

from agent.line.readings import CounterReading, Unavailable
from agent.load.rules import busy_window, series
from agent.load.rules.busy_window import AlignedMark, BusyWindow, OwnArrivals
from wire.records import Direction
from wire.udpstp.load import LoadInterval, LoadReport, LoadSoFar

# Shortest span of marks: in a shorter one, a packet more or less at an end changes the rate too much.
LEAST_SPAN_S = 0.8

# Part of a load that is enough to judge by, where the counters were read throughout.
SUFFICIENT_S = 1.3

# Span of the newest look at the site's own traffic, and of the first.
RECENT_S = 0.5

CONGESTED_US, CONGESTED_LOSS = 50_000, 0.02  # a queue, or a loss, that people at the site notice
DELIVERED_SHARE = 0.99
COUNTED_SHARE = 0.98  # of the test's own bytes: counters that saw less cannot have counted it
MARK_SLACK_S = 0.15  # a mark's two figures are of moments that differ by so much at most
IN_USE_SHARE = 0.05  # of the floor: so much traffic of the site's own shapes what a test sees


class OwnTraffic(Struct, frozen=True):
    """The site's own traffic in the direction of a test while its load ran; bit/s at the IP layer.

    ``bps`` is the part that the line carried. Where this is an estimate, ``most_bps`` is its upper end.
    ``total_bps`` is all that the line delivered, the test included, where it is counted on arrival.
    ``window`` is a part of the test in which the queue never emptied.
    """

    bps: float
    most_bps: float | None = None
    total_bps: float | None = None
    window: BusyWindow | None = None


class CounterMark(Struct, frozen=True):
    """Counters and progress of the load at one moment; ``at_s`` is on the monotonic clock."""

    at_s: float
    counters: CounterReading | Unavailable
    so_far: LoadSoFar


def between(
    marks: Sequence[CounterMark], report: LoadReport, whole: Sequence[LoadInterval] = ()
) -> OwnTraffic | Unavailable:
    """The site's own traffic from the first to the last of ``marks``; ``report`` is that of the test.

    ``whole`` is the series of the test from its begin, where ``report`` is a part of it.
    """
    down = report.direction is Direction.DOWN
    loaded = under_load(marks)
    if not loaded or loaded[-1].at_s - loaded[0].at_s < LEAST_SPAN_S:
        return _unavailable(marks) or Unavailable("the line's counters were read too seldom during the test")
    rates = _rates(loaded[0], loaded[-1], down=down)
    if isinstance(rates, Unavailable):
        return rates
    if (unproven := _unproven(loaded, down=down)) is not None:
        return unproven
    line_bps, own_bps = rates
    window = busy(loaded, report, whole or report.intervals)
    if down:
        other = max(0.0, line_bps - report.received_bps)
        return OwnTraffic(other, total_bps=line_bps, window=window)
    offered = max(0.0, line_bps - own_bps)
    if report.lost < (1 - DELIVERED_SHARE) * report.sent_packets:
        growth = series.queue_growth(report.intervals)
        return OwnTraffic(offered * (1 - growth.rate), window=window)
    fate = min(1.0, report.received_bps / report.sent_bps) if report.sent_bps else 0.0
    return OwnTraffic(offered * fate, most_bps=offered, window=window)


def unproven(counted: int, own: int) -> Unavailable | None:
    """Reason why counters that added ``counted`` bytes while the test moved ``own`` cannot be believed."""
    if counted >= COUNTED_SHARE * own:
        return None
    return Unavailable(
        f"the counters added {counted} bytes while the test alone moved {own}:"
        " they are refreshed too seldom, or count another line"
    )


def _unproven(loaded: Sequence[CounterMark], *, down: bool) -> Unavailable | None:
    """Check at every mark that the counters contain the test's own bytes until then.

    Counters that a router refreshes now and then lag behind, and jump: what they show is of another time.
    """
    first, last = loaded[0], loaded[-1]
    own_all = last.so_far.line_bytes - first.so_far.line_bytes
    slack = own_all * MARK_SLACK_S / (last.at_s - first.at_s)
    for mark in loaded[1:]:
        if isinstance(mark.counters, Unavailable) or isinstance(first.counters, Unavailable):
            continue
        added = mark.counters.since(first.counters)
        if isinstance(added, Unavailable):
            return added
        own = mark.so_far.line_bytes - first.so_far.line_bytes
        found = unproven(round((added.received_ip_bytes if down else added.sent_ip_bytes) + slack), own)
        if found is not None:
            return found
    return None


def busy(
    marks: Sequence[CounterMark], report: LoadReport, whole: Sequence[LoadInterval]
) -> BusyWindow | None:
    """Best window in which the queue never emptied; None without one, or if marks cannot be placed."""
    # With estimated counts a mark cannot be placed to the packet.
    if not report.sent_packets or report.estimated_packets:
        return None
    down = report.direction is Direction.DOWN
    size = report.sent_ip_bytes / report.sent_packets
    arrived = OwnArrivals(whole, size)
    if not arrived.whole:
        return None
    # A sender that paused for longer than the queue lasted has let the line idle.
    guard_us = max(busy_window.QUEUE_US, report.longest_gap_us)
    find = busy_window.down_window if down else busy_window.up_window
    return find(_aligned(marks, arrived, size, down=down), arrived, guard_us)


def _aligned(
    marks: Sequence[CounterMark], arrived: OwnArrivals, size: float, *, down: bool
) -> list[AlignedMark]:
    """Marks that can be placed in the series: it has the arrival of the newest byte that they count."""
    places = []
    for mark in marks:
        counters, own_bytes = mark.counters, mark.so_far.line_bytes
        at_us = arrived.when(own_bytes, sent=not down)
        if isinstance(counters, CounterReading) and at_us is not None:
            line_bytes = counters.received_ip_bytes if down else counters.sent_ip_bytes
            packets = counters.received_packets if down else counters.sent_packets
            places.append(AlignedMark(at_us, mark.at_s, line_bytes, packets, own_bytes, own_bytes / size))
    return places


def under_load(marks: Sequence[CounterMark]) -> Sequence[CounterMark]:
    """Marks since the load began to cross the line."""
    begun = next((index for index, mark in enumerate(marks) if mark.so_far.line_bytes), len(marks))
    return marks[begun:]


def should_give_way(marks: Sequence[CounterMark], direction: Direction, floor_bps: float) -> bool:
    """True if the site uses the line, the test congests it, and both were seen for long enough."""
    loaded = under_load(marks)
    if not loaded or loaded[-1].at_s - loaded[0].at_s < SUFFICIENT_S:
        return False
    recent = [(_before(loaded, mark), mark) for mark in loaded[-2:]]
    # Its begin counts, too: a test at the floor starves the traffic that shares a slow line with it.
    after = [mark for mark in loaded if mark.at_s - loaded[0].at_s >= RECENT_S]
    first = [(loaded[0], mark) for mark in after[:2]]
    in_use = max(_surely_other_bps(recent, direction), _surely_other_bps(first, direction))
    before, newest = recent[-1]
    return in_use >= IN_USE_SHARE * floor_bps and _congests(before.so_far, newest.so_far)


def _before(loaded: Sequence[CounterMark], last: CounterMark) -> CounterMark:
    return next(mark for mark in reversed(loaded) if last.at_s - mark.at_s >= RECENT_S)


def _surely_other_bps(spans: Sequence[tuple[CounterMark, CounterMark]], direction: Direction) -> float:
    """Lesser of two looks: a reader that is late once makes the test's own bytes look like others'."""
    return min(_other_bps(begin, end, direction) for begin, end in spans)


def _congests(before: LoadSoFar, newest: LoadSoFar) -> bool:
    lost, packets = newest.lost_packets - before.lost_packets, newest.packets - before.packets
    return newest.delay_us >= CONGESTED_US or lost > CONGESTED_LOSS * (packets + lost)


def _other_bps(first: CounterMark, last: CounterMark, direction: Direction) -> float:
    """Traffic of the site, bit/s; 0 where it is not known, because no test gives way to it then."""
    rates = _rates(first, last, down=direction is Direction.DOWN)
    return 0.0 if isinstance(rates, Unavailable) else rates[0] - rates[1]


def _rates(first: CounterMark, last: CounterMark, *, down: bool) -> tuple[float, float] | Unavailable:
    """Rates of the line and of the test between two marks; bit/s at the IP layer."""
    if isinstance(first.counters, Unavailable):
        return first.counters
    added = last.counters if isinstance(last.counters, Unavailable) else last.counters.since(first.counters)
    if isinstance(added, Unavailable):
        return added
    per_second = 8 / (last.at_s - first.at_s)
    line = added.received_ip_bytes if down else added.sent_ip_bytes
    return line * per_second, (last.so_far.line_bytes - first.so_far.line_bytes) * per_second


def _unavailable(marks: Sequence[CounterMark]) -> Unavailable | None:
    return next((mark.counters for mark in marks if isinstance(mark.counters, Unavailable)), None)
