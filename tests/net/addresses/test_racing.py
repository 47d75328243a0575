"""Race of connections: a black hole, a refusal, and nobody."""

import socket
import time
from collections.abc import Iterator

import pytest

from net.addresses.racing import STAGGER_S, connect
from tests.processes import free_port


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def black_hole() -> Iterator[tuple[str, int]]:
    """Address and port whose queue of connections is full: further ones are never answered."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as server:
        port = server.getsockname()[1]
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.2", port))
        time.sleep(0.05)
        yield "127.0.0.2", port
        for one in waiting:
            one.close()


def test_a_refusal_lets_the_next_address_begin_at_once(listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    began = time.monotonic()
    sock, address = connect(["127.0.0.3", "127.0.0.1"], port, 5.0)
    with sock:
        assert (address, sock.getpeername()) == ("127.0.0.1", ("127.0.0.1", port))
        assert sock.gettimeout() == 5.0
    assert time.monotonic() - began < STAGGER_S


def test_a_black_hole_costs_a_quarter_of_a_second(black_hole: tuple[str, int]) -> None:
    address, port = black_hole
    with socket.create_server(("127.0.0.1", port)):
        began = time.monotonic()
        sock, won = connect([address, "127.0.0.1"], port, 5.0)
        sock.close()
    assert won == "127.0.0.1"
    assert STAGGER_S * 0.9 <= time.monotonic() - began < 4.0


def test_the_reason_is_raised_where_nobody_connects(black_hole: tuple[str, int]) -> None:
    with pytest.raises(ConnectionRefusedError):
        connect(["127.0.0.1"], free_port(), 1.0)
    with pytest.raises(OSError, match="timed out"):
        connect([black_hole[0]], black_hole[1], 0.2)
    with pytest.raises(OSError, match="no address"):
        connect([], 1, 1.0)
