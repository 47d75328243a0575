"""The sockets of a link: one for each port of the peer at the site's side, one for each client at the peer's.

A client keeps one socket for all ports of the peer. An RFC 9946 server binds a connection to the address and
port of its Setup Request.
"""

import ipaddress
import os
import select
from collections.abc import Callable, Sequence
from typing import TypeVar

from lab.links.datagrams import Address, Endpoint

# A test is never silent for more than 3 s (RFC 9946 §6.1), a STAMP session for little more than a minute.
TEST_PORT_LIFETIME = 60 * 10**9
CLIENT_LIFETIME = 300 * 10**9
MOST_TEST_PORTS = 256
MOST_CLIENTS = 256


class SitePort(Endpoint):
    """A port of the peer as the site sees it, at the link's own address."""

    def __init__(self, address: Address, now: int) -> None:
        super().__init__(address)
        self.port = address[1]
        self.last_used = now


class RelayedClient(Endpoint):
    """A client of the site as the peer sees it; `address` is where it really is."""

    def __init__(self, source: str, address: Address, now: int) -> None:
        super().__init__((source, 0))
        self.address = address
        self.last_used = now


Key = TypeVar("Key", int, Address)
Kind = TypeVar("Kind", SitePort, RelayedClient)


class Endpoints:
    """All sockets of one link, bounded in number, closed when unused. Raises OSError when a port is taken."""

    def __init__(self, listen: str, peer: str, ports: Sequence[int], now: int) -> None:
        self._overflowed = {SitePort: 0, RelayedClient: 0}
        self._listen = listen
        # A test port of the peer can then never have the number of one of these sockets: same address.
        self._source = "127.0.0.1" if ipaddress.IPv4Address(peer).is_loopback else "0.0.0.0"  # noqa: S104
        self._by_descriptor: dict[int, SitePort | RelayedClient] = {}
        self._fixed_ports: dict[int, SitePort] = {}
        self._test_ports: dict[int, SitePort] = {}
        self._clients: dict[Address, RelayedClient] = {}
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        try:
            for port in ports:
                self._fixed_ports[port] = self._watched(SitePort((listen, port), now))
        except OSError:
            self.close()
            raise

    def wait(self, nanoseconds: int) -> None:
        """Wait for a datagram or ``wake``, at most so long."""
        # epoll rounds up to milliseconds, select to microseconds.
        select.select([self._epoll], [], [], nanoseconds / 1e9)

    def ready(self) -> list[SitePort | RelayedClient]:
        """Return the sockets that have datagrams now."""
        found = (self._by_descriptor.get(descriptor) for descriptor, _ in self._epoll.poll(0))
        return [endpoint for endpoint in found if endpoint is not None]

    def wake(self) -> None:
        """End a ``wait`` from another thread or a signal handler."""
        os.eventfd_write(self._wake, 1)

    def site_port(self, port: int, now: int) -> SitePort | None:
        """Return the site's side of this port of the peer, None when the link does not hold it."""
        found = self._fixed_ports.get(port) or self._test_ports.get(port)
        if found is not None:
            found.last_used = now
        return found

    def learn(self, port: int, now: int) -> None:
        """Hold this port from now on. Raises OSError when it is taken at the link's address."""
        if self.site_port(port, now) is None:
            self._make_room(self._test_ports, MOST_TEST_PORTS)
            self._test_ports[port] = self._watched(SitePort((self._listen, port), now))

    def client(self, address: Address, now: int) -> RelayedClient:
        """Return the socket that speaks to the peer for this client. Raises OSError when none can be had."""
        client = self._clients.get(address)
        if client is None:
            self._make_room(self._clients, MOST_CLIENTS)
            client = self._clients[address] = self._watched(RelayedClient(self._source, address, now))
        client.last_used = now
        return client

    def expire(self, now: int) -> None:
        """Close what nobody has used for its lifetime."""
        self._forget(self._test_ports, lambda endpoint: now - endpoint.last_used > TEST_PORT_LIFETIME)
        self._forget(self._clients, lambda endpoint: now - endpoint.last_used > CLIENT_LIFETIME)

    def close(self) -> None:
        """Close everything; closing twice does no harm."""
        for table in (self._fixed_ports, self._test_ports):
            self._forget(table, lambda _: True)
        self._forget(self._clients, lambda _: True)
        if not self._epoll.closed:
            self._epoll.close()
            os.close(self._wake)

    def overflowed(self, kind: type[SitePort] | type[RelayedClient]) -> int:
        """Return how many datagrams of this side the kernel dropped unread."""
        found = (one.overflowed() for one in self._by_descriptor.values() if isinstance(one, kind))
        return self._overflowed[kind] + sum(found)

    def _watched(self, endpoint: Kind) -> Kind:
        self._epoll.register(endpoint.socket, select.EPOLLIN)
        self._by_descriptor[endpoint.socket.fileno()] = endpoint
        return endpoint

    def _make_room(self, table: dict[Key, Kind], most: int) -> None:
        if len(table) >= most:
            oldest = min(endpoint.last_used for endpoint in table.values())
            self._forget(table, lambda endpoint: endpoint.last_used == oldest)

    def _forget(self, table: dict[Key, Kind], unwanted: Callable[[Kind], bool]) -> None:
        for key, endpoint in list(table.items()):
            if unwanted(endpoint):
                del table[key], self._by_descriptor[endpoint.socket.fileno()]
                self._overflowed[type(endpoint)] += endpoint.overflowed()
                endpoint.socket.close()
