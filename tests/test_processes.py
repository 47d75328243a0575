"""Ports of a test are its own."""

import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.processes import free_at, free_port


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_that_somebody_holds_is_not_free(kind: socket.SocketKind) -> None:
    port = free_port()
    assert free_at("127.0.0.1", port)
    with closing(socket.socket(socket.AF_INET, kind)) as sock:
        sock.bind(("127.0.0.1", port))
        assert not free_at("127.0.0.1", port)
    assert free_at("127.0.0.1", port)


def test_the_kernel_gives_no_port_of_a_test_to_a_connection() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(free_port() < lowest for _ in range(50))
