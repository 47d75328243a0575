"""The sockets of a link are bounded in number and in life."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from lab.links import endpoints
from lab.links.datagrams import Endpoint
from lab.links.endpoints import CLIENT_LIFETIME, TEST_PORT_LIFETIME, Endpoints
from tests.lab.conftest import End


@pytest.fixture
def held(address: str) -> Iterator[Endpoints]:
    made = Endpoints(address, "127.0.0.1", (), now=0)
    yield made
    made.close()


def free_port(address: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_client_keeps_its_socket_while_it_is_used(held: Endpoints) -> None:
    first = held.client(("127.0.0.1", 1), now=0)
    held.expire(CLIENT_LIFETIME)
    assert held.client(("127.0.0.1", 1), now=CLIENT_LIFETIME) is first
    held.expire(2 * CLIENT_LIFETIME)
    assert held.client(("127.0.0.1", 1), now=2 * CLIENT_LIFETIME) is first


def test_an_idle_client_is_forgotten(held: Endpoints) -> None:
    first = held.client(("127.0.0.1", 1), now=0)
    held.expire(CLIENT_LIFETIME + 1)
    assert first.socket.fileno() == -1
    assert held.client(("127.0.0.1", 1), now=CLIENT_LIFETIME + 1) is not first


def test_the_client_unused_for_longest_makes_room(held: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "MOST_CLIENTS", 3)
    clients = [held.client(("127.0.0.1", port), now=port) for port in (1, 2, 3)]
    held.client(("127.0.0.1", 1), now=4)
    held.client(("127.0.0.1", 9), now=5)
    assert [client.socket.fileno() == -1 for client in clients] == [False, True, False]


def test_an_idle_test_port_is_freed(held: Endpoints, address: str) -> None:
    port = free_port(address)
    held.learn(port, now=0)
    held.expire(TEST_PORT_LIFETIME)
    assert held.site_port(port, now=1) is not None
    held.expire(TEST_PORT_LIFETIME + 2)
    assert held.site_port(port, now=2) is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind((address, port))


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_behind(address: str) -> None:
    taken = End(address)
    other = free_port(address)
    with pytest.raises(OSError, match="in use"):
        Endpoints(address, "127.0.0.1", (other, taken.port), now=0)
    taken.socket.close()
    Endpoints(address, "127.0.0.1", (other, taken.port), now=0).close()


def test_datagrams_that_nobody_reads_are_counted_although_no_other_follows() -> None:
    sender = End()
    reading = Endpoint(("127.0.0.1", 0))
    with contextlib.closing(reading.socket), contextlib.closing(sender.socket):
        sent = 10_000
        for _ in range(sent):
            sender.send(bytes(1400), reading.socket.getsockname())
        dropped, read = reading.overflowed(), 0
        while received := reading.receive():
            read += len(received)
        assert dropped > 0
        assert dropped + read == sent
