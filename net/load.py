"""Shell of one end of a load test: a UDP socket in a thread of its own.

One thread sends at absolute deadlines and reads in between. It lets the kernel's buffer fill a little before
it reads. Time stamps are not affected, since the kernel takes them, and no arrival wakes the thread early.
Several datagrams are sent or received with one call where the kernel cuts and joins them (decision 7).
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

# Longest time that datagrams wait in the socket.
READ_EVERY_NS = 5_000_000

# Wait before the rate of arrivals is known, and the shortest wait.
READ_AGAIN_NS, READ_SOONEST_NS = 1_000_000, 250_000

# A pause fills an eighth of the receive buffer. The kernel counts a datagram of 1250 bytes as 2 to 4 KiB.
_ROOM_SHARE = 8

# Time within which a cancellation is noticed while the core waits for an answer.
WAKE_EVERY_NS = 50_000_000

# What is granted is far less without privileges: net.core.rmem_max is 4 MB where we measured.
RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024
# Bytes of one call at most: one datagram, or several that the kernel cuts or joins.
LARGEST_BATCH = 65_535

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
# Errors of a device or kernel that does not cut a batch but may send single datagrams.
_NOT_SEGMENTED = (errno.EIO, errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EMSGSIZE)
_BUSY = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS)
_READS_A_TURN = 4_096
# Bound on the age of a receive stamp: a socket that is read every few milliseconds has no older datagram.
_OLDEST_NS = 1_000_000_000
_ERRORS_AT_MOST = 64


class LoadEnd(Protocol):
    """Core of ``wire.udpstp``: one end of one test. Times are ns: ``now`` monotonic, ``wall`` Unix."""

    @property
    def destination(self) -> Address:
        """Address to send to."""
        ...

    @property
    def connectable(self) -> bool:
        """True once ``destination`` is final and no datagram is expected from elsewhere."""
        ...

    @property
    def dscp_ecn(self) -> int:
        """Octet for the IP header."""
        ...

    @property
    def tempo(self) -> Tempo:
        """Demand on the promptness of this shell."""
        ...

    @property
    def segment_bytes(self) -> int:
        """Size of each datagram last put into the buffer; the last of them may be shorter."""
        ...

    @property
    def finished(self) -> bool:
        """True once the test has ended at this end."""
        ...

    @property
    def deadline(self) -> int:
        """Time at which ``transmit`` has something to do."""
        ...

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        """Put what is due into ``buffer`` and return its bytes, 0 for nothing.

        Several datagrams are back to back, at most 64 and 65,507 bytes, the limits of UDP_SEGMENT.
        """
        ...

    def blocked(self, sent: int) -> None:
        """Correct the counts: only the first ``sent`` bytes last transmitted left this host."""
        ...

    def receive(self, data: memoryview, source: Address, now: int, wall: int, segment_bytes: int) -> None:
        """Process one datagram with its receive stamp ``wall``, and ``now`` of the same moment.

        Several datagrams have ``segment_bytes`` each, the last may be shorter; 0 means a single datagram.
        """
        ...

    def unreachable(self, ending: Ending, reason: str) -> None:
        """Process the kernel's report that the destination cannot be reached."""
        ...

    def cancel(self, now: int) -> None:
        """End as soon as possible."""
        ...


def open_socket(family: int, local: Address) -> socket.socket:
    """Open a UDP socket for a load test, bound to ``local``. Raises OSError where that is not possible.

    Packets are never fragmented (RFC 9946 §5). The receive buffer is as large as this process may make it.
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
    # An unconnected socket gets errors about closed ports only on request.
    sock.setsockopt(level, _IPV6_RECVERR if over_ipv6 else _IP_RECVERR, 1)
    # The send buffer keeps its size: a larger one would hide a slow interface from the sender.
    enlarge_receive_buffer(sock)
    timestamps.enable(sock, transmit=False)


def enlarge_receive_buffer(sock: socket.socket) -> int:
    """Make the receive buffer as large as this process may, and return the bytes that the kernel counts."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    # A size above the system's limit needs CAP_NET_ADMIN.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def receive_drops(sock: socket.socket) -> int:
    """Count the datagrams that the socket dropped because its buffer was full; 0 where unknown."""
    with contextlib.suppress(OSError):
        counters = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        if len(counters) == _MEMINFO.size:
            return int(_MEMINFO.unpack(counters)[_DROPS])
    return 0


def run(end: LoadEnd, sock: socket.socket, cancelled: threading.Event) -> None:
    """Run ``end`` on ``sock`` until it has finished, and block the thread until then.

    ``cancelled`` makes the core end; a client does so within 0.2 s.
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
        end, cancelling, next_read = self._end, False, 0
        # A server sends its Null Request before anything arrives.
        self._send()
        while not end.finished:
            now = time.monotonic_ns()
            if not cancelling and self._cancelled.is_set():
                cancelling = True
                end.cancel(now)
            # Read before sending: a thread that was delayed must not mistake its own delay for silence of the
            # peer.
            if end.tempo is not Tempo.SEND:
                next_read = now + self._read_and_pause()
            elif now >= next_read:
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
        """Send what is due, as long as reading may wait."""
        # A sender that is always late must still read the receiver's feedback: hence ``until``.
        end, until = self._end, time.monotonic_ns() + READ_EVERY_NS
        while True:
            size = end.transmit(self._outgoing, time.monotonic_ns(), time.time_ns())
            if not size:
                return
            sent, error = self._send_batch(size)
            if error is not None and sent < size:
                end.blocked(sent)
                if error.errno in _BUSY:
                    return
            now = time.monotonic_ns()
            if end.deadline > now or now >= until:
                return

    def _send_batch(self, size: int) -> tuple[int, OSError | None]:
        """Send the content of the buffer; return the bytes sent, and the error that stopped the rest."""
        segment = self._end.segment_bytes
        try:
            self._configure()
            if self._segmenting and self._connected and 0 < segment < size:
                timestamps.send_segmented(self._sock, self._out_view[:size], segment)
                return size, None
        except OSError as error:
            if error.errno in _NOT_SEGMENTED:
                self._segmenting = False
            elif not self._is_of_earlier_packet(error):
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
            if not self._is_of_earlier_packet(error):
                raise
            self._send_plain(self._out_view[begin:end])

    def _send_plain(self, datagram: memoryview) -> None:
        if self._connected:
            self._sock.send(datagram)
        else:
            self._sock.sendto(datagram, self._end.destination)

    def _is_of_earlier_packet(self, error: OSError) -> bool:
        # The kernel reports an error of an earlier packet at the next call, which then sends nothing.
        if error.errno not in _UNREACHABLE:
            return False
        discard_errors(self._sock)
        self._end.unreachable(*_UNREACHABLE[error.errno])
        return True

    def _configure(self) -> None:
        """Set the DSCP and connect the socket, once the core knows them."""
        end = self._end
        if self._dscp_ecn != end.dscp_ecn:
            self._dscp_ecn = end.dscp_ecn
            timestamps.set_dscp_ecn(self._sock, self._dscp_ecn)
        if end.connectable and not self._connected:
            self._sock.connect(end.destination)
            self._connected = True

    def _read_and_pause(self) -> int:
        """Read all datagrams; return the time until the next read, before which the buffer cannot fill."""
        taken, began, was_quiet = self._read(), time.monotonic_ns(), self._quiet
        elapsed, self._last_read = began - self._last_read, began
        self._quiet = not taken
        if was_quiet or not taken:
            # The time since the last read says nothing about the rate of a load that has just begun.
            return READ_AGAIN_NS
        return min(max(elapsed * self._room // taken, READ_SOONEST_NS), READ_EVERY_NS)

    def _read(self) -> int:
        """Read all datagrams and return their bytes."""
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
    """Age of a receive stamp in ns; 0 where the wall clock was set in the meantime."""
    age = time.time_ns() - received_ns
    return age if 0 <= age <= _OLDEST_NS else 0


def discard_errors(sock: socket.socket) -> None:
    """Empty the error queue of a call that failed."""
    # An entry left there would end every poll at once.
    with contextlib.suppress(OSError):
        for _ in range(_ERRORS_AT_MOST):
            sock.recvmsg(0, _MEMINFO.size, socket.MSG_ERRQUEUE)
