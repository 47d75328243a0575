"""Links on loopback between sockets of a test, and the requirements of kernel links."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from lab.links.datagrams import Endpoint, RelayedDatagram
from lab.links.interface_counters import InterfaceCounters
from lab.links.line import LineSettings
from lab.links.link import EmulatedLink, LinkSettings
from lab.netns import requirements
from tests.servers import require

DEADLINE_SECONDS = 10


class End:
    """One end of a conversation: a blocking socket with a time-out that also returns the TOS octet."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._endpoint = Endpoint((host, 0))
        self._endpoint.socket.settimeout(DEADLINE_SECONDS)
        self.socket = self._endpoint.socket
        self.address: tuple[str, int] = self.socket.getsockname()
        self.port = self.address[1]

    def send(self, payload: bytes, destination: tuple[str, int], tos: int = 0) -> None:
        assert self._endpoint.send(payload, tos, destination)

    def take(self) -> list[RelayedDatagram]:
        """Return what has arrived by now, with kernel time stamps."""
        self.socket.settimeout(0)
        return self._endpoint.receive()

    def receive(self) -> tuple[bytes, tuple[str, int], int]:
        payload, ancillary, _, source = self.socket.recvmsg(65535, 256)
        marks = [data[0] for level, kind, data in ancillary if (level, kind) == (0, socket.IP_TOS)]
        return payload, source, marks[0]


def until(condition: Callable[[], bool]) -> None:
    """Poll a condition; the test fails when it does not become true in time."""
    limit = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < limit, "the condition did not become true in time"
        time.sleep(0.002)


@pytest.fixture
def end() -> Iterator[Callable[..., End]]:
    with contextlib.ExitStack() as stack:

        def make(host: str = "127.0.0.1") -> End:
            made = End(host)
            stack.callback(made.socket.close)
            return made

        yield make


@pytest.fixture
def address() -> str:
    """Return a loopback address that no other test run uses at this moment."""
    return f"127.1.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"


@pytest.fixture
def start_link(address: str) -> Iterator[Callable[..., EmulatedLink]]:
    with contextlib.ExitStack() as stack:

        def start(
            *ports: int,
            down: LineSettings | None = None,
            up: LineSettings | None = None,
            counters: InterfaceCounters,
        ) -> EmulatedLink:
            lines = (down or LineSettings(), up or LineSettings())
            link = EmulatedLink(LinkSettings(address, "127.0.0.1", ports, *lines), counters)
            stack.callback(link.close)
            thread = threading.Thread(target=link.run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(link.stop)
            return link

        yield start


@pytest.fixture
def kernel() -> None:
    """Skips without root; a missing program is a failure where CI is true."""
    for program in requirements.PROGRAMS:
        require(program)
    if lacking := requirements.lacking():
        pytest.skip(f"a kernel link needs {'; '.join(lacking)}")
