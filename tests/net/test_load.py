"""The shell around a load end: socket options, refused sends, prompt ends."""

import errno
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from net import load
from net.timestamps import Address
from wire.udpstp.ends import Tempo
from wire.udpstp.load import Ending

IP_MTU_DISCOVER, PMTUDISC_DO = 10, 2


class Sender:
    """Sends ten packets a millisecond apart, and remembers what it is told."""

    def __init__(self, destination: Address) -> None:
        self.destination, self.settled, self.dscp_ecn = destination, True, 0x28
        self.tempo, self.finished = Tempo.SEND, False
        self.deadline = time.monotonic_ns()
        self.sent = self.refused = self.segment_bytes = 0
        self.received: list[tuple[bytes, int, int]] = []
        self.told: list[str] = []
        self.last = 10

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        if now < self.deadline or self.finished:
            return 0
        self.sent += 1
        self.deadline += 1_000_000
        self.finished = self.sent == self.last
        struct.pack_into("!q", buffer, 0, wall)
        return 100

    def blocked(self, sent: int) -> None:
        self.refused += 1

    def receive(self, data: memoryview, source: Address, now: int, wall: int, segment_bytes: int) -> None:
        self.received.append((bytes(data), now, wall))

    def unreachable(self, ending: Ending, reason: str) -> None:
        self.told.append(reason)

    def cancel(self, now: int) -> None:
        self.finished = True


class Refusing(socket.socket):
    """A socket whose every second packet the kernel has no room for."""

    calls = 0

    def send(self, data: object, flags: int = 0) -> int:
        self.calls += 1
        if self.calls % 2:
            raise OSError(errno.ENOBUFS, "No buffer space available")
        return super().send(data, flags)  # type: ignore[arg-type]


@pytest.fixture
def far() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


def test_a_socket_for_load_does_not_fragment_and_has_room() -> None:
    with load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as sock:
        assert sock.getsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER) == PMTUDISC_DO
        plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with plain:
            usual = plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= usual
        assert load.receive_drops(sock) == 0


def test_packets_leave_marked_and_on_time(far: socket.socket) -> None:
    far.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    end = Sender(far.getsockname())
    with load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as sock:
        load.run(end, sock, threading.Event())
        sent = []
        for _ in range(10):
            data, ancillary, _, _ = far.recvmsg(200, 100)
            sent.append(struct.unpack_from("!q", data)[0])
            assert ancillary[0][2][0] == 0x28
    assert end.sent == 10
    assert sent[-1] - sent[0] >= 8_000_000


def test_what_arrives_has_one_moment_on_both_clocks(far: socket.socket) -> None:
    end = Sender(far.getsockname())
    end.last = 40
    with load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as sock:
        far.sendto(b"hello", sock.getsockname())
        offset = time.time_ns() - time.monotonic_ns()
        load.run(end, sock, threading.Event())
    ((data, now, wall),) = end.received
    assert data == b"hello"
    assert abs(wall - now - offset) < 5_000_000


def test_refused_sends_are_told_and_do_not_end_the_test(far: socket.socket) -> None:
    end = Sender(far.getsockname())
    with Refusing(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        load.run(end, sock, threading.Event())
    assert (end.sent, end.refused) == (10, 5)


def test_a_closed_port_is_told_and_the_packet_behind_the_error_still_leaves(far: socket.socket) -> None:
    closed = far.getsockname()
    far.close()
    end = Sender(closed)
    with load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as sock:
        load.run(end, sock, threading.Event())
    assert set(end.told) == {"nothing listens at the peer's port"}
    assert end.refused == 0


def test_a_wish_to_stop_is_heard(far: socket.socket) -> None:
    end = Sender(far.getsockname())
    end.last = 1_000_000
    cancelled = threading.Event()
    with load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=load.run, args=(end, sock, cancelled))
        thread.start()
        far.recv(200)
        cancelled.set()
        thread.join(timeout=5)
    assert not thread.is_alive()
    assert end.sent < 100_000


class Unroutable(socket.socket):
    """A socket whose destination has just lost its route."""

    def connect(self, address: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")


def test_a_destination_without_a_route_is_told_not_raised(far: socket.socket) -> None:
    end = Sender(far.getsockname())
    with Unroutable(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        load.run(end, sock, threading.Event())
    assert end.sent == 10
    assert set(end.told) == {"there is no route to the peer"}


@pytest.mark.parametrize("step_ns", [-3_600_000_000_000, 3_600_000_000_000])
def test_a_step_of_the_wall_clock_moves_no_arrival_on_the_monotonic_one(
    far: socket.socket, monkeypatch: pytest.MonkeyPatch, step_ns: int
) -> None:
    """Between the kernel's stamp and the reading of it."""
    end = Sender(far.getsockname())
    end.last = 40
    true_time = time.time_ns
    monkeypatch.setattr(load.time, "time_ns", lambda: true_time() + step_ns)
    with load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as sock:
        far.sendto(b"hello", sock.getsockname())
        load.run(end, sock, threading.Event())
    ((_, now, _),) = end.received
    assert abs(time.monotonic_ns() - now) < 5_000_000_000
