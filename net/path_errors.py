"""What routers and hosts say of datagrams that they did not let through: ICMP messages, without a raw socket.

The kernel keeps them for the UDP socket whose datagram they are about (ip(7), ``IP_RECVERR``). Any user may
read them. Sockets are non-blocking, not connected, of family AF_INET or AF_INET6 with IPV6_V6ONLY.
"""

import socket
import struct
import sys
from enum import StrEnum

from msgspec import Struct

_IP_RECVERR, _IPV6_RECVERR = 11, 25
_EXTENDED_ERROR = struct.Struct("@IBBBBII")
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3
_QUOTED_BYTES, _ANCILLARY_BYTES = 256, 512
_ERRORS_A_DRAIN = 64

# (origin, type, code); the others say that something is unreachable for another reason
_TIME_EXCEEDED = {(_ORIGIN_ICMP, 11), (_ORIGIN_ICMP6, 3)}
_PORT_UNREACHABLE = {(_ORIGIN_ICMP, 3, 3), (_ORIGIN_ICMP6, 1, 4)}


class Said(StrEnum):
    """What an ICMP message says of a datagram."""

    TIME_EXCEEDED = "time exceeded"  # a router on the way: its time to live was over there
    PORT_UNREACHABLE = "port unreachable"  # the host: nothing listens there
    OTHER = "other"


class PathError(Struct, frozen=True):
    """One message: from whom, and to where the datagram was sent that it is about."""

    sender: str
    said: Said
    destination: str
    port: int


def enable(sock: socket.socket) -> None:
    """Keep what is said of this socket's datagrams, for ``drain``. Raises OSError."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)


def drain(sock: socket.socket, limit: int = _ERRORS_A_DRAIN) -> list[PathError]:
    """What was said since the last time, at most ``limit`` messages; this machine's own errors left out."""
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
    """Send one datagram, with a time to live of its own; False where this machine cannot send it there.

    What was said of an earlier datagram makes the kernel refuse the next call once: it is tried again.
    """
    over_ipv6 = sock.family == socket.AF_INET6
    hops = (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT) if over_ipv6 else (socket.IPPROTO_IP, socket.IP_TTL)
    ancillary = [] if ttl is None else [(*hops, struct.pack("@i", ttl))]
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
    _, origin, kind, code, _, _, _ = _EXTENDED_ERROR.unpack_from(data)
    sender = _address(data[_EXTENDED_ERROR.size :])
    if origin not in (_ORIGIN_ICMP, _ORIGIN_ICMP6) or sender is None:
        return None
    said = Said.OTHER
    if (origin, kind) in _TIME_EXCEEDED:
        said = Said.TIME_EXCEEDED
    elif (origin, kind, code) in _PORT_UNREACHABLE:
        said = Said.PORT_UNREACHABLE
    return PathError(sender, said, address[0].partition("%")[0], address[1])


def _address(data: bytes) -> str | None:
    """The address in a struct sockaddr_in or sockaddr_in6."""
    family = int.from_bytes(data[:2], sys.byteorder)
    if family == socket.AF_INET and len(data) >= 8:
        return socket.inet_ntop(family, data[4:8])
    if family == socket.AF_INET6 and len(data) >= 24:
        return socket.inet_ntop(family, data[8:24])
    return None
