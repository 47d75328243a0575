"""Rate of a line, from what left it while its queue stood. Pure.

A queue that is never empty leaves at the line's rate, however its packets came. It stands while a packet's
time inside the link is longer than the wire in front of it can explain. All other times are left out. A
policer has no queue: there all that leaves counts.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

from lab.netns.links.passages import Passage
from lab.netns.settings import KernelLineSettings

# Shorter times say little: the kernel's bucket of 2 ms comes to 0.1 % of this.
LEAST_NS = 1_500_000_000
# Share of the queue that must stand, so that a packet's own time in it is not near nothing.
STANDING_SHARE = 0.3

Departure = tuple[int, int]
"""Time in ns at which a packet left, and its bytes."""


def standing_rate_bps(passages: Iterable[Passage], line: KernelLineSettings, begin_ns: int) -> float | None:
    """IP-layer rate of the longest time in which the queue stood, or None if there is none long enough.

    A log has one copy of each packet, so copies do not count. ``begin_ns``: end of the time in which a token
    bucket may pass more.
    """
    longest = max(_standing(passages, line, begin_ns), key=_lasted_ns, default=[])
    if _lasted_ns(longest) < LEAST_NS:
        return None
    return sum(size for _, size in longest[1:]) * 8e9 / _lasted_ns(longest)


def _standing(
    passages: Iterable[Passage], line: KernelLineSettings, begin_ns: int
) -> Iterator[list[Departure]]:
    longest_of_wire_ns = line.delay + line.jitter + line.sway + line.reordering_delay
    queue_ns = line.queue * 8e9 / line.rate if line.rate else 0.0
    least_ns = longest_of_wire_ns + STANDING_SHARE * queue_ns
    left = sorted(
        (one.left_ns, one.ip_bytes, one.left_ns - one.entered_ns >= least_ns)
        for one in passages
        if one.left_ns is not None and one.left_ns >= begin_ns
    )
    for stands, group in groupby(left, key=lambda one: one[2]):
        if stands:
            yield [(at_ns, size) for at_ns, size, _ in group]


def _lasted_ns(departures: list[Departure]) -> int:
    return departures[-1][0] - departures[0][0] if departures else 0
