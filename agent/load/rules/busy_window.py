"""What a line carried while its queue never emptied: its capacity, whoever filled it. No I/O, no clock.

In a FIFO all that arrives between two packets leaves between their departures. While a queue stands the line
never idles, so that what left it in that time is its capacity, the site's own traffic included. Downstream
the interface counts what left the line. Upstream it counts what was offered; if none of the test's packets
was lost in between and the queue did not fill, all of that left the line from the arrival of the one packet
to that of the other at the peer, and else no more than that.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from wire.udpstp.load import LoadInterval

STANDING_US = 10_000
"""A queue stands where the smallest delay is so far above that of the test: no jitter looks like it."""

LEAST_SPAN_US = 800_000
"""Shorter than this, a packet more or less at an end is too much of the whole."""

UNEVEN_S = 0.025
"""Counters that lie further off an even flow are renewed too seldom, or the line's rate is no constant."""

LARGEST_PACKET = 1500
UNCOUNTED_HEADERS = 1.05
"""Packets that an interface counts before they are cut, or joined, miss 52 bytes of header in each 1448."""

_FULL_SHARE, _FULL_PART = 0.9, 0.15
"""Where a window stays so near the longest delay for such a part, the queue may be full, and others lose."""

_SLACK_US = 5_000
_BESIDE_US = 20_000
"""A mark may have been taken so long after the newest packet that it tells of."""


class AlignedMark(Struct, frozen=True):
    """One mark in the test's own series: ``series_us`` when the newest of its packets then known arrived.

    ``at_s`` is the moment itself; ``line_bytes`` in ``line_packets`` the interface had counted, ``own_bytes``
    in ``own_packets`` are the test's.
    """

    series_us: float
    at_s: float
    line_bytes: int
    line_packets: int
    own_bytes: int
    own_packets: float


class BusyWindow(Struct, frozen=True):
    """A time in which the queue never emptied: bit/s of the test, and at least and at most of all others."""

    lasted_us: int
    share_bps: float
    least_other_bps: float
    most_other_bps: float


class OwnArrivals:
    """The test's own packets as they arrived: from how many of them were sent before to when, and back.

    ``packet_bytes`` is their mean size. A series with gaps, or out of order, tells nothing.
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
            received += one.ip_bytes
            self._sent.append(sent)
            self._received.append(received)

    def when(self, own_bytes: float, *, sent: bool) -> float | None:
        """When the byte of that number, of those sent or of those received, arrived; us of the series."""
        totals = self._sent if sent else self._received
        index = bisect_left(totals, own_bytes)
        if not 0 < index < len(totals) or totals[index] <= totals[index - 1]:
            return None
        one = self._intervals[index - 1]
        part = (own_bytes - totals[index - 1]) / (totals[index] - totals[index - 1])
        return one.offset_us + part * one.duration_us

    def between(self, begin_us: float, end_us: float) -> tuple[float, int]:
        """Bytes of the test that arrived from one moment to the other, and how many packets were missed."""
        arrived, lost = 0.0, 0
        for one in self._touched(begin_us, end_us):
            within = min(end_us, one.offset_us + one.duration_us) - max(begin_us, one.offset_us)
            arrived += one.ip_bytes * within / one.duration_us
            lost += max(0, one.lost)
        return arrived, lost

    def stands(self, begin_us: float, end_us: float, guard_us: float) -> bool:
        """Whether every packet between the two moments had waited for longer than ``guard_us``."""
        touched = self._touched(begin_us - _BESIDE_US, end_us + _BESIDE_US)
        return bool(touched) and all((one.delay_min_us or 0) >= guard_us for one in touched)

    def may_be_full(self, begin_us: float, end_us: float) -> bool:
        """Whether the delay stays about the longest of all: a full queue may refuse only others' packets."""
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


def downstream(places: Sequence[AlignedMark], arrived: OwnArrivals, guard_us: float) -> BusyWindow | None:
    """The longest window, if it is long enough and what arrived in it came evenly."""
    found = max(_runs(places, arrived, guard_us), key=_lasted_s, default=None)
    if found is None or _lasted_s(found) * 1e6 < LEAST_SPAN_US or not _even(found):
        return None
    first, last = found[0], found[-1]
    seconds = last.at_s - first.at_s
    all_bps = (last.line_bytes - first.line_bytes) * 8 / seconds
    share = min(all_bps, arrived.between(first.series_us, last.series_us)[0] * 8e6 / _span_us(found))
    other = all_bps - share
    return BusyWindow(round(seconds * 1e6), share, other, other * _uncounted(first, last))


def upstream(places: Sequence[AlignedMark], arrived: OwnArrivals, guard_us: float) -> BusyWindow | None:
    """The longest window without loss, or else the one that leaves the least room for others' traffic."""
    windows = [
        _offered(run[begin], run[end], arrived)
        for run in _runs(places, arrived, guard_us)
        for begin in range(len(run))
        for end in range(begin + 1, len(run))
        if run[end].series_us - run[begin].series_us >= LEAST_SPAN_US
    ]
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
    """By how much others' bytes may be more than counted: their packets tell whether they were whole."""
    other_bytes = last.line_bytes - first.line_bytes - (last.own_bytes - first.own_bytes)
    other_packets = last.line_packets - first.line_packets - (last.own_packets - first.own_packets)
    return UNCOUNTED_HEADERS if other_bytes > LARGEST_PACKET * (other_packets + 1) else 1.0


def _runs(places: Sequence[AlignedMark], arrived: OwnArrivals, guard_us: float) -> list[list[AlignedMark]]:
    """The marks, cut wherever the queue may have emptied between two of them."""
    runs: list[list[AlignedMark]] = []
    for before, after in pairwise(places):
        if not arrived.stands(before.series_us, after.series_us, guard_us):
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
