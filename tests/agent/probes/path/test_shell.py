"""Shell of the path helper: a simulated sending socket, the rest on loopback."""

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from typing import cast

import pytest

from agent.probes.path import child as path_child
from agent.probes.path.sockets import PathSockets
from net import timestamps
from wire.path.exchange import PathAnswer, PathRequest
from wire.records import Failure
from wire.stamp.sender import SenderSettings, SessionSender
from wire.stamp.timestamp import ErrorEstimate

HERE = "127.0.0.1"
HEADERS = 28


class Sending:
    """A raw socket in front of a reflector that answers every packet, or of an interface that refuses."""

    def __init__(self, peer: socket.socket, replies: socket.socket) -> None:
        self._peer = peer
        self._to = replies.getsockname()
        self._counted = 0
        self.taken = 10_000
        self.refusal = errno.ENETDOWN

    def sendto(self, data: bytes, _: object) -> None:
        if self._counted == self.taken:
            raise OSError(self.refusal, os.strerror(self.refusal))
        number = data[HEADERS : HEADERS + 4]
        self._peer.sendto(struct.pack("!I20x4s16x", self._counted, number), self._to)
        self._counted += 1

    def recvmsg(self, *_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "no stamp")

    def setsockopt(self, *_: object) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((HERE, 0))
        yield made


@pytest.fixture
def sockets(peer: socket.socket) -> Iterator[PathSockets]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as replies,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as icmp,
    ):
        for one in (replies, icmp):
            one.bind((HERE, 0))
            one.setblocking(False)
            timestamps.enable(one, transmit=False)
        sending = cast("socket.socket", Sending(peer, replies))
        yield PathSockets(sending, icmp, replies, HERE, replies.getsockname()[1])


def traced(sockets: PathSockets, peer: socket.socket) -> PathAnswer:
    sender = SessionSender(SenderSettings(7))
    packets = tuple(sender.packet(0, ErrorEstimate()) for _ in range(60))
    port = peer.getsockname()[1]
    asked = PathRequest(
        address=HERE,
        port=port,
        dscp=0,
        hops=1,
        packets=2,
        within_s=10,
        authenticated=False,
        test_packets=packets,
    )
    return path_child.trace(asked, sockets)


def test_what_the_reflector_answers_is_timed(sockets: PathSockets, peer: socket.socket) -> None:
    found = traced(sockets, peer)
    assert found.values is not None
    assert (found.values.reached, found.values.path_mtu_bytes) == (True, 9000)
    assert found.values.hops[0].rtt_us is not None
    assert [reply.rtt_ns is not None for reply in found.replies] == [True, True]


@pytest.mark.parametrize("step_s", [-315_360_000, -60, 60, 315_360_000])
def test_a_clock_that_is_set_meanwhile_gives_no_time(
    step_s: int, sockets: PathSockets, peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replies are still handed over, for only they prove that it was the peer who answered."""
    really = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: really() - step_s * 10**9)
    found = traced(sockets, peer)
    assert found.values is not None
    assert (found.values.reached, found.values.hops[0].answered, found.values.hops[0].rtt_us) == (
        True,
        2,
        None,
    )
    assert [reply.rtt_ns for reply in found.replies] == [None, None]


def test_an_interface_that_goes_down_in_mid_search_is_no_mtu(
    sockets: PathSockets, peer: socket.socket
) -> None:
    cast("Sending", sockets.sending).taken = 3
    found = traced(sockets, peer)
    assert found.values is not None
    assert (found.values.reached, found.values.path_mtu_bytes, found.values.black_hole) == (True, None, False)


@pytest.mark.parametrize(("refusal", "failure", "why"), [
    (errno.EPERM, Failure.CONFIGURATION, "this machine's firewall lets no packet of the trace out"),
    (errno.ENETDOWN, Failure.UNREACHABLE, "Network is down"),
])  # fmt: skip
def test_what_never_left_this_machine_is_not_the_paths_silence(
    refusal: int, failure: Failure, why: str, sockets: PathSockets, peer: socket.socket
) -> None:
    sending = cast("Sending", sockets.sending)
    sending.taken, sending.refusal = 0, refusal
    found = traced(sockets, peer)
    assert (found.values, found.failure, found.detail) == (None, failure, f"{HERE}: {why}")
