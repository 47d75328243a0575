"""UDP sockets of a link: each datagram with its kernel arrival time and its TOS octet."""

import contextlib
import socket
import struct
from typing import NamedTuple

Address = tuple[str, int]

SO_TIMESTAMPNS = 35
SO_MEMINFO = 55
# Some 100 ms of a fast sender have to fit, while a busy machine keeps the link waiting.
RECEIVE_BUFFER_BYTES = 4 << 20
LARGEST_DATAGRAM = 65_535
# Bounded: a flood at one socket must not delay the release of due packets.
MOST_AT_ONCE = 128

_TIMESPEC = struct.Struct("@ll")
# sk_meminfo of linux/sock_diag.h: the last of its nine numbers counts dropped datagrams.
_MEMINFO = struct.Struct("=9I")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(4)


class RelayedDatagram(NamedTuple):
    """One received datagram: CLOCK_REALTIME arrival in ns, sender, TOS octet, payload."""

    arrival: int
    source: Address
    tos: int
    payload: bytes


class Endpoint:
    """Non-blocking UDP socket bound to ``address``. Raises OSError when it cannot be bound."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
            self.socket.bind(address)
        except OSError:
            self.socket.close()
            raise

    def overflowed(self) -> int:
        """Return how many datagrams the kernel dropped because this program read too slowly."""
        # SO_RXQ_OVFL would say so only with the next datagram, and there may be none.
        found = self.socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size)
        return int(_MEMINFO.unpack(found)[8])

    def receive(self) -> list[RelayedDatagram]:
        """Return the datagrams that have arrived, at most MOST_AT_ONCE; never wait."""
        received: list[RelayedDatagram] = []
        with contextlib.suppress(BlockingIOError):
            while len(received) < MOST_AT_ONCE:
                payload, ancillary, _, source = self.socket.recvmsg(LARGEST_DATAGRAM, _ANCILLARY_BYTES)
                arrival, tos = self._read(ancillary)
                received.append(RelayedDatagram(arrival, source, tos, payload))
        return received

    def _read(self, ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int]:
        arrival = tos = 0
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                arrival = seconds * 10**9 + nanoseconds
            elif level == socket.IPPROTO_IP and kind == socket.IP_TOS:
                tos = data[0]
        return arrival, tos

    def send(self, payload: bytes, tos: int, destination: Address) -> bool:
        """Send one datagram with this TOS octet; return False when the kernel refused it."""
        try:
            if tos:
                option = (socket.IPPROTO_IP, socket.IP_TOS, struct.pack("@i", tos))
                self.socket.sendmsg((payload,), (option,), 0, destination)
            else:
                self.socket.sendto(payload, destination)
        except OSError:
            return False
        return True
