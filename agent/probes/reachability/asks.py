"""Asks gateway, first hop, peer and broker whether they are there: the sockets of ``rules.outages``.

Without any right: UDP packets that a router or the gateway has to answer by an ICMP message, which the kernel
keeps for the sender; a STAMP packet for the peer, whose reply proves that it has the key; a TCP connection to
the broker, opened and closed, only while its session is down or somebody else is silent.
"""

import asyncio
import contextlib
import socket
import time

from agent.probes.reachability.rules.first_hop import FirstHop
from agent.probes.reachability.rules.outages import OutageRules, Target, Way, WayKind
from agent.probes.reachability.rules.peer_asks import PeerAsks
from agent.task.context import Surroundings
from net import path_errors, routes
from net.path_errors import PathError, Said
from net.routes import Route
from wire.records import ClockReading
from wire.stamp.timestamp import ErrorEstimate

FIRST_PORT = 33434
"""Where nothing listens, by custom: traceroute's. The time to live is added, so that an answer tells it."""

_GATEWAY_TTL = 1
_ELSEWHERE = "203.0.113.1"  # RFC 5737: nobody's, so what leads there is the default route
_DATAGRAM_BYTES = 2048
_DATAGRAMS_A_TURN = 16

Place = tuple[socket.AddressFamily, str, int]


class Asks:
    """Open until ``close``. What comes of an ask goes into ``rules.targets`` when it comes."""

    def __init__(self, surroundings: Surroundings, rules: OutageRules) -> None:
        settings = surroundings.settings
        self.hop = FirstHop()
        self.gateway: str | None = None
        self._rules = rules
        self._clock = surroundings.clock
        self._peer_asks = PeerAsks(surroundings.peer_key if settings.stamp.authenticated else None)
        self._peer_name = (settings.peer.host, settings.peer.stamp_port)
        self._broker_name = (settings.broker.host, settings.broker.port)
        self._peer: Place | None = None
        self._broker: Place | None = None
        self._route: Route | None = None
        self._socket: socket.socket | None = None
        self._resolving: asyncio.Task[None] | None = None
        self._connecting: asyncio.Task[None] | None = None

    def close(self) -> None:
        """End everything that is under way."""
        for task in (self._resolving, self._connecting):
            if task is not None:
                task.cancel()
        self._close_socket()

    def look_up(self) -> None:
        """Ask the name service for peer and broker, in the background; what is known stays meanwhile."""
        if self._resolving is None or self._resolving.done():
            self._resolving = asyncio.create_task(self._look_up())

    async def look_up_now(self) -> None:
        """As ``look_up``, to its end."""
        await self._look_up()

    def way(self) -> Way:
        """What the kernel says of the way to the peer, or to anywhere while the peer's address is unknown."""
        broker_shares = self._rules.way.broker_shares
        try:
            route = routes.to(self._peer[1] if self._peer else _ELSEWHERE)
            if route is None:
                return Way(WayKind.NONE, self._carrier(self._route), broker_shares=broker_shares)
            link = routes.link(route.interface)
            if self._broker is not None and link is not None and not link.loopback:
                broker_shares = _leads_alike(routes.to(self._broker[1]), route, default=broker_shares)
        except OSError:
            return self._rules.way
        self._take_route(route, WayKind.DIRECT if link is None else _kind(route, link))
        carrier = None if link is None or link.loopback else link.carrier
        failed = route.gateway is not None and routes.is_unresolved(route.interface, route.gateway)
        return Way(WayKind.DIRECT if link is None else _kind(route, link), carrier, failed, broker_shares)

    def ask(self, target: Target, now: ClockReading) -> None:
        """Ask one of them. That it could not be sent is as good as no answer.

        But who is only being learnt was not asked then: it is a long time to the next ask.
        """
        unsent = self._socket is None or self._peer is None
        if target is Target.FIRST_HOP and unsent and not self._rules.targets[target].known:
            return
        self._rules.targets[target].ask(now)
        if target is Target.BROKER:
            self._connect()
            return
        sock, peer = self._socket, self._peer
        if sock is None or peer is None:
            return
        if target is Target.PEER:
            estimate = ErrorEstimate.of_clock(now)
            for packet in self._peer_asks.packets(self._rules.targets[target].asks, time.time_ns(), estimate):
                path_errors.send(sock, packet, (peer[1], peer[2]))
        elif target is Target.GATEWAY:
            self._ask_gateway(sock, peer)
        else:
            if not self._rules.targets[target].known and not self._rules.outages:
                self.hop.forget(self.hop.lowest)
            for ttl in self.hop.asks():
                path_errors.send(sock, b"", (peer[1], FIRST_PORT + ttl), ttl)

    def _ask_gateway(self, sock: socket.socket, peer: Place) -> None:
        """In two ways: some gateways answer to the one, some to the other."""
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
                break  # nothing more, or what was said of a packet, which is read above
            of_peer = self._peer is not None and address[0] == self._peer[1]
            if of_peer and self._peer_asks.received(data, time.time_ns()):
                self._rules.targets[Target.PEER].answer(self._clock())

    def _take_error(self, error: PathError) -> None:
        targets, now = self._rules.targets, self._clock()
        ttl = error.port - FIRST_PORT
        if error.sender == self.gateway or (ttl == _GATEWAY_TTL < self.hop.lowest and _is_over(error)):
            targets[Target.GATEWAY].answer(now)
        elif self._peer is not None and error.sender == self._peer[1]:
            if error.said is Said.PORT_UNREACHABLE:
                targets[Target.PEER].refuse(now)
        elif _is_over(error) and ttl >= self.hop.lowest:
            if self.hop.takes(ttl, error.sender):
                targets[Target.FIRST_HOP].answer(now)
        elif error.sender == self.hop.address:
            targets[Target.FIRST_HOP].answer(now)

    def _connect(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        if self._broker is not None:
            self._connecting = asyncio.create_task(self._try_broker(self._broker))

    async def _try_broker(self, place: Place) -> None:
        family, address, port = place
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

    async def _look_up(self) -> None:
        peer = await _place(*self._peer_name, socket.SOCK_DGRAM)
        if peer is not None and peer != self._peer:
            self._peer = peer
            self._open_socket(peer)
        self._broker = await _place(*self._broker_name, socket.SOCK_STREAM) or self._broker

    def _open_socket(self, peer: Place) -> None:
        """Not connected: what is said of one packet is not to end the others."""
        self._close_socket()
        with contextlib.suppress(OSError):
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

    def _take_route(self, route: Route, kind: WayKind) -> None:
        """By another gateway another hop is the first."""
        lowest = 1 if kind is WayKind.POINT_TO_POINT else 2
        known = self._route is not None or self.gateway is not None
        if known and (route.gateway != self.gateway or lowest != self.hop.lowest):
            for target in (Target.GATEWAY, Target.FIRST_HOP):
                self._rules.targets[target].forget()
            self.hop.forget(lowest)
        self.hop.lowest = lowest
        self._route, self.gateway = route, route.gateway

    @staticmethod
    def _carrier(route: Route | None) -> bool | None:
        link = None if route is None else routes.link(route.interface)
        return None if link is None else link.carrier


def _kind(route: Route, link: routes.Link) -> WayKind:
    if route.gateway is not None:
        return WayKind.ROUTED
    return WayKind.POINT_TO_POINT if link.point_to_point and not link.loopback else WayKind.DIRECT


def _leads_alike(route: Route | None, other: Route, *, default: bool) -> bool:
    return default if route is None else route == other


def _is_over(error: PathError) -> bool:
    return error.said is Said.TIME_EXCEEDED


async def _place(host: str, port: int, kind: socket.SocketKind) -> Place | None:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=kind)
    except (OSError, UnicodeError):  # the second: no name could look like that
        return None
    return found[0][0], str(found[0][4][0]), port
