"""Busy window: a time in which the line's queue never emptied, and the capacity that it shows. Pure.

In a FIFO, everything that arrives between two packets leaves between their departures. While there is a queue
the line never idles. All that leaves it in that time, the site's own traffic included, is its capacity.

| direction | the interface counts | in a window |
|---|---|---|
| down | what left the line | the capacity, if it arrived evenly |
| up | what was offered to the line | the same, if no packet of the test was lost and the queue was not full |
| up, with loss or a full queue | what was offered to the line | at most so much of the others' traffic |

The ends of a window are marks of the counters. A mark is placed in the series of the test by the bytes of the
test sent or received before it.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from wire.udpstp.load import LoadInterval

# Smallest delay, above that of the test, that is a queue: no jitter looks like it.
QUEUE_US = 10_000

# Shortest window: in a shorter one, a packet more or less at an end changes the result too much.
LEAST_SPAN_US = 800_000

# Deviation of the counters from an even flow: beyond it they are renewed too seldom, or the rate varies.
UNEVEN_S = 0.025

LARGEST_PACKET = 1500
# Factor for packets that are counted before segmentation: 52 bytes of header are missing in each 1,448.
UNCOUNTED_HEADERS = 1.05

# Share of the longest delay, and part of a window above it, from which the queue may be full.
_FULL_SHARE, _FULL_PART = 0.9, 0.15

# Up, intervals are as long as the peer measured them, and their ends differ by its timer.
_SLACK_US = 5_000
# Time that a mark may have been taken after the newest packet that it counts.
_BESIDE_US = 20_000


class AlignedMark(Struct, frozen=True):
    """Mark of the counters, placed in the test's own series.

    ``series_us`` is when the newest packet of the test that the mark counts arrived, ``at_s`` when the mark
    was taken. ``line_bytes`` and ``line_packets`` are the interface's counts, ``own_bytes`` and
    ``own_packets`` the test's.
    """

    series_us: float
    at_s: float
    line_bytes: int
    line_packets: int
    own_bytes: int
    own_packets: float


class BusyWindow(Struct, frozen=True):
    """Time in which the queue never emptied: rates of the test and, as a span, of all others, bit/s."""

    lasted_us: int
    share_bps: float
    least_other_bps: float
    most_other_bps: float


class OwnArrivals:
    """Arrivals of the test's own packets: from a count of bytes to a time, and back.

    ``packet_bytes`` is their mean size. ``whole`` is False for a series with gaps or out of order, which
    cannot be used.
    """

    def __init__(self, intervals: Sequence[LoadInterval], packet_bytes: float) -> None:
        self._intervals = list(intervals)
        self._size = packet_bytes
        self.whole = bool(intervals) and all(
            abs(one.offset_us + one.duration_us - following.offset_us) <= _SLACK_US
            for one, following in pairwise(intervals)
        )
        self._sent, self._received, sent, received = [0.0], [0.0], 0.0, 0.0
        for one in intervals:
            sent += (one.datagrams - one.duplicated + one.lost) * packet_bytes
            received += one.ip_bytes  # duplicates, too: marks count what is on the line
            self._sent.append(sent)
            self._received.append(received)

    def when(self, own_bytes: float, *, sent: bool) -> float | None:
        """Arrival of the byte with this number, of those sent or of those received, in us of the series."""
        totals = self._sent if sent else self._received
        index = bisect_left(totals, own_bytes)
        if not 0 < index < len(totals) or totals[index] <= totals[index - 1]:
            return None
        one = self._intervals[index - 1]
        part = (own_bytes - totals[index - 1]) / (totals[index] - totals[index - 1])
        return one.offset_us + part * one.duration_us

    def between(self, begin_us: float, end_us: float) -> tuple[float, int]:
        """Bytes of the test that arrived between two moments, and the packets that were lost."""
        arrived, lost = 0.0, 0
        for one in self._touched(begin_us, end_us):
            within = min(end_us, one.offset_us + one.duration_us) - max(begin_us, one.offset_us)
            arrived += one.distinct_ip_bytes * within / one.duration_us
            lost += max(0, one.lost)
        return arrived, lost

    def has_queue(self, begin_us: float, end_us: float, guard_us: float) -> bool:
        """True if every packet between the two moments waited for ``guard_us`` or longer."""
        touched = self._touched(begin_us - _BESIDE_US, end_us + _BESIDE_US)
        return bool(touched) and all((one.delay_min_us or 0) >= guard_us for one in touched)

    def may_be_full(self, begin_us: float, end_us: float) -> bool:
        """True if the delay stays near the longest of all: a full queue may refuse only others' packets."""
        touched = self._touched(begin_us, end_us)
        longest = max((one.delay_max_us or 0 for one in self._intervals), default=0)
        near = sum((one.delay_max_us or 0) >= _FULL_SHARE * longest for one in touched)
        return near > _FULL_PART * len(touched)

    def _touched(self, begin_us: float, end_us: float) -> list[LoadInterval]:
        return [
            one
            for one in self._intervals
            if one.offset_us < end_us and one.offset_us + one.duration_us > begin_us
        ]


def down_window(marks: Sequence[AlignedMark], arrived: OwnArrivals, guard_us: float) -> BusyWindow | None:
    """Longest window of a download, if it is long enough and its traffic arrived evenly."""
    found = max(_runs(marks, arrived, guard_us), key=_lasted_s, default=None)
    if found is None or _lasted_s(found) * 1e6 < LEAST_SPAN_US or not _even(found):
        return None
    first, last = found[0], found[-1]
    seconds = last.at_s - first.at_s
    all_bps = (last.line_bytes - first.line_bytes) * 8 / seconds
    share = min(all_bps, arrived.between(first.series_us, last.series_us)[0] * 8e6 / _span_us(found))
    other = all_bps - share
    return BusyWindow(round(seconds * 1e6), share, other, other * _uncounted(first, last))


def up_window(marks: Sequence[AlignedMark], arrived: OwnArrivals, guard_us: float) -> BusyWindow | None:
    """Longest window of an upload without loss, or else the one with the least room for others' traffic."""
    windows = [
        _offered(run[begin], run[end], arrived)
        for run in _runs(marks, arrived, guard_us)
        for begin in range(len(run))
        for end in range(begin + 1, len(run))
        if run[end].series_us - run[begin].series_us >= LEAST_SPAN_US
    ]
    # A window without others' traffic is exact, too: nothing was offered besides the test.
    exact = [one for one in windows if one.least_other_bps or not one.most_other_bps]
    if exact:
        return max(exact, key=lambda one: one.lasted_us)
    return min(windows, key=lambda one: one.share_bps + one.most_other_bps, default=None)


def _offered(first: AlignedMark, last: AlignedMark, arrived: OwnArrivals) -> BusyWindow:
    lasted_us = last.series_us - first.series_us
    own, lost = arrived.between(first.series_us, last.series_us)
    other = max(0, last.line_bytes - first.line_bytes - (last.own_bytes - first.own_bytes))
    bps = other * 8e6 / lasted_us
    doubt = lost or arrived.may_be_full(first.series_us, last.series_us)
    least, most = 0.0 if doubt else bps, bps * _uncounted(first, last)
    return BusyWindow(round(lasted_us), own * 8e6 / lasted_us, least, most)


def _uncounted(first: AlignedMark, last: AlignedMark) -> float:
    """Factor by which others' bytes may exceed their count, if packets were counted before segmentation."""
    other_bytes = last.line_bytes - first.line_bytes - (last.own_bytes - first.own_bytes)
    other_packets = last.line_packets - first.line_packets - (last.own_packets - first.own_packets)
    return UNCOUNTED_HEADERS if other_bytes > LARGEST_PACKET * (other_packets + 1) else 1.0


def _runs(marks: Sequence[AlignedMark], arrived: OwnArrivals, guard_us: float) -> list[list[AlignedMark]]:
    """Runs of marks, cut wherever the queue may have emptied between two of them."""
    runs: list[list[AlignedMark]] = []
    for before, after in pairwise(marks):
        if not arrived.has_queue(before.series_us, after.series_us, guard_us):
            continue
        if not runs or runs[-1][-1] is not before:
            runs.append([before])
        runs[-1].append(after)
    return runs


def _even(run: Sequence[AlignedMark]) -> bool:
    first, last = run[0], run[-1]
    rate = (last.line_bytes - first.line_bytes) / _lasted_s(run)
    return all(
        abs(one.line_bytes - first.line_bytes - rate * (one.at_s - first.at_s)) <= UNEVEN_S * rate
        for one in run
    )


def _lasted_s(run: Sequence[AlignedMark]) -> float:
    return run[-1].at_s - run[0].at_s


def _span_us(run: Sequence[AlignedMark]) -> float:
    return max(1.0, run[-1].series_us - run[0].series_us)
