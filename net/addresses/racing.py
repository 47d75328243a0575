"""Race of TCP connections to several addresses: Happy Eyeballs (RFC 8305 section 5).

Connections begin 250 ms apart, in the order of the addresses, and at once after one that failed. The first
that is established wins. It says nothing of who answered: that is proved afterwards.
"""

import os
import selectors
import socket
import time
from collections.abc import Sequence

# Connection Attempt Delay: RFC 8305 section 8 recommends 250 ms.
STAGGER_S = 0.25


def connect(addresses: Sequence[str], port: int, within_s: float) -> tuple[socket.socket, str]:
    """Connect to one of ``addresses``, each within ``within_s``. Blocks. Raises OSError if none connects."""
    race = _Race(addresses, port, within_s)
    try:
        return race.run()
    finally:
        race.close()


class _Race:
    def __init__(self, addresses: Sequence[str], port: int, within_s: float) -> None:
        self._waiting = list(addresses)
        self._port = port
        self._within_s = within_s
        self._selector = selectors.DefaultSelector()
        self._running: dict[socket.socket, tuple[str, float]] = {}
        self._next = 0.0
        self._error: OSError = OSError("no address to connect to")

    def run(self) -> tuple[socket.socket, str]:
        while self._waiting or self._running:
            now = time.monotonic()
            if self._waiting and (now >= self._next or not self._running):
                self._next = now + STAGGER_S
                self._start(self._waiting.pop(0), now)
            self._end_late(now)
            for key, _ in self._selector.select(self._pause_s(now) if self._running else 0):
                if isinstance(key.fileobj, socket.socket) and (won := self._finished(key.fileobj)):
                    return won
        raise self._error

    def close(self) -> None:
        for sock in list(self._running):
            self._leave(sock).close()
        self._selector.close()

    def _pause_s(self, now: float) -> float:
        moments = [limit for _, limit in self._running.values()]
        moments += [self._next] if self._waiting else []
        return max(0.0, min(moments) - now)

    def _start(self, address: str, now: float) -> None:
        try:
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:
            self._failed(error)
            return
        sock.setblocking(False)
        try:
            sock.connect((address, self._port))
        except BlockingIOError:
            pass
        except OSError as error:
            sock.close()
            self._failed(error)
            return
        self._running[sock] = (address, now + self._within_s)
        self._selector.register(sock, selectors.EVENT_WRITE)

    def _finished(self, sock: socket.socket) -> tuple[socket.socket, str] | None:
        address, _ = self._running[sock]
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._leave(sock)
        if number:
            sock.close()
            self._failed(OSError(number, os.strerror(number)))
            return None
        sock.settimeout(self._within_s)
        return sock, address

    def _end_late(self, now: float) -> None:
        for sock in [sock for sock, (_, limit) in self._running.items() if now >= limit]:
            self._leave(sock).close()
            self._failed(TimeoutError("timed out"))

    def _failed(self, error: OSError) -> None:
        self._error, self._next = error, 0.0

    def _leave(self, sock: socket.socket) -> socket.socket:
        del self._running[sock]
        self._selector.unregister(sock)
        return sock
