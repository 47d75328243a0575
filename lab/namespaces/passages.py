"""A wire's log: when each packet entered it and when it left, found from what was seen at its two mouths.

The same bytes are seen twice, for a wire changes nothing in a packet; copies of a packet leave in the order
in which they came.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple


class Sighting(NamedTuple):
    """One packet at one mouth. ``at_ns``: Unix ns by the kernel. ``head``: its first bytes, IP header on."""

    at_ns: int
    entering: bool
    ip_bytes: int
    head: bytes


class Passage(NamedTuple):
    """One packet's way through the wire; ``left_ns`` None: it was still inside when the log was read."""

    entered_ns: int
    left_ns: int | None
    ip_bytes: int
    head: bytes

    @property
    def delay_ns(self) -> int | None:
        """How long the wire held it."""
        return None if self.left_ns is None else self.left_ns - self.entered_ns


def passages(sightings: Iterable[Sighting]) -> list[Passage]:
    """The passages in the order of entering. What left without having been seen to enter is left out."""
    inside: dict[tuple[int, bytes], deque[int]] = {}
    found: list[Passage] = []
    for seen in sightings:
        key = (seen.ip_bytes, seen.head)
        if seen.entering:
            inside.setdefault(key, deque()).append(len(found))
            found.append(Passage(seen.at_ns, None, seen.ip_bytes, seen.head))
        elif waiting := inside.get(key):
            place = waiting.popleft()
            found[place] = found[place]._replace(left_ns=seen.at_ns)
    return found
