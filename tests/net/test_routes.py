"""Routes and ICMP errors of the kernel, on loopback and, as root, behind a gateway."""

import errno
import select
import socket

import pytest

from lab.netns import inside, requirements
from lab.netns.links.chain import Chain, ChainRouter, ChainSettings
from net import path_errors, routes
from net.path_errors import IcmpKind, PathError
from net.routes import Link, Route


def test_a_route_to_this_machine_is_by_loopback() -> None:
    route = routes.to("127.0.0.1")
    assert (route.gateway, route.interface) == (None, socket.if_nametoindex("lo"))
    link = routes.link(route.interface)
    assert (link.name, link.loopback, link.point_to_point) == ("lo", True, False)
    assert not routes.is_unresolved(route.interface, "127.0.0.1")


def test_a_missing_interface_or_route_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert routes.link(2**30) is None

    def refuse(kind: int, asked: bytes) -> bytes:
        raise OSError(errno.ENETUNREACH, "no way")

    monkeypatch.setattr(routes, "_ask", refuse)
    assert routes.to("192.0.2.1") is None


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_a_closed_port_is_reported_to_the_sender(family: socket.AddressFamily) -> None:
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.socket(family, socket.SOCK_DGRAM) as closed, socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            closed.bind((host, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        port = closed.getsockname()[1]
        closed.close()
        sock.setblocking(False)
        path_errors.enable(sock)
        assert path_errors.send(sock, b"x", (host, port), 3)
        assert path_errors.send(sock, b"x", (host, port))
        found = path_errors.drain(sock)
    assert found == [PathError(host, IcmpKind.PORT_UNREACHABLE, host, port)] * 2


def test_other_bytes_are_no_message() -> None:
    assert path_errors._read(b"\0" * 15, ("127.0.0.1", 9)) is None
    local = path_errors._EXTENDED_ERROR.pack(113, 1, 0, 0, 0, 0, 0) + bytes(16)
    assert path_errors._read(local, ("127.0.0.1", 9)) is None
    nobody = path_errors._EXTENDED_ERROR.pack(113, 2, 11, 0, 0, 0, 0) + bytes(4)
    assert path_errors._read(nobody, ("127.0.0.1", 9)) is None


def look(address: str) -> tuple[Route | None, Link | None, list[PathError]]:
    """Inside a site: the route, its interface, and the errors of three packets."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    route = routes.to(address)
    found: list[PathError] = []
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        path_errors.enable(sock)
        said = select.poll()
        said.register(sock, select.POLLERR)
        for ttl in (1, 2, 3):
            path_errors.send(sock, b"", (address, 33434 + ttl), ttl)
            said.poll(5000)
            found += path_errors.drain(sock)
    return route, None if route is None else routes.link(route.interface), found


@pytest.mark.parametrize("over_ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_behind_a_gateway_each_router_reports_time_exceeded(over_ipv6: bool) -> None:
    if lacking := requirements.lacking():
        pytest.skip(f"a chain of routers needs {'; '.join(lacking)}")
    with Chain(ChainSettings((ChainRouter(),) * 2)) as chain:
        hops = chain.hop_addresses(over_ipv6=over_ipv6)
        route, link, found = inside.call(chain.site, look, hops[-1])
    assert (route.gateway, link.name, link.carrier, link.loopback) == (hops[0], "far", True, False)
    kinds = [IcmpKind.TIME_EXCEEDED, IcmpKind.TIME_EXCEEDED, IcmpKind.PORT_UNREACHABLE]
    assert [(one.sender, one.kind) for one in found] == list(zip(hops, kinds, strict=True))
