"""A sender that is always late still reads what arrives."""

import socket
import threading

from net import load
from net.timestamps import Address
from wire.udpstp.ends.watchdog import Tempo
from wire.udpstp.load import Ending


class AlwaysLate:
    """End that always has something to send, and ends after its first reception."""

    tempo, connectable, dscp_ecn, segment_bytes = Tempo.SEND, True, 0, 0
    deadline = 0

    def __init__(self, destination: Address, most: int) -> None:
        self.destination = destination
        self.finished = self.heard = False
        self._left = most

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        if self.finished:
            return 0
        self._left -= 1
        self.finished = self._left == 0
        return 32

    def blocked(self, sent: int) -> None:
        pass

    def receive(self, data: memoryview, source: Address, now: int, wall: int, segment_bytes: int) -> None:
        self.heard = self.finished = True

    def unreachable(self, ending: Ending, reason: str) -> None:
        pass

    def cancel(self, now: int) -> None:
        self.finished = True


def test_feedback_is_read_although_there_is_always_something_to_send() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        with load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as sock:
            end = AlwaysLate(far.getsockname(), most=200_000)
            far.sendto(b"status", sock.getsockname())
            load.run(end, sock, threading.Event())
    assert end.heard


class Greeter(AlwaysLate):
    """End that sends nothing at first, and ends after its first packet."""

    def __init__(self, destination: Address) -> None:
        super().__init__(destination, most=2)
        self.heard_first: bool | None = None

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        self._left -= 1
        self.finished = self._left == 0
        if self.finished:
            self.heard_first = self.heard
        return 0

    def receive(self, data: memoryview, source: Address, now: int, wall: int, segment_bytes: int) -> None:
        self.heard = True


def test_waiting_datagrams_are_read_before_more_is_sent() -> None:
    """A delayed sender would otherwise mistake its own pause for silence of the receiver."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        with load.open_socket(socket.AF_INET, ("127.0.0.1", 0)) as sock:
            end = Greeter(far.getsockname())
            far.sendto(b"status", sock.getsockname())
            load.run(end, sock, threading.Event())
    assert end.heard_first
