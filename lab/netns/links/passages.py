"""Passages of packets through a link, matched from sightings at its two devices.

Both sightings have the same bytes, except for what a router changes. Copies of a packet leave in their order
of arrival.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

_PROTOCOL = 9
# Offset of the checksum of TCP and UDP, after an IPv4 header without options.
_CHECKSUMS = {6: 36, 17: 26}


class Sighting(NamedTuple):
    """One packet at one device. ``at_ns``: Unix time in ns by the kernel. ``head``: its first bytes from the
    IP header on.

    ``outgoing``: the device sends the packet; otherwise it receives it.
    """

    at_ns: int
    outgoing: bool
    ip_bytes: int
    head: bytes


class Passage(NamedTuple):
    """One packet's passage through the link.

    ``left_ns`` None: lost, or still inside when the log was read.
    """

    entered_ns: int
    left_ns: int | None
    ip_bytes: int
    head: bytes

    @property
    def delay_ns(self) -> int | None:
        """Time inside the link."""
        return None if self.left_ns is None else self.left_ns - self.entered_ns


def passages(sightings: Iterable[Sighting]) -> list[Passage]:
    """Match sightings, given in order of time, to passages: received at the entry, outgoing at the exit.

    Outgoing packets without a matching entry are left out.
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
    """Return the bytes that no router changes: time to live, its checksum and the transport checksum are cut
    out.
    """
    # Virtual devices leave the transport checksum empty; it is filled in when a packet leaves them for a
    # wire.
    checksum = _CHECKSUMS.get(head[_PROTOCOL], len(head)) if len(head) > _PROTOCOL else len(head)
    return head[:8] + head[9:10] + head[12:checksum] + head[checksum + 2 :]
