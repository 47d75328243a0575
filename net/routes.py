"""Routes of the kernel: interface, gateway, link and neighbour for an address. No packet is sent.

Interface: rtnetlink(7). Any user may ask. The kernel answers at once, so that these calls do not wait.
"""

import errno
import socket
import struct
import sys

from msgspec import Struct

_GETLINK, _GETROUTE, _GETNEIGH, _ERROR = 18, 26, 30, 2
_REQUEST = 1
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ROUTE = struct.Struct("=BBBBBBBBI")
_LINK = struct.Struct("=BBHiII")
_NEIGHBOUR = struct.Struct("=BBHiHBB")
_ROUTE_DESTINATION, _ROUTE_INTERFACE, _ROUTE_GATEWAY, _ROUTE_VIA = 1, 4, 5, 18
_LINK_NAME, _NEIGHBOUR_DESTINATION = 3, 1
_LOOPBACK, _POINT_TO_POINT, _LOWER_UP = 0x8, 0x10, 0x10000
# Neighbours that ARP or neighbour discovery did not find: NUD_INCOMPLETE and NUD_FAILED.
_INCOMPLETE, _FAILED = 0x01, 0x20
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})
_ANSWER_BYTES = 16_384

Attributes = dict[int, bytes]


class Link(Struct, frozen=True):
    """Network interface. ``carrier``: it is up and has a physical link."""

    name: str
    carrier: bool
    loopback: bool
    point_to_point: bool


class Route(Struct, frozen=True):
    """Route to an address: number of the interface, and the gateway, None for a direct route."""

    interface: int
    gateway: str | None


def to(address: str) -> Route | None:
    """Find the route to ``address``; None without one. Raises OSError where the kernel cannot be asked."""
    family, packed = _packed(address)
    asked = _ROUTE.pack(family, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0) + _attribute(_ROUTE_DESTINATION, packed)
    try:
        found = _attributes(_ask(_GETROUTE, asked), _ROUTE.size)
    except OSError as error:
        if error.errno in _NO_ROUTE:
            return None
        raise
    if _ROUTE_INTERFACE not in found:
        # A route of type blackhole, unreachable or prohibit.
        return None
    return Route(int.from_bytes(found[_ROUTE_INTERFACE][:4], sys.byteorder), _gateway(found))


def link(interface: int) -> Link | None:
    """Find an interface by its number; None without one. Raises OSError where the kernel cannot be asked."""
    try:
        answer = _ask(_GETLINK, _LINK.pack(socket.AF_UNSPEC, 0, 0, interface, 0, 0))
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    flags = _LINK.unpack_from(answer)[4]
    name = _attributes(answer, _LINK.size).get(_LINK_NAME, b"").rstrip(b"\0").decode(errors="replace")
    return Link(name, bool(flags & _LOWER_UP), bool(flags & _LOOPBACK), bool(flags & _POINT_TO_POINT))


def is_unresolved(interface: int, address: str) -> bool:
    """Check if the kernel looks for a neighbour on the local network that has not answered (yet).

    False also where the kernel has not looked for it, or gives no answer.
    """
    family, packed = _packed(address)
    asked = _NEIGHBOUR.pack(family, 0, 0, interface, 0, 0, 0) + _attribute(_NEIGHBOUR_DESTINATION, packed)
    try:
        state = _NEIGHBOUR.unpack_from(_ask(_GETNEIGH, asked))[4]
    except OSError:
        return False
    return bool(state & (_INCOMPLETE | _FAILED))


def _packed(address: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address.partition("%")[0])


def _gateway(route: Attributes) -> str | None:
    # RTA_VIA is the family and then the address: IPv4 routes may have a gateway with an IPv6 address.
    packed = route.get(_ROUTE_GATEWAY) or route.get(_ROUTE_VIA, b"")[2:]
    if len(packed) not in (4, 16):
        return None
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(answer: bytes, begin: int) -> Attributes:
    found: Attributes = {}
    while begin + _ATTRIBUTE.size <= len(answer):
        size, kind = _ATTRIBUTE.unpack_from(answer, begin)
        if size < _ATTRIBUTE.size:
            break
        found[kind] = answer[begin + _ATTRIBUTE.size : begin + size]
        begin += size + (-size % 4)
    return found


def _ask(kind: int, asked: bytes) -> bytes:
    """Send one request and return the body of the answer. Raises OSError, also for an error in the answer."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(1.0)
        sock.send(_HEADER.pack(_HEADER.size + len(asked), kind, _REQUEST, 1, 0) + asked)
        answer = sock.recv(_ANSWER_BYTES)
    size, answer_kind, _, _, _ = _HEADER.unpack_from(answer)
    body = answer[_HEADER.size : size]
    if answer_kind == _ERROR:
        number = -struct.unpack_from("=i", body)[0]
        raise OSError(number, "the kernel gives no route")
    return body
