"""True delay of a tool's packets, from the log of the link that they passed."""

import struct
from collections.abc import Callable, Iterable

from lab.netns.links.link import KernelLink
from lab.netns.links.passages import Passage
from lab.netns.places import STAMP_PORT
from wire.records import Direction
from wire.stamp.packet import AUTHENTICATED_BASE_BYTES

IRTT_PORT = 2112

_ICMP, _UDP = 1, 17
_PROTOCOL, _TRANSPORT, _PAYLOAD = 9, 20, 28
_ECHO_REPLY, _ECHO_REQUEST = 0, 8
_PORTS = struct.Struct("!HH")
_ECHO = struct.Struct("!B5xH")
_NUMBER = struct.Struct("!I")
_SENDER_NUMBER = 48  # RFC 8762 section 4.3.2
_IRTT = struct.Struct("<3sB8xI")
_IRTT_MAGIC = bytes.fromhex("14a75b")
_IRTT_KINDS = (0, 2)  # echo request and reply, not those that open and close

# Reads a packet's number from its first bytes; None for a packet of another program.
Key = Callable[[bytes], int | None]


def round_trips(link: KernelLink, key: Key) -> dict[int, int]:
    """Return the ns that each numbered packet and its answer spent inside the link."""
    there, back = (delays(link.log(way), key) for way in (Direction.UP, Direction.DOWN))
    return {number: there[number] + back[number] for number in there.keys() & back.keys()}


def delays(log: Iterable[Passage], key: Key) -> dict[int, int]:
    """Return ns inside the link in one direction, by number; packets that have not left are not in it."""
    numbered = ((key(one.head), one.delay_ns) for one in log)
    return {number: delay for number, delay in numbered if number is not None and delay is not None}


def reordered(log: Iterable[Passage], key: Key) -> int:
    """Count packets that left with a smaller number than one before them (RFC 4737 section 3.3)."""
    left = sorted((one.left_ns, key(one.head)) for one in log if one.left_ns is not None)
    overtaken, greatest = 0, -1
    for _, number in left:
        if number is not None:
            overtaken += number < greatest
            greatest = max(greatest, number)
    return overtaken


def stamp_number(head: bytes) -> int | None:
    """Read the Session-Sender Sequence Number of an authenticated STAMP packet, sent or reflected."""
    ports = _udp_ports(head)
    if STAMP_PORT not in ports or len(head) < _PAYLOAD + AUTHENTICATED_BASE_BYTES:
        return None
    reflected = ports[0] == STAMP_PORT
    (number,) = _NUMBER.unpack_from(head, _PAYLOAD + (_SENDER_NUMBER if reflected else 0))
    return int(number)


def stamp_own_number(head: bytes) -> int | None:
    """Read the Sequence Number of a STAMP packet by its own sender, Session-Sender or Session-Reflector."""
    if STAMP_PORT not in _udp_ports(head) or len(head) < _PAYLOAD + _NUMBER.size:
        return None
    (number,) = _NUMBER.unpack_from(head, _PAYLOAD)
    return int(number)


def ping_number(head: bytes) -> int | None:
    """Read the sequence number of an ICMP echo request or reply (RFC 792)."""
    if head[_PROTOCOL] != _ICMP:
        return None
    kind, number = _ECHO.unpack_from(head, _TRANSPORT)
    return number if kind in (_ECHO_REQUEST, _ECHO_REPLY) else None


def irtt_number(head: bytes) -> int | None:
    """Read the sequence number of an irtt echo packet."""
    if IRTT_PORT not in _udp_ports(head) or len(head) < _PAYLOAD + _IRTT.size:
        return None
    magic, kind, number = _IRTT.unpack_from(head, _PAYLOAD)
    return number if magic == _IRTT_MAGIC and kind in _IRTT_KINDS else None


def _udp_ports(head: bytes) -> tuple[int, ...]:
    return _PORTS.unpack_from(head, _TRANSPORT) if head[_PROTOCOL] == _UDP else (0, 0)
