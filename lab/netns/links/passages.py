"""A link's log: when each packet entered it and when it left, found from what was seen at its two mouths.

The same bytes are seen twice, but for what a router changes; copies of a packet leave in the order in which
they came.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

_PROTOCOL = 9
_CHECKSUMS = {6: 36, 17: 26}
"""Where TCP and UDP have theirs, behind an IPv4 header without options."""


class Sighting(NamedTuple):
    """One packet at one device. ``at_ns``: Unix ns by the kernel. ``head``: its first bytes, IP header on.

    ``outgoing``: it is being sent by the device, not received.
    """

    at_ns: int
    outgoing: bool
    ip_bytes: int
    head: bytes


class Passage(NamedTuple):
    """One packet's way through the link; ``left_ns`` None: lost, or still inside when the log was read."""

    entered_ns: int
    left_ns: int | None
    ip_bytes: int
    head: bytes

    @property
    def delay_ns(self) -> int | None:
        """How long the link held it."""
        return None if self.left_ns is None else self.left_ns - self.entered_ns


def passages(sightings: Iterable[Sighting]) -> list[Passage]:
    """The passages of sightings in order of time: received where packets enter, outgoing where they leave.

    What left without having been seen to enter is left out.
    """
    inside: dict[tuple[int, bytes], deque[int]] = {}
    found: list[Passage] = []
    for seen in sightings:
        key = (seen.ip_bytes, _unchanged(seen.head))
        if not seen.outgoing:
            inside.setdefault(key, deque()).append(len(found))
            found.append(Passage(seen.at_ns, None, seen.ip_bytes, seen.head))
        elif waiting := inside.get(key):
            place = waiting.popleft()
            found[place] = found[place]._replace(left_ns=seen.at_ns)
    return found


def _unchanged(head: bytes) -> bytes:
    """Without what changes on the way: time to live, its checksum, and the transport's.

    The last is filled in when a packet leaves the virtual devices, whose checksums nobody needs, for a wire.
    """
    checksum = _CHECKSUMS.get(head[_PROTOCOL], len(head)) if len(head) > _PROTOCOL else len(head)
    return head[:8] + head[9:10] + head[12:checksum] + head[checksum + 2 :]
