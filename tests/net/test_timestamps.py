import select
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from net import timestamps
from net.timestamps import StampSource

WITHIN_NS = 5_000_000_000


def loopback_pair(family: int) -> tuple[socket.socket, socket.socket]:
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    pair = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
    for sock in pair:
        sock.setblocking(False)
        try:
            sock.bind((host, 0))
        except OSError:
            for opened in pair:
                opened.close()
            pytest.skip("this machine has no IPv6 loopback")
    return pair


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    sender, receiver = loopback_pair(request.param)
    with sender, receiver:
        yield sender, receiver


def receive_within(sock: socket.socket, seconds: float = 5) -> timestamps.Datagram:
    readable, _, _ = select.select([sock], [], [], seconds)
    assert readable, "no datagram came"
    return timestamps.receive(sock)


def stamps_within(sock: socket.socket, count: int, seconds: float = 5) -> list[tuple[int, int]]:
    deadline = time.monotonic() + seconds
    stamps: list[tuple[int, int]] = []
    while len(stamps) < count and time.monotonic() < deadline:
        stamps += timestamps.transmit_stamps(sock)
    return stamps


def send(sender: socket.socket, receiver: socket.socket, *payloads: bytes) -> None:
    for payload in payloads:
        timestamps.send(sender, payload, receiver.getsockname())


def test_a_datagram_carries_the_kernels_stamp_and_its_ip_header(pair):
    sender, receiver = pair
    assert timestamps.enable(receiver, transmit=False)
    timestamps.set_ttl(sender, 77)
    # The kernel starts stamping a moment after the request; the first datagrams may have no stamp.
    for _ in range(50):
        before = time.time_ns()
        timestamps.send(sender, b"payload", receiver.getsockname(), dscp_ecn=46 << 2)
        datagram = receive_within(receiver)
        headers = datagram.headers
        assert before <= headers.received_ns <= time.time_ns()
        if headers.source is StampSource.KERNEL:
            break
        time.sleep(0.01)
    assert (datagram.payload, datagram.address[:2]) == (b"payload", sender.getsockname()[:2])
    assert headers.source is StampSource.KERNEL
    assert (headers.dscp_ecn, headers.ttl, headers.segment_bytes) == (46 << 2, 77, None)
    assert headers.destination == receiver.getsockname()[0]


def test_the_socket_option_marks_every_datagram(pair):
    sender, receiver = pair
    timestamps.enable(receiver, transmit=False)
    timestamps.set_dscp_ecn(sender, 10 << 2)
    send(sender, receiver, b"")
    assert receive_within(receiver).headers.dscp_ecn == 10 << 2


def test_nothing_waiting_is_none_not_an_error(pair):
    sender, receiver = pair
    assert timestamps.receive(receiver) is None
    assert timestamps.transmit_stamps(sender) == []


def test_transmit_stamps_are_numbered_in_sending_order_and_one_drain_is_bounded(pair):
    sender, receiver = pair
    assert timestamps.enable(sender, transmit=True)
    before = time.time_ns()
    send(sender, receiver, *[b"x"] * 5)
    first = timestamps.transmit_stamps(sender, limit=2)
    assert len(first) == 2
    numbers, stamps = zip(*first, *stamps_within(sender, 3), strict=True)
    assert numbers == (0, 1, 2, 3, 4)
    moments = [before, *stamps, time.time_ns()]
    assert moments == sorted(moments)
    assert timestamps.restart_numbering(sender)
    send(sender, receiver, b"x")
    assert [number for number, _ in stamps_within(sender, 1)] == [0]


def test_receiving_continues_with_transmit_stamps(pair):
    sender, receiver = pair
    timestamps.enable(sender, transmit=True)
    send(sender, receiver, b"request")
    send(receiver, sender, b"reply")
    assert receive_within(sender).payload == b"reply"
    assert len(stamps_within(sender, 1)) == 1


def test_a_socket_without_stamps_uses_user_stamps_and_reports_that(pair):
    sender, receiver = pair
    send(sender, receiver, b"x")
    headers = receive_within(receiver).headers
    assert headers.source is StampSource.USER
    assert abs(headers.received_ns - time.time_ns()) < WITHIN_NS
    assert (headers.dscp_ecn, headers.ttl, headers.destination) == (None, None, None)


def test_a_refusing_kernel_is_reported_not_raised():
    class Refusing(socket.socket):
        def setsockopt(self, *_: object) -> None:  # type: ignore[override]
            raise PermissionError

    with Refusing(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert timestamps.enable(sock, transmit=True) is False


def test_a_zero_or_short_kernel_stamp_counts_as_none():
    for data in (bytes(48), b"\x01"):
        headers = timestamps.headers([(socket.SOL_SOCKET, 37, data)])
        assert headers.source is StampSource.USER


def test_joined_datagrams_have_their_segment_size():
    assert timestamps.headers([(17, 104, struct.pack("@i", 1222))]).segment_bytes == 1222


def test_a_reply_is_sent_from_the_address_of_the_request():
    server, client = loopback_pair(socket.AF_INET)
    with server, client:
        timestamps.send(server, b"x", client.getsockname(), source="127.0.0.7")
        assert receive_within(client).address == ("127.0.0.7", server.getsockname()[1])


def test_a_closed_far_end_is_an_error_of_the_path():
    sender, gone = loopback_pair(socket.AF_INET)
    with sender, gone:
        sender.connect(gone.getsockname())
        gone.close()
        timestamps.enable(sender, transmit=True)
        timestamps.send(sender, b"x")
        select.select([sender], [], [], 5)
        with pytest.raises(ConnectionRefusedError):
            timestamps.receive(sender)
