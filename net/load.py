"""Runs one end of a load test on a UDP socket, in a thread of its own.

One thread sends on absolute deadlines and reads in between. Reading waits for the kernel's buffer to fill a
little, which costs neither time stamps, since the kernel takes them, nor the pace, since nothing wakes the
thread early. Several datagrams go out and come in with one call where the kernel cuts and joins them.
"""

import contextlib
import errno
import select
import socket
import struct
import threading
import time
from typing import Protocol

from net import timestamps
from net.timestamps import Address
from wire.udpstp.ends.watchdog import Tempo
from wire.udpstp.load import Ending

READ_EVERY_NS = 5_000_000
"""How long datagrams may wait in the socket at most."""

READ_AGAIN_NS, READ_SOONEST_NS = 1_000_000, 250_000
"""How long they may wait before the rate at which they come is known, and at the least."""

_ROOM_SHARE = 8
"""A pause fills this part of the receive buffer. The kernel counts a datagram of 1250 bytes as 2 to 4 KiB."""

WAKE_EVERY_NS = 50_000_000
"""How soon a wish to stop is noticed while only an answer is waited for."""

RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024
LARGEST_BATCH = 65_535
"""What one call sends or receives at most: one datagram, or several that the kernel cuts or puts together."""

_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_DO = 10, 23, 2
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_SO_RCVBUFFORCE, _SO_MEMINFO = 33, 55
_MEMINFO = struct.Struct("@9I")
_DROPS = 8
_UNREACHABLE = {
    errno.ECONNREFUSED: (Ending.NOT_LISTENING, "nothing listens at the peer's port"),
    errno.EHOSTUNREACH: (Ending.UNREACHABLE, "the peer's host cannot be reached"),
    errno.ENETUNREACH: (Ending.UNREACHABLE, "there is no route to the peer"),
    errno.EPERM: (Ending.FORBIDDEN, "this host's firewall refuses to send to the peer"),
    errno.EACCES: (Ending.FORBIDDEN, "this host's firewall refuses to send to the peer"),
}
_NOT_SEGMENTED = (errno.EIO, errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EMSGSIZE)
"""The device or the kernel does not cut a batch, where it may well take single datagrams."""
_BUSY = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS)
_READS_A_TURN = 4_096
_OLDEST_NS = 1_000_000_000
"""Nothing waits longer than this in a socket that is read every few milliseconds."""
_ERRORS_AT_MOST = 64


class LoadEnd(Protocol):
    """A core of ``wire.udpstp``: one end of one test. Times are ns: ``now`` monotonic, ``wall`` Unix."""

    @property
    def destination(self) -> Address:
        """Where to send."""
        ...

    @property
    def connectable(self) -> bool:
        """Whether ``destination`` stays as it is and nothing is to be received from elsewhere."""
        ...

    @property
    def dscp_ecn(self) -> int:
        """The octet for the IP header."""
        ...

    @property
    def tempo(self) -> Tempo:
        """What to be prompt at."""
        ...

    @property
    def segment_bytes(self) -> int:
        """Size of each of the datagrams last put into the buffer; the last of them may be shorter."""
        ...

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        ...

    @property
    def deadline(self) -> int:
        """When ``transmit`` has next something to do."""
        ...

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        """Put what is due into ``buffer``; its bytes, 0 for nothing.

        Several datagrams stand back to back: 64 and 65,507 bytes at most, as UDP_SEGMENT carries.
        """
        ...

    def blocked(self, sent: int) -> None:
        """Of what was last transmitted only the first ``sent`` bytes left this host: whole datagrams."""
        ...

    def receive(self, data: memoryview, source: Address, now: int, wall: int, segment_bytes: int) -> None:
        """Take in one datagram with its receive stamp ``wall``, and ``now`` of the same moment.

        Or several back to back, of ``segment_bytes`` each, the last of which may be shorter; 0 says one.
        """
        ...

    def unreachable(self, ending: Ending, reason: str) -> None:
        """The kernel told that the destination cannot be reached."""
        ...

    def cancel(self, now: int) -> None:
        """End soon."""
        ...


def open_socket(family: int, local: Address) -> socket.socket:
    """A UDP socket fit for a load test, bound to ``local``; raises OSError where that cannot be.

    Packets are not to be fragmented (RFC 9946 §5). The receive buffer is as large as this process may have
    it. The send buffer stays as it is: a larger one would only hide from the sender that its own interface
    is slow.
    """
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        _prepare(sock)
        sock.bind(local)
    except OSError:
        sock.close()
        raise
    return sock


def _prepare(sock: socket.socket) -> None:
    over_ipv6 = sock.family == socket.AF_INET6
    level = socket.IPPROTO_IPV6 if over_ipv6 else socket.IPPROTO_IP
    if over_ipv6:
        sock.setsockopt(level, socket.IPV6_V6ONLY, 1)
    sock.setsockopt(level, _IPV6_MTU_DISCOVER if over_ipv6 else _IP_MTU_DISCOVER, _PMTUDISC_DO)
    # An unconnected socket is told of closed ports only if it asks.
    sock.setsockopt(level, _IPV6_RECVERR if over_ipv6 else _IP_RECVERR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    with contextlib.suppress(OSError):  # beyond the system's limit only with CAP_NET_ADMIN
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    timestamps.enable(sock, transmit=False)


def receive_drops(sock: socket.socket) -> int:
    """How many datagrams the socket lost for want of buffer; 0 where the kernel will not say."""
    with contextlib.suppress(OSError):
        told = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        if len(told) == _MEMINFO.size:
            return int(_MEMINFO.unpack(told)[_DROPS])
    return 0


def run(end: LoadEnd, sock: socket.socket, cancelled: threading.Event) -> None:
    """Run ``end`` on ``sock`` until it has finished. Blocks its thread until then.

    ``cancelled`` tells the core to end, which a client does within 0.2 s.
    """
    _Runner(end, sock, cancelled).run()


class _Runner:
    def __init__(self, end: LoadEnd, sock: socket.socket, cancelled: threading.Event) -> None:
        self._end, self._sock, self._cancelled = end, sock, cancelled
        self._outgoing = bytearray(LARGEST_BATCH)
        self._out_view = memoryview(self._outgoing)
        self._in_view = memoryview(bytearray(LARGEST_BATCH))
        self._incoming = [self._in_view]
        self._connected = False
        self._dscp_ecn = 0
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._segmenting = timestamps.can_segment(sock)
        timestamps.coalesce(sock)
        timestamps.ask_stamps_only(sock)
        self._room = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // _ROOM_SHARE
        self._quiet, self._last_read = True, time.monotonic_ns()

    def run(self) -> None:
        end, told, next_read = self._end, False, 0
        self._send()  # a server greets before it listens
        while not end.finished:
            now = time.monotonic_ns()
            if not told and self._cancelled.is_set():
                told = True
                end.cancel(now)
            if end.tempo is not Tempo.SEND:
                next_read = now + self._read_and_pause()
            elif (
                now >= next_read
            ):  # before sending: who was held up must not take that for the peer's silence
                next_read = now + READ_EVERY_NS
                self._read()
            self._send()
            if not end.finished:
                self._wait(next_read)

    def _wait(self, next_read: int) -> None:
        now, tempo = time.monotonic_ns(), self._end.tempo
        if tempo is Tempo.SEND or (tempo is Tempo.RECEIVE and not self._quiet):
            ahead = min(self._end.deadline, next_read) - now
            if ahead > 0:
                time.sleep(ahead / 1e9)
        else:
            ahead = min(self._end.deadline - now, WAKE_EVERY_NS)
            self._poll.poll(max(ahead, 0) / 1e6)

    def _send(self) -> None:
        """Send what is due, as long as reading may wait: who is always late must hear the receiver, too."""
        end, until = self._end, time.monotonic_ns() + READ_EVERY_NS
        while True:
            size = end.transmit(self._outgoing, time.monotonic_ns(), time.time_ns())
            if not size:
                return
            left, error = self._leave(size)
            if error is not None and left < size:
                end.blocked(left)
                if error.errno in _BUSY:
                    return
            now = time.monotonic_ns()
            if end.deadline > now or now >= until:
                return

    def _leave(self, size: int) -> tuple[int, OSError | None]:
        """Send what was put into the buffer; how much of it left, and what stopped the rest."""
        segment = self._end.segment_bytes
        try:
            self._settle()
            if self._segmenting and self._connected and 0 < segment < size:
                timestamps.send_segmented(self._sock, self._out_view[:size], segment)
                return size, None
        except OSError as error:
            if error.errno in _NOT_SEGMENTED:
                self._segmenting = False
            elif not self._told_of(error):
                return 0, error
        return self._one_by_one(size, segment)

    def _one_by_one(self, size: int, segment: int) -> tuple[int, OSError | None]:
        begin = 0
        step = segment if 0 < segment < size else size
        while begin < size:
            try:
                self._send_one(begin, min(begin + step, size))
            except OSError as error:
                return begin, error
            begin += step
        return size, None

    def _send_one(self, begin: int, end: int) -> None:
        try:
            self._send_plain(self._out_view[begin:end])
        except OSError as error:
            if not self._told_of(error):
                raise
            self._send_plain(self._out_view[begin:end])

    def _send_plain(self, datagram: memoryview) -> None:
        if self._connected:
            self._sock.send(datagram)
        else:
            self._sock.sendto(datagram, self._end.destination)

    def _told_of(self, error: OSError) -> bool:
        """An earlier packet's error is told at the next call, and nothing is sent by that call."""
        if error.errno not in _UNREACHABLE:
            return False
        discard_errors(self._sock)
        self._end.unreachable(*_UNREACHABLE[error.errno])
        return True

    def _settle(self) -> None:
        """Mark and connect the socket as the core has come to know it."""
        end = self._end
        if self._dscp_ecn != end.dscp_ecn:
            self._dscp_ecn = end.dscp_ecn
            timestamps.set_dscp_ecn(self._sock, self._dscp_ecn)
        if end.connectable and not self._connected:
            self._sock.connect(end.destination)
            self._connected = True

    def _read_and_pause(self) -> int:
        """Take what has come; how long to wait until the next time, so that what comes has room."""
        taken, began, was_quiet = self._read(), time.monotonic_ns(), self._quiet
        elapsed, self._last_read = began - self._last_read, began
        self._quiet = not taken
        if was_quiet or not taken:  # how long it took to come says nothing of a load that has just begun
            return READ_AGAIN_NS
        return min(max(elapsed * self._room // taken, READ_SOONEST_NS), READ_EVERY_NS)

    def _read(self) -> int:
        """Take what has come; how many bytes."""
        end, taken = self._end, 0
        for _ in range(_READS_A_TURN):
            try:
                got = timestamps.receive_batch(self._sock, self._incoming)
            except OSError as error:
                discard_errors(self._sock)
                if error.errno in _UNREACHABLE:
                    end.unreachable(*_UNREACHABLE[error.errno])
                continue
            if got is None:
                break
            length, source, wall, segment_bytes = got
            taken += length
            now = time.monotonic_ns() - _age(wall)
            end.receive(self._in_view[:length], source, now, wall, segment_bytes)
            if end.finished:
                break
        return taken


def _age(received_ns: int) -> int:
    """How long ago a stamp was taken, in ns; 0 where the wall clock was set in the meantime."""
    age = time.time_ns() - received_ns
    return age if 0 <= age <= _OLDEST_NS else 0


def discard_errors(sock: socket.socket) -> None:
    """Empty the error queue: the failed call told of it, and left there it would end every poll at once."""
    with contextlib.suppress(OSError):
        for _ in range(_ERRORS_AT_MOST):
            sock.recvmsg(0, _MEMINFO.size, socket.MSG_ERRQUEUE)
