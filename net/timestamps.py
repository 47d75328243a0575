"""UDP sockets with kernel timestamps for both directions, and the IP header fields that a measurement needs.

A kernel stamp is the time at which a packet arrived or was sent. A user-space stamp is the time at which the
interpreter processed it. All stamps are integer nanoseconds since the Unix epoch on the kernel's
CLOCK_REALTIME. Where the kernel gives no stamp, a user-space one is used, with ``StampSource.USER``.

Interface: Linux ``Documentation/networking/timestamping.rst``. Sockets are non-blocking, of family AF_INET or
AF_INET6 with IPV6_V6ONLY.
"""

import contextlib
import errno
import socket
import struct
import sys
import time
from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct

# Not in Python's socket module. The numbers are the same on every architecture that Plancher supports.
_SO_TIMESTAMPING = 37
_TX_SOFTWARE, _RX_SOFTWARE, _SOFTWARE, _OPT_ID, _OPT_TSONLY = 2, 8, 16, 128, 2048
_IP_RECVTTL, _IP_RECVTOS, _IP_RECVERR, _IPV6_RECVERR = 12, 13, 11, 25
_IP_PKTINFO = 8
_SOL_UDP, _UDP_SEGMENT, _UDP_GRO = 17, 103, 104
_SO_EE_ORIGIN_TIMESTAMPING = 4

# (level, type) of the control messages that are read here.
_STAMPS = (socket.SOL_SOCKET, _SO_TIMESTAMPING)
_TRAFFIC_CLASS = (socket.IPPROTO_IP, socket.IP_TOS)
_HOPS = (socket.IPPROTO_IP, socket.IP_TTL)
_SEGMENT = (_SOL_UDP, _UDP_GRO)
_SAME_FIELD = {
    (socket.IPPROTO_IPV6, socket.IPV6_TCLASS): _TRAFFIC_CLASS,
    (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT): _HOPS,
}
_DESTINATIONS = ((socket.IPPROTO_IP, _IP_PKTINFO), (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO))
_ERRORS = ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR))

_TIMESPEC = struct.Struct("@ll")
_INT = struct.Struct("@i")
_SEGMENT_BYTES = struct.Struct("@H")
_EXTENDED_ERROR = struct.Struct("@IBBBBII")
_PKTINFO_4 = struct.Struct("@I4s4s")
_PKTINFO_6 = struct.Struct("@16sI")

_HEADER_OPTIONS = {
    socket.AF_INET: tuple((socket.IPPROTO_IP, option) for option in (_IP_RECVTOS, _IP_RECVTTL, _IP_PKTINFO)),
    socket.AF_INET6: tuple(
        (socket.IPPROTO_IPV6, option)
        for option in (socket.IPV6_RECVTCLASS, socket.IPV6_RECVHOPLIMIT, socket.IPV6_RECVPKTINFO)
    ),
}

_ANCILLARY_BYTES, _BATCH_ANCILLARY_BYTES = 512, 128
_LARGEST_DATAGRAM = 65_535
# A bound: on a busy socket stamps may arrive as fast as they are read.
_STAMPS_A_DRAIN = 256

Address = tuple[str, int] | tuple[str, int, int, int]
Kind = tuple[int, int]
Ancillary = tuple[int, int, bytes]
Buffer = bytes | bytearray | memoryview
WritableBuffer = bytearray | memoryview


class StampSource(StrEnum):
    """Origin of a timestamp."""

    KERNEL = "kernel"
    USER = "user"


class Headers(Struct, frozen=True):
    """Receive stamp and header fields of a datagram; None where the kernel gave no value.

    ``received_ns`` is Unix nanoseconds, from ``source``. ``dscp_ecn`` is the IPv4 TOS or IPv6 traffic class
    octet, ``ttl`` the TTL or hop limit. ``destination`` is the local address of the packet. ``segment_bytes``
    is the payload size of the segments that the kernel joined (UDP_GRO).
    """

    received_ns: int
    source: StampSource
    dscp_ecn: int | None
    ttl: int | None
    destination: str | None
    segment_bytes: int | None


class Datagram(Struct, frozen=True):
    """Received datagram, its source address, and its headers."""

    payload: bytes
    address: Address
    headers: Headers


def enable(sock: socket.socket, *, transmit: bool) -> bool:
    """Request receive timestamps, IP header fields and, with ``transmit``, transmit timestamps.

    Returns False where the kernel refuses timestamps: all functions here then use user-space stamps. With
    ``transmit`` the datagrams sent from now on are numbered from 0 for ``transmit_stamps``.
    """
    for level, option in _HEADER_OPTIONS[sock.family]:
        # Where the kernel refuses, the header field is reported as None.
        with contextlib.suppress(OSError):
            sock.setsockopt(level, option, 1)
    return _request_stamps(sock, transmit=transmit)


def restart_numbering(sock: socket.socket) -> bool:
    """Give the next datagram number 0 again for ``transmit_stamps``; False where the kernel refuses.

    This is for use after a failed send: it depends on the place of the failure in the kernel if a number was
    used. Drain with ``transmit_stamps`` before, or older stamps would be mistaken for newer ones.
    """
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, 0)
    return _request_stamps(sock, transmit=True)


def _request_stamps(sock: socket.socket, *, transmit: bool) -> bool:
    wanted = _RX_SOFTWARE | _SOFTWARE
    # OPT_TSONLY: the stamp comes back without a copy of the packet, which would count against the receive
    # buffer.
    if transmit:
        wanted |= _TX_SOFTWARE | _OPT_ID | _OPT_TSONLY
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, wanted)
    except OSError:
        return False
    return True


def receive(sock: socket.socket, size: int = _LARGEST_DATAGRAM) -> Datagram | None:
    """Receive one datagram of at most ``size`` bytes, the rest is cut off; None when none is waiting.

    Raises OSError for errors of the path, such as ConnectionRefusedError on a connected socket whose far end
    has no listener (ICMP port unreachable).
    """
    try:
        payload, ancillary, _, address = sock.recvmsg(size, _ANCILLARY_BYTES)
    except BlockingIOError:
        return None
    return Datagram(payload, address, headers(ancillary))


def ask_stamps_only(sock: socket.socket) -> None:
    """Cancel the request for IP header fields that ``enable`` made."""
    # Each field costs time in every call.
    for level, option in _HEADER_OPTIONS[sock.family]:
        with contextlib.suppress(OSError):
            sock.setsockopt(level, option, 0)


def receive_batch(
    sock: socket.socket, buffers: Sequence[WritableBuffer]
) -> tuple[int, Address, int, int] | None:
    """Receive a batch from a socket with ``coalesce`` and ``ask_stamps_only``; None when none is waiting.

    Returns bytes written, address, receive stamp (Unix ns) and the size of each datagram, 0 for a single one.
    """
    try:
        length, ancillary, _, address = sock.recvmsg_into(buffers, _BATCH_ANCILLARY_BYTES)
    except BlockingIOError:
        return None
    stamp, segment_bytes = None, 0
    for level, kind, data in ancillary:
        if kind == _SO_TIMESTAMPING and level == socket.SOL_SOCKET:
            stamp = _software_stamp(data)
        elif kind == _UDP_GRO and level == _SOL_UDP:
            segment_bytes = _integer(data)
    return length, address, time.time_ns() if stamp is None else stamp, segment_bytes


def headers(ancillary: Iterable[Ancillary]) -> Headers:
    """Read the control messages of ``recvmsg``; without a kernel stamp the present time is used."""
    stamp = destination = None
    values: dict[Kind, int] = {}
    for level, kind, data in ancillary:
        if (level, kind) == _STAMPS:
            stamp = _software_stamp(data)
        elif (level, kind) in _DESTINATIONS:
            destination = _destination(data)
        else:
            values[_SAME_FIELD.get((level, kind), (level, kind))] = _integer(data)
    return Headers(
        received_ns=time.time_ns() if stamp is None else stamp,
        source=StampSource.USER if stamp is None else StampSource.KERNEL,
        dscp_ecn=values.get(_TRAFFIC_CLASS),
        ttl=values.get(_HOPS),
        destination=destination,
        segment_bytes=values.get(_SEGMENT),
    )


def _integer(data: bytes) -> int:
    # IP_TOS is one octet, all others are an int of the machine.
    return int.from_bytes(data[:4], sys.byteorder)


def _software_stamp(data: bytes) -> int | None:
    if len(data) < _TIMESPEC.size:
        return None
    # The first of the three timespecs is the software stamp; zero means none.
    seconds, nanoseconds = _TIMESPEC.unpack_from(data)
    return int(seconds) * 1_000_000_000 + int(nanoseconds) or None


def _destination(data: bytes) -> str | None:
    if len(data) == _PKTINFO_4.size:
        return socket.inet_ntop(socket.AF_INET, _PKTINFO_4.unpack(data)[2])
    if len(data) != _PKTINFO_6.size:
        return None
    return socket.inet_ntop(socket.AF_INET6, _PKTINFO_6.unpack(data)[0])


def transmit_stamps(sock: socket.socket, limit: int = _STAMPS_A_DRAIN) -> list[tuple[int, int]]:
    """Drain up to ``limit`` transmit stamps: (number of the datagram since ``enable``, Unix nanoseconds).

    Numbers have 32 bits and wrap. A readable event on a socket with transmit stamps may be about stamps
    alone. A reader that does not drain them is called again at once.
    """
    stamps: list[tuple[int, int]] = []
    for _ in range(limit):
        try:
            _, ancillary, _, _ = sock.recvmsg(0, _ANCILLARY_BYTES, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
                break
            raise
        stamp = _transmit_stamp(ancillary)
        if stamp is not None:
            stamps.append(stamp)
    return stamps


def _transmit_stamp(ancillary: Iterable[Ancillary]) -> tuple[int, int] | None:
    number = stamp = None
    for level, kind, data in ancillary:
        if (level, kind) == _STAMPS:
            stamp = _software_stamp(data)
        elif (level, kind) in _ERRORS:
            _, origin, _, _, _, _, identifier = _EXTENDED_ERROR.unpack_from(data)
            number = identifier if origin == _SO_EE_ORIGIN_TIMESTAMPING else None
    return None if number is None or stamp is None else (number, stamp)


def set_dscp_ecn(sock: socket.socket, dscp_ecn: int) -> None:
    """Set the TOS or traffic class octet of all packets of the socket (DSCP in the upper six bits)."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp_ecn)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp_ecn)


def set_ttl(sock: socket.socket, ttl: int) -> None:
    """Set the TTL or hop limit, 1 to 255, of all packets of the socket."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)


def send(
    sock: socket.socket,
    payload: Buffer,
    address: Address | None = None,
    *,
    dscp_ecn: int | None = None,
    source: str | None = None,
) -> None:
    """Send one datagram to ``address`` or to the connected address.

    ``dscp_ecn`` is for this datagram alone. ``source`` is the local address to send from: a socket bound to
    the wildcard must reply from the address of the request. Raises OSError as ``socket.sendmsg``.
    """
    ancillary = ancillary_of(sock.family, dscp_ecn, source)
    if address is None:
        sock.sendmsg([payload], ancillary)
    else:
        sock.sendmsg([payload], ancillary, 0, address)


def can_segment(sock: socket.socket) -> bool:
    """Check if this kernel cuts a buffer into datagrams (UDP_SEGMENT, Linux 4.18)."""
    # An older kernel would ignore the control message and send one large datagram.
    try:
        sock.setsockopt(_SOL_UDP, _UDP_SEGMENT, 0)
    except OSError:
        return False
    return True


def send_segmented(sock: socket.socket, payload: Buffer, segment_bytes: int) -> None:
    """Send several datagrams of ``segment_bytes`` to the connected address; the last may be shorter.

    At most 64 datagrams and 65,507 bytes are allowed. Raises OSError as ``socket.sendmsg``: EIO, EINVAL,
    EMSGSIZE and ENOPROTOOPT may mean that the route's device accepts single datagrams only.
    """
    sock.sendmsg([payload], [(_SOL_UDP, _UDP_SEGMENT, _SEGMENT_BYTES.pack(segment_bytes))])


def coalesce(sock: socket.socket) -> bool:
    """Let the kernel join datagrams of one flow and size (UDP_GRO, Linux 5.0); False where it cannot.

    ``Headers.segment_bytes`` is then the size of each; the receive stamp is that of the first.
    """
    try:
        sock.setsockopt(_SOL_UDP, _UDP_GRO, 1)
    except OSError:
        return False
    return True


def ancillary_of(family: int, dscp_ecn: int | None, source: str | None) -> Sequence[Ancillary]:
    """Build the control messages of ``send``, for a caller that takes its send stamp after that."""
    ancillary: list[Ancillary] = []
    over_ipv6 = family == socket.AF_INET6
    if dscp_ecn is not None:
        level, kind = (
            (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if over_ipv6 else (socket.IPPROTO_IP, socket.IP_TOS)
        )
        ancillary.append((level, kind, _INT.pack(dscp_ecn)))
    if source is not None:
        packed = socket.inet_pton(family, source)
        if over_ipv6:
            ancillary.append((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PKTINFO_6.pack(packed, 0)))
        else:
            ancillary.append((socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO_4.pack(0, packed, bytes(4))))
    return ancillary
