"""Poller: the sockets through which gateway, first hop, peer and broker are polled.

No capability is needed. Gateway and first hop get UDP packets that they have to answer by an ICMP message,
which the kernel keeps for the sender (``IP_RECVERR``). The peer gets a STAMP packet, whose reply proves that
it has the key. The broker gets a TCP connection that is opened and closed, only while its session is down or
a target is silent.
"""

import asyncio
import contextlib
import socket
import time

from agent.probes.reachability.rules.first_hop import FirstHop
from agent.probes.reachability.rules.network_view import Egress, EgressKind, Target
from agent.probes.reachability.rules.outages import OutageRules
from agent.probes.reachability.rules.peer_polls import PeerPolls
from agent.task.context import ProbeContext
from net import path_errors, routes
from net.path_errors import IcmpKind, PathError
from net.routes import Route
from wire.records import ClockReading
from wire.stamp.timestamp import ErrorEstimate

# Port where nothing listens, by the custom of traceroute. The time to live is added to identify an answer.
FIRST_PORT = 33434

_GATEWAY_TTL = 1
_ELSEWHERE = "203.0.113.1"  # RFC 5737, for documentation only: its route is the default route
_DATAGRAM_BYTES = 2048
_DATAGRAMS_A_TURN = 16  # then the event loop serves others

Endpoint = tuple[socket.AddressFamily, str, int]


class TargetPoller:
    """Polls targets until ``close``, and records polls and answers in ``rules.targets``."""

    def __init__(self, context: ProbeContext, rules: OutageRules) -> None:
        settings = context.settings
        self.hop = FirstHop()
        self.gateway: str | None = None
        self._rules = rules
        self._clock = context.clock
        self._peer_polls = PeerPolls(context.peer_key if settings.stamp.authenticated else None)
        self._peer_name = (settings.peer.host, settings.peer.stamp_port)
        self._broker_name = (settings.broker.host, settings.broker.port)
        self._peer: Endpoint | None = None
        self._broker: Endpoint | None = None
        self._route: Route | None = None
        self._socket: socket.socket | None = None
        self._resolving: asyncio.Task[None] | None = None
        self._connecting: asyncio.Task[None] | None = None

    def close(self) -> None:
        """End everything that is still running, and close the socket."""
        for task in (self._resolving, self._connecting):
            if task is not None:
                task.cancel()
        self._close_socket()

    def start_lookup(self) -> None:
        """Resolve the names of peer and broker in the background; known addresses stay meanwhile."""
        if self._resolving is None or self._resolving.done():
            self._resolving = asyncio.create_task(self.look_up())

    async def look_up(self) -> None:
        """Resolve the names of peer and broker."""
        peer = await _endpoint(*self._peer_name, socket.SOCK_DGRAM)
        if peer is not None and peer != self._peer:
            self._peer = peer
            self._open_socket(peer)
        self._broker = await _endpoint(*self._broker_name, socket.SOCK_STREAM) or self._broker

    def egress(self) -> Egress:
        """Egress to the peer as the kernel reports it, or to anywhere while the peer's address is unknown."""
        broker_shares = self._rules.egress.broker_shares
        try:
            route = routes.to(self._peer[1] if self._peer else _ELSEWHERE)
            if route is None:
                return Egress(EgressKind.NONE, self._carrier(self._route), broker_shares=broker_shares)
            link = routes.link(route.interface)
            if self._broker is not None and link is not None and not link.loopback:
                broker_shares = _is_same(routes.to(self._broker[1]), route, default=broker_shares)
        except OSError:
            return self._rules.egress  # the kernel gave no answer: the last one is the best guess
        kind = EgressKind.DIRECT if link is None else _kind(route, link)
        self._take_route(route, kind)
        carrier = None if link is None or link.loopback else link.carrier
        failed = route.gateway is not None and routes.is_unresolved(route.interface, route.gateway)
        return Egress(kind, carrier, failed, broker_shares)

    def poll(self, target: Target, now: ClockReading) -> None:
        """Poll one target. A packet that cannot be sent counts as a poll without an answer."""
        history = self._rules.targets[target]
        unsent = self._socket is None or self._peer is None
        if target is Target.FIRST_HOP and unsent and not history.known:
            # While the hop is being learnt its next poll is minutes away: this one must not count as made.
            return
        history.poll(now)
        if target is Target.BROKER:
            self._connect()
            return
        sock, peer = self._socket, self._peer
        if sock is None or peer is None:
            return
        if target is Target.PEER:
            estimate = ErrorEstimate.of_clock(now)
            path_errors.send(sock, self._peer_polls.packet(time.time_ns(), estimate), (peer[1], peer[2]))
        elif target is Target.GATEWAY:
            self._poll_gateway(sock, peer)
        else:
            if not history.known and not self._rules.outages:
                self.hop.forget(self.hop.lowest_ttl)
            for ttl in self.hop.ttls():
                path_errors.send(sock, b"", (peer[1], FIRST_PORT + ttl), ttl)

    def _poll_gateway(self, sock: socket.socket, peer: Endpoint) -> None:
        # Some gateways answer when a time to live expires, others only at a closed port of their own.
        path_errors.send(sock, b"", (peer[1], FIRST_PORT + _GATEWAY_TTL), _GATEWAY_TTL)
        if self.gateway is None or self._route is None or (":" in self.gateway) != (":" in peer[1]):
            return
        if self.gateway.startswith("fe80:"):
            place: tuple[str, int] = (f"{self.gateway}%{self._route.interface}", FIRST_PORT)
        else:
            place = (self.gateway, FIRST_PORT)
        path_errors.send(sock, b"", place)

    def _readable(self, sock: socket.socket) -> None:
        for error in path_errors.drain(sock):
            self._take_error(error)
        for _ in range(_DATAGRAMS_A_TURN):
            try:
                data, address = sock.recvfrom(_DATAGRAM_BYTES)
            except OSError:
                break  # nothing more, or an ICMP error about a packet, which is in the queue read above
            of_peer = self._peer is not None and address[0] == self._peer[1]
            if of_peer and self._peer_polls.received(data, time.time_ns()):
                self._rules.targets[Target.PEER].answer(self._clock())

    def _take_error(self, error: PathError) -> None:
        targets, now = self._rules.targets, self._clock()
        ttl = error.port - FIRST_PORT
        if error.sender == self.gateway or (ttl == _GATEWAY_TTL < self.hop.lowest_ttl and _is_over(error)):
            targets[Target.GATEWAY].answer(now)
        elif self._peer is not None and error.sender == self._peer[1]:
            if error.kind is IcmpKind.PORT_UNREACHABLE:
                targets[Target.PEER].refuse(now)
        elif _is_over(error) and ttl >= self.hop.lowest_ttl:
            if self.hop.take(ttl, error.sender):
                targets[Target.FIRST_HOP].answer(now)
        elif error.sender == self.hop.address:
            targets[Target.FIRST_HOP].answer(now)

    def _connect(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        if self._broker is not None:
            self._connecting = asyncio.create_task(self._connect_to(self._broker))

    async def _connect_to(self, broker: Endpoint) -> None:
        family, address, port = broker
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(sock, (address, port))
            except ConnectionRefusedError:
                self._rules.targets[Target.BROKER].refuse(self._clock())
            except OSError:
                return
            else:
                self._rules.targets[Target.BROKER].answer(self._clock())

    def _open_socket(self, peer: Endpoint) -> None:
        self._close_socket()
        with contextlib.suppress(OSError):
            # Not connected: the ICMP error about one packet would end the receipt of all others.
            sock = socket.socket(peer[0], socket.SOCK_DGRAM)
            sock.setblocking(False)
            path_errors.enable(sock)
            asyncio.get_running_loop().add_reader(sock, self._readable, sock)
            self._socket = sock

    def _close_socket(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _take_route(self, route: Route, kind: EgressKind) -> None:
        """Remember the route; through another gateway, another router is the first hop."""
        lowest_ttl = 1 if kind is EgressKind.POINT_TO_POINT else 2
        known = self._route is not None or self.gateway is not None
        if known and (route.gateway != self.gateway or lowest_ttl != self.hop.lowest_ttl):
            for target in (Target.GATEWAY, Target.FIRST_HOP):
                self._rules.targets[target].replace()
            self.hop.forget(lowest_ttl)
        self.hop.lowest_ttl = lowest_ttl
        self._route, self.gateway = route, route.gateway

    @staticmethod
    def _carrier(route: Route | None) -> bool | None:
        link = None if route is None else routes.link(route.interface)
        return None if link is None else link.carrier


def _kind(route: Route, link: routes.Link) -> EgressKind:
    if route.gateway is not None:
        return EgressKind.ROUTED
    return EgressKind.POINT_TO_POINT if link.point_to_point and not link.loopback else EgressKind.DIRECT


def _is_same(route: Route | None, other: Route, *, default: bool) -> bool:
    return default if route is None else route == other


def _is_over(error: PathError) -> bool:
    return error.kind is IcmpKind.TIME_EXCEEDED


async def _endpoint(host: str, port: int, kind: socket.SocketKind) -> Endpoint | None:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=kind)
    except (OSError, UnicodeError):  # UnicodeError: getaddrinfo raises it for a host that cannot be a name
        return None
    return found[0][0], str(found[0][4][0]), port
