"""Relay of UDP packets that holds back every answer: a round trip by which a record is known again."""

import heapq
import itertools
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

Address = tuple[str, int]
_LOOPBACK = "127.0.0.1"
_MOST_BYTES = 65_536
_LOOK_EVERY_S = 0.005


class Relay:
    """One port in front of another; each sender gets a socket of its own towards the target."""

    def __init__(self, port: int, target: int, delay_s: float) -> None:
        self._target = target
        self._delay_s = delay_s
        self._front = _socket(port)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._front, selectors.EVENT_READ)
        self._behind: dict[Address, socket.socket] = {}
        self._senders: dict[socket.socket, Address] = {}
        self._held: list[tuple[float, int, bytes, Address]] = []
        self._number = itertools.count()

    def run(self, stop: threading.Event) -> None:
        """Relay until told to stop."""
        while not stop.is_set():
            for key, _ in self._selector.select(_LOOK_EVERY_S):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                # An ICMP error of an earlier packet is raised here, while the peer is not there yet.
                with suppress(OSError):
                    self._take(sock)
            self._release(time.monotonic())
        for sock in [self._front, *self._senders]:
            sock.close()

    def _take(self, sock: socket.socket) -> None:
        data, address = sock.recvfrom(_MOST_BYTES)
        if sock is self._front:
            self._towards_target(address).send(data)
        else:
            due = time.monotonic() + self._delay_s
            heapq.heappush(self._held, (due, next(self._number), data, self._senders[sock]))

    def _towards_target(self, sender: Address) -> socket.socket:
        if sender not in self._behind:
            sock = _socket(0)
            sock.connect((_LOOPBACK, self._target))
            self._selector.register(sock, selectors.EVENT_READ)
            self._behind[sender] = sock
            self._senders[sock] = sender
        return self._behind[sender]

    def _release(self, now: float) -> None:
        while self._held and self._held[0][0] <= now:
            _, _, data, sender = heapq.heappop(self._held)
            with suppress(OSError):
                self._front.sendto(data, sender)


@contextmanager
def relaying(port: int, target: int, delay_s: float) -> Iterator[None]:
    """Relay while the block lasts."""
    stop = threading.Event()
    thread = threading.Thread(target=Relay(port, target, delay_s).run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _socket(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((_LOOPBACK, port))
    sock.setblocking(False)
    return sock
