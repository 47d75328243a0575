"""Shell of a load end: socket options, refused sends, prompt ends."""

import errno
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from net import load
from net.timestamps import Address
from wire.udpstp.ends.watchdog import Tempo
from wire.udpstp.load import Ending

IP_MTU_DISCOVER, PMTUDISC_DO = 10, 2


class Sender:
    """End that sends ten packets a millisecond apart, and records every call."""

    def __init__(self, destination: Address) -> None:
        self.destination, self.connectable, self.dscp_ecn = destination, True, 0x28
        self.tempo, self.finished = Tempo.SEND, False
        self.deadline = time.monotonic_ns()
        self.sent = self.refused = self.segment_bytes = 0
        self.received: list[tuple[bytes, int, int]] = []
        self.segments: list[int] = []
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
        self.segments.append(segment_bytes)

    def unreachable(self, ending: Ending, reason: str) -> None:
        self.told.append(reason)

    def cancel(self, now: int) -> None:
        self.finished = True


class Refusing(socket.socket):
    """Socket that refuses every second packet for lack of room."""

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


def test_a_socket_for_load_does_not_fragment_and_has_a_large_buffer() -> None:
    with load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as sock:
        assert sock.getsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER) == PMTUDISC_DO
        plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with plain:
            usual = plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= usual
        assert load.receive_drops(sock) == 0


def test_packets_are_sent_on_time_with_their_dscp(far: socket.socket) -> None:
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


def test_an_arrival_has_the_same_moment_on_both_clocks(far: socket.socket) -> None:
    end = Sender(far.getsockname())
    end.last = 40
    with load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as sock:
        far.sendto(b"hello", sock.getsockname())
        offset = time.time_ns() - time.monotonic_ns()
        load.run(end, sock, threading.Event())
    ((data, now, wall),) = end.received
    assert data == b"hello"
    assert abs(wall - now - offset) < 5_000_000


def test_refused_sends_are_reported_and_do_not_end_the_test(far: socket.socket) -> None:
    end = Sender(far.getsockname())
    with Refusing(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        load.run(end, sock, threading.Event())
    assert (end.sent, end.refused) == (10, 5)


def test_a_closed_port_is_reported_and_the_packet_behind_the_error_is_sent(far: socket.socket) -> None:
    closed = far.getsockname()
    far.close()
    end = Sender(closed)
    with load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as sock:
        load.run(end, sock, threading.Event())
    assert set(end.told) == {"nothing listens at the peer's port"}
    assert end.refused == 0


def test_a_cancellation_is_noticed(far: socket.socket) -> None:
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
    """Socket whose destination has just lost its route."""

    def connect(self, address: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")


def test_a_destination_without_a_route_is_reported_not_raised(far: socket.socket) -> None:
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
    """The step is between the kernel's stamp and its reading."""
    end = Sender(far.getsockname())
    end.last = 40
    true_time = time.time_ns
    monkeypatch.setattr(load.time, "time_ns", lambda: true_time() + step_ns)
    with load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as sock:
        far.sendto(b"hello", sock.getsockname())
        load.run(end, sock, threading.Event())
    ((_, now, _),) = end.received
    assert abs(time.monotonic_ns() - now) < 5_000_000_000


class Burster(Sender):
    """End that sends the given batches, and records the bytes refused."""

    def __init__(self, destination: Address, given: list[tuple[bytes, int]]) -> None:
        super().__init__(destination)
        self.given, self.refusals = given, []

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        if not self.given:
            self.finished = True
            return 0
        payload, self.segment_bytes = self.given.pop(0)
        buffer[: len(payload)] = payload
        return len(payload)

    def blocked(self, sent: int) -> None:
        self.refusals.append(sent)


def numbered(*sizes: int) -> bytes:
    return b"".join(bytes([number]) * size for number, size in enumerate(sizes, start=1))


class Counting(socket.socket):
    """Socket that counts calls; ``refuse`` gives the error of a call by its kind and number."""

    refuse: dict[tuple[str, int], int] = {}  # noqa: RUF012 -- set by each test

    def __init__(self) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.setblocking(False)
        self.calls: list[str] = []

    def _called(self, kind: str) -> None:
        self.calls.append(kind)
        fault = self.refuse.get((kind, self.calls.count(kind)))
        if fault:
            raise OSError(fault, "refused by this test")

    def send(self, data: object, flags: int = 0) -> int:
        self._called("send")
        return super().send(data, flags)  # type: ignore[arg-type]

    def sendmsg(self, *arguments: object) -> int:
        self._called("sendmsg")
        return super().sendmsg(*arguments)  # type: ignore[arg-type]


def received(far: socket.socket, count: int) -> list[bytes]:
    return [far.recv(2000) for _ in range(count)]


def test_a_batch_is_one_call_and_arrives_as_single_datagrams(far: socket.socket) -> None:
    end = Burster(far.getsockname(), [(numbered(1000, 1000, 1000, 300), 1000), (numbered(700), 700)])
    with Counting() as sock:
        load.run(end, sock, threading.Event())
    assert sock.calls == ["sendmsg", "send"]
    assert b"".join(received(far, 5)) == numbered(1000, 1000, 1000, 300) + numbered(700)
    assert end.refusals == []


@pytest.mark.parametrize("fault", [errno.EIO, errno.EINVAL, errno.ENOPROTOOPT])
def test_a_device_that_cuts_no_batches_gets_single_datagrams_to_the_end(
    far: socket.socket, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    end = Burster(far.getsockname(), [(numbered(1000, 1000, 300), 1000)] * 2)
    monkeypatch.setattr(Counting, "refuse", {("sendmsg", 1): fault})
    with Counting() as sock:
        load.run(end, sock, threading.Event())
    assert sock.calls == ["sendmsg"] + ["send"] * 6
    assert [len(packet) for packet in received(far, 6)] == [1000, 1000, 300] * 2
    assert end.refusals == []


def test_a_kernel_without_segmentation_is_never_given_a_batch(
    far: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = Burster(far.getsockname(), [(numbered(1000, 1000), 1000)])
    monkeypatch.setattr(load.timestamps, "can_segment", lambda _sock: False)
    with Counting() as sock:
        load.run(end, sock, threading.Event())
    assert sock.calls == ["send", "send"]
    assert len(received(far, 2)) == 2


def test_a_batch_refused_for_lack_of_room_is_taken_back_as_a_whole(
    far: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = Burster(far.getsockname(), [(numbered(1000, 1000), 1000)])
    monkeypatch.setattr(Counting, "refuse", {("sendmsg", 1): errno.ENOBUFS})
    with Counting() as sock:
        load.run(end, sock, threading.Event())
    assert (end.refusals, sock.calls) == ([0], ["sendmsg"])


def test_of_single_datagrams_only_the_unsent_are_taken_back(
    far: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = Burster(far.getsockname(), [(numbered(1000, 1000, 1000, 10), 1000)])
    monkeypatch.setattr(Counting, "refuse", {("sendmsg", 1): errno.EIO, ("send", 3): errno.EAGAIN})
    with Counting() as sock:
        load.run(end, sock, threading.Event())
    assert end.refusals == [2000]
    assert received(far, 2) == [b"\1" * 1000, b"\2" * 1000]


def test_datagrams_that_the_kernel_joined_are_one_batch_with_its_segment_size(far: socket.socket) -> None:
    with (
        load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as taker,
        load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as giver,
    ):
        receiving = Sender(far.getsockname())
        receiving.tempo, receiving.last = Tempo.RECEIVE, 20
        thread = threading.Thread(target=load.run, args=(receiving, taker, threading.Event()))
        assert load.timestamps.coalesce(taker)
        load.run(Burster(taker.getsockname(), [(numbered(1000, 1000, 300), 1000)]), giver, threading.Event())
        thread.start()
        thread.join(timeout=5)
    assert b"".join(data for data, _, _ in receiving.received) == numbered(1000, 1000, 300)
    assert receiving.segments == [1000]
