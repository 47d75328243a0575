"""Shell of a load end: socket options, refused sends, reading in time, prompt ends."""

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

    pace_ns = 1_000_000

    def __init__(self, destination: Address, last: int = 10) -> None:
        self.destination, self.connectable, self.dscp_ecn = destination, True, 0x28
        self.tempo, self.finished = Tempo.SEND, False
        self.deadline = time.monotonic_ns()
        self.sent = self.segment_bytes = 0
        self.received: list[tuple[bytes, int, int]] = []
        self.segments: list[int] = []
        self.refused: list[int] = []
        self.told: list[str] = []
        self.last = last

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        if now < self.deadline or self.finished:
            return 0
        self.sent += 1
        self.deadline += self.pace_ns
        self.finished = self.sent == self.last
        struct.pack_into("!q", buffer, 0, wall)
        return 100

    def blocked(self, sent: int) -> None:
        self.refused.append(sent)

    def receive(self, data: memoryview, source: Address, now: int, wall: int, segment_bytes: int) -> None:
        self.received.append((bytes(data), now, wall))
        self.segments.append(segment_bytes)

    def unreachable(self, ending: Ending, reason: str) -> None:
        self.told.append(reason)

    def cancel(self, now: int) -> None:
        self.finished = True


class Counting(socket.socket):
    """Socket that counts calls; ``refuse`` gives the error of a call by its kind and number."""

    def __init__(self, refuse: dict[tuple[str, int], int] | None = None) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self.setblocking(False)
        self.calls: list[str] = []
        self.refuse = refuse or {}

    def _called(self, kind: str) -> None:
        self.calls.append(kind)
        if fault := self.refuse.get((kind, self.calls.count(kind))):
            raise OSError(fault, "refused by this test")

    def connect(self, address: object) -> None:
        self._called("connect")
        super().connect(address)  # type: ignore[arg-type]

    def send(self, data: object, flags: int = 0) -> int:
        self._called("send")
        return super().send(data, flags)  # type: ignore[arg-type]

    def sendmsg(self, *arguments: object) -> int:
        self._called("sendmsg")
        return super().sendmsg(*arguments)  # type: ignore[arg-type]


def run(end: Sender, sock: socket.socket, greeter: socket.socket | None = None) -> None:
    """Run the end until it has finished; a datagram of ``greeter`` has arrived before that."""
    with sock:
        if greeter:
            greeter.sendto(b"hello", sock.getsockname())
        load.run(end, sock, threading.Event())


def loopback() -> socket.socket:
    return load.open_socket(socket.AF_INET, ("127.0.0.1", 0))


@pytest.fixture
def far() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


def test_a_socket_for_load_does_not_fragment_and_has_a_large_buffer() -> None:
    with loopback() as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        assert sock.getsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER) == PMTUDISC_DO
        usual = plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= usual
        assert load.receive_drops(sock) == 0


def test_packets_are_sent_on_time_with_their_dscp(far: socket.socket) -> None:
    far.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    end = Sender(far.getsockname())
    run(end, loopback())
    sent = []
    for _ in range(10):
        data, ancillary, _, _ = far.recvmsg(200, 100)
        sent.append(struct.unpack_from("!q", data)[0])
        assert ancillary[0][2][0] == 0x28
    assert end.sent == 10
    assert sent[-1] - sent[0] >= 8_000_000


def test_an_arrival_has_the_same_moment_on_both_clocks(far: socket.socket) -> None:
    end = Sender(far.getsockname(), last=40)
    offset = time.time_ns() - time.monotonic_ns()
    run(end, loopback(), far)
    ((data, now, wall),) = end.received
    assert data == b"hello"
    assert abs(wall - now - offset) < 5_000_000


def test_refused_sends_are_reported_and_do_not_end_the_test(far: socket.socket) -> None:
    end = Sender(far.getsockname())
    run(end, Counting({("send", number): errno.ENOBUFS for number in range(1, 11, 2)}))
    assert (end.sent, end.refused) == (10, [0] * 5)


def test_a_closed_port_is_reported_and_the_packet_behind_the_error_is_sent(far: socket.socket) -> None:
    end = Sender(far.getsockname())
    far.close()
    run(end, loopback())
    assert set(end.told) == {"nothing listens at the peer's port"}
    assert end.refused == []


def test_a_cancellation_is_noticed(far: socket.socket) -> None:
    end = Sender(far.getsockname(), last=1_000_000)
    cancelled = threading.Event()
    with loopback() as sock:
        thread = threading.Thread(target=load.run, args=(end, sock, cancelled))
        thread.start()
        far.recv(200)
        cancelled.set()
        thread.join(timeout=5)
    assert not thread.is_alive()
    assert end.sent < 100_000


def test_a_destination_without_a_route_is_reported_not_raised(far: socket.socket) -> None:
    end = Sender(far.getsockname())
    run(end, Counting({("connect", number): errno.ENETUNREACH for number in range(1, 100)}))
    assert end.sent == 10
    assert set(end.told) == {"there is no route to the peer"}


@pytest.mark.parametrize("step_ns", [-3_600_000_000_000, 3_600_000_000_000])
def test_a_step_of_the_wall_clock_moves_no_arrival_on_the_monotonic_one(
    far: socket.socket, monkeypatch: pytest.MonkeyPatch, step_ns: int
) -> None:
    """The step is between the kernel's stamp and its reading."""
    end = Sender(far.getsockname(), last=40)
    true_time = time.time_ns
    monkeypatch.setattr(load.time, "time_ns", lambda: true_time() + step_ns)
    run(end, loopback(), far)
    ((_, now, _),) = end.received
    assert abs(time.monotonic_ns() - now) < 5_000_000_000


class AlwaysLate(Sender):
    """End that always has something to send, and ends after its first reception."""

    pace_ns = 0

    def receive(self, *arguments: object) -> None:
        super().receive(*arguments)  # type: ignore[arg-type]
        self.finished = True


def test_feedback_is_read_although_there_is_always_something_to_send(far: socket.socket) -> None:
    end = AlwaysLate(far.getsockname(), last=200_000)
    run(end, loopback(), far)
    assert end.received


class Greeter(Sender):
    """End that sends nothing, and ends when it is asked a second time."""

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        self.sent += 1
        self.finished = self.sent == 2
        if self.finished:
            self.heard_first = bool(self.received)
        return 0


def test_waiting_datagrams_are_read_before_more_is_sent(far: socket.socket) -> None:
    """A delayed sender would otherwise mistake its own pause for silence of the receiver."""
    end = Greeter(far.getsockname())
    run(end, loopback(), far)
    assert end.heard_first


class Burster(Sender):
    """End that sends the given batches."""

    def __init__(self, destination: Address, *given: tuple[bytes, int]) -> None:
        super().__init__(destination)
        self.given = list(given)

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        if not self.given:
            self.finished = True
            return 0
        payload, self.segment_bytes = self.given.pop(0)
        buffer[: len(payload)] = payload
        return len(payload)


def numbered(*sizes: int) -> bytes:
    return b"".join(bytes([number]) * size for number, size in enumerate(sizes, start=1))


FOUR, TWO = (numbered(1000, 1000, 1000, 300), 1000), (numbered(1000, 1000), 1000)


@pytest.mark.parametrize(("given", "refuse", "calls", "arrive", "refused"), [
    ((FOUR, (numbered(700), 700)), {}, ["sendmsg", "send"], [1000, 1000, 1000, 300, 700], []),
    *(((FOUR, FOUR), {("sendmsg", 1): fault}, ["sendmsg"] + ["send"] * 8, [1000, 1000, 1000, 300] * 2, [])
      for fault in (errno.EIO, errno.EINVAL, errno.ENOPROTOOPT)),
    ((TWO,), {("sendmsg", 1): errno.ENOBUFS}, ["sendmsg"], [], [0]),
    ((FOUR,), {("sendmsg", 1): errno.EIO, ("send", 3): errno.EAGAIN},
     ["sendmsg", "send", "send", "send"], [1000, 1000], [2000]),
], ids=["whole", "EIO", "EINVAL", "ENOPROTOOPT", "no room", "no room for a datagram"])  # fmt: skip
def test_a_batch_is_one_call_or_single_datagrams_and_only_the_unsent_are_taken_back(
    far: socket.socket, given: tuple[tuple[bytes, int], ...], refuse: dict[tuple[str, int], int],
    calls: list[str], arrive: list[int], refused: list[int],
) -> None:  # fmt: skip
    """A device that cuts no batches (EIO and others) gets single datagrams to the end."""
    end, sock = Burster(far.getsockname(), *given), Counting(refuse)
    run(end, sock)
    assert sock.calls[1:] == calls
    sent = b"".join(payload for payload, _ in given)
    datagrams = [far.recv(2000) for _ in arrive]
    assert [len(packet) for packet in datagrams] == arrive
    assert sent.startswith(b"".join(datagrams))
    assert end.refused == refused


def test_a_kernel_without_segmentation_is_never_given_a_batch(
    far: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load.timestamps, "can_segment", lambda _sock: False)
    sock = Counting()
    run(Burster(far.getsockname(), TWO), sock)
    assert sock.calls[1:] == ["send", "send"]
    assert len([far.recv(2000) for _ in range(2)]) == 2


def test_datagrams_that_the_kernel_joined_are_one_batch_with_its_segment_size(far: socket.socket) -> None:
    with loopback() as taker:
        receiving = Sender(far.getsockname(), last=20)
        receiving.tempo = Tempo.RECEIVE
        thread = threading.Thread(target=load.run, args=(receiving, taker, threading.Event()))
        assert load.timestamps.coalesce(taker)
        run(Burster(taker.getsockname(), FOUR), loopback())
        thread.start()
        thread.join(timeout=5)
    assert b"".join(data for data, _, _ in receiving.received) == FOUR[0]
    assert receiving.segments == [1000]
