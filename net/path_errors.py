"""ICMP messages about sent datagrams, read without a raw socket.

The kernel keeps them for the UDP socket that sent the datagram (ip(7), ``IP_RECVERR``). Any user may read
them. Sockets are non-blocking, not connected, of family AF_INET or AF_INET6 with IPV6_V6ONLY.
"""

import socket
import struct
import sys
from enum import StrEnum

from msgspec import Struct

_IP_RECVERR, _IPV6_RECVERR = 11, 25
_EXTENDED_ERROR = struct.Struct("@IBBBBII")
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3
# The quoted datagram is not read: only its kind, its sender and the destination count.
_QUOTED_BYTES, _ANCILLARY_BYTES = 256, 512
_ERRORS_A_DRAIN = 64

# (origin, type, code). All other messages mean that something is unreachable for another reason.
_TIME_EXCEEDED = {(_ORIGIN_ICMP, 11), (_ORIGIN_ICMP6, 3)}
_PORT_UNREACHABLE = {(_ORIGIN_ICMP, 3, 3), (_ORIGIN_ICMP6, 1, 4)}


class IcmpKind(StrEnum):
    """Kind of an ICMP message about a datagram."""

    # From a router on the path, where the time to live ended.
    TIME_EXCEEDED = "time exceeded"
    # From the host: nothing listens at the port.
    PORT_UNREACHABLE = "port unreachable"
    OTHER = "other"


class PathError(Struct, frozen=True):
    """One ICMP message: its sender, and the destination and port of the datagram."""

    sender: str
    kind: IcmpKind
    destination: str
    port: int


def enable(sock: socket.socket) -> None:
    """Keep messages about this socket's datagrams for ``drain``. Raises OSError."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)


def drain(sock: socket.socket, limit: int = _ERRORS_A_DRAIN) -> list[PathError]:
    """Read the messages since the last call, at most ``limit``; errors of this machine are left out."""
    found: list[PathError] = []
    for _ in range(limit):
        try:
            _, ancillary, _, address = sock.recvmsg(
                _QUOTED_BYTES, _ANCILLARY_BYTES, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
            )
        except OSError:
            break
        for level, kind, data in ancillary:
            if (level, kind) in ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)):
                error = _read(data, address)
                found += [error] if error else []
    return found


def send(sock: socket.socket, payload: bytes, address: tuple[str, int], ttl: int | None = None) -> bool:
    """Send one datagram, perhaps with its own time to live; False where this machine cannot send it there."""
    over_ipv6 = sock.family == socket.AF_INET6
    hops = (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT) if over_ipv6 else (socket.IPPROTO_IP, socket.IP_TTL)
    ancillary = [] if ttl is None else [(*hops, struct.pack("@i", ttl))]
    # The kernel reports an error of an earlier datagram by refusing the next call once: hence two attempts.
    for _ in range(2):
        try:
            sock.sendmsg([payload], ancillary, 0, address)
        except OSError:
            continue
        return True
    return False


def _read(data: bytes, address: tuple[str, int]) -> PathError | None:
    if len(data) < _EXTENDED_ERROR.size:
        return None
    _, origin, icmp_type, code, _, _, _ = _EXTENDED_ERROR.unpack_from(data)
    sender = _address(data[_EXTENDED_ERROR.size :])
    if origin not in (_ORIGIN_ICMP, _ORIGIN_ICMP6) or sender is None:
        return None
    kind = IcmpKind.OTHER
    if (origin, icmp_type) in _TIME_EXCEEDED:
        kind = IcmpKind.TIME_EXCEEDED
    elif (origin, icmp_type, code) in _PORT_UNREACHABLE:
        kind = IcmpKind.PORT_UNREACHABLE
    return PathError(sender, kind, address[0].partition("%")[0], address[1])


def _address(data: bytes) -> str | None:
    """Read the address in a struct sockaddr_in or sockaddr_in6."""
    family = int.from_bytes(data[:2], sys.byteorder)
    if family == socket.AF_INET and len(data) >= 8:
        return socket.inet_ntop(family, data[4:8])
    if family == socket.AF_INET6 and len(data) >= 24:
        return socket.inet_ntop(family, data[8:24])
    return None
