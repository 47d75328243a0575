"""Poller: the sockets through which gateway, first hop, peer, broker and resolver are polled.

No capability is needed. Gateway and first hop get UDP packets that they have to answer by an ICMP message,
which the kernel keeps for the sender (``IP_RECVERR``). The peer gets a STAMP packet, whose reply proves that
it has the key. The broker gets a connection in which it has to prove itself (``broker_polls``), only while
its session is down or a target is silent. The resolver gets the lookups that are needed anyway.

Peer and broker may have several addresses. The preferred one is polled. While it does not answer, the others
follow 250 ms apart (RFC 8305). Each of them is polled now and then, so that findings can tell them apart.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from functools import partial

from agent.probes.reachability.broker_polls import MOST_ADDRESSES, BrokerPolls
from agent.probes.reachability.rules.address_histories import AddressHistories
from agent.probes.reachability.rules.first_hop import FirstHop
from agent.probes.reachability.rules.network_view import Egress, EgressKind, OutageScope, Target
from agent.probes.reachability.rules.outages import OutageRules
from agent.probes.reachability.rules.peer_polls import PeerPolls
from agent.task.context import ProbeContext
from net import path_errors, routes
from net.addresses.host import HostAddresses
from net.addresses.preference import family_name
from net.addresses.racing import STAGGER_S
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
# Intervals between two polls of an address whose state is known: of the peer 280 B, of the broker a
# handshake.
_PEER_ADDRESS_INTERVALS, _BROKER_ADDRESS_INTERVALS = 30, 360


class TargetPoller:
    """Polls targets until ``close``, and records polls and answers in ``rules.targets``."""

    def __init__(self, context: ProbeContext, rules: OutageRules) -> None:
        settings = context.settings
        self.hop = FirstHop()
        self.gateway: str | None = None
        self.peer = context.peer_addresses or HostAddresses(settings.peer.host)
        self.broker = context.broker_addresses or HostAddresses(settings.broker.host)
        self._rules = rules
        self._clock = context.clock
        self._peer_polls = PeerPolls(context.peer_key if settings.stamp.authenticated else None)
        self._peer_port = settings.peer.stamp_port
        wait_us, interval_us = rules.answer_wait_us, 5 * rules.answer_wait_us
        self._of_peer = AddressHistories(wait_us, _PEER_ADDRESS_INTERVALS * interval_us)
        self._of_broker = AddressHistories(wait_us, _BROKER_ADDRESS_INTERVALS * interval_us)
        self._broker_polls = BrokerPolls(context, self.broker, rules.targets[Target.BROKER], self._of_broker)
        self._route: Route | None = None
        self._sockets: dict[socket.AddressFamily, socket.socket] = {}
        self._rejecter: tuple[str, ClockReading] | None = None
        self._lookups_before: dict[int, int] = {}

    def close(self) -> None:
        """End everything that is still running, and close the sockets."""
        self._broker_polls.close()
        for sock in self._sockets.values():
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        self._sockets.clear()

    async def look_up(self, within_s: float) -> None:
        """Wait at most ``within_s`` for an address of peer and broker, where none is known."""
        found = (host.known(within_s) for host in (self.peer, self.broker))
        await asyncio.gather(*found, return_exceptions=True)

    def egress(self) -> Egress:
        """Egress to the peer as the kernel reports it, or to anywhere while the peer's address is unknown."""
        broker_shares = self._rules.egress.broker_shares
        try:
            route = routes.to(self._destination)
            if route is None:
                return Egress(EgressKind.NONE, self._carrier(self._route), broker_shares=broker_shares)
            link = routes.link(route.interface)
            broker = self.broker.in_use or next(iter(self.broker.candidates), None)
            if broker is not None and self.peer.candidates and link is not None and not link.loopback:
                broker_shares = _is_same(routes.to(broker), route, default=broker_shares)
        except OSError:
            return self._rules.egress  # the kernel gave no answer: the last one is the best guess
        kind = EgressKind.DIRECT if link is None else _kind(route, link)
        self._take_route(route, kind)
        carrier = None if link is None or link.loopback else link.carrier
        failed = route.gateway is not None and routes.is_unresolved(route.interface, route.gateway)
        return Egress(kind, carrier, failed, broker_shares)

    def names_fail(self, now: ClockReading) -> bool:
        """True if the resolver is known to fail; a right answer is recorded here."""
        hosts = [host for host in (self.peer, self.broker) if not host.is_literal]
        resolver = self._rules.targets[Target.RESOLVER]
        if resolver.unanswered.count and all(self._is_answered(host) for host in hosts):
            resolver.answer(now)
        return any(host.looking or host.problem or self._is_lied_to(host, now) for host in hosts)

    def findings(self, now: ClockReading) -> Iterator[str]:
        """Addresses that do not work while others do, and who rejects packets on the way, in words."""
        both = (("peer", self.peer, self._of_peer), ("broker", self.broker, self._of_broker))
        for name, host, histories in both:
            lies = host.newest if self._is_lied_to(host, now) else ()
            dead = histories.dead(host.candidates[:MOST_ADDRESSES], now)
            for one in (one for one in dead if one.address not in lies):
                yield (
                    f"{name}: {one.address} ({family_name(one.address)}) does not answer,"
                    f" {one.works} ({family_name(one.works)}) does: measuring on over that one;"
                    " look at the way to the other"
                )
            if lies:
                yield (
                    f"dns: {host.host} resolves to {', '.join(host.newest)}, where no {name} answers:"
                    f" going on with {', '.join(host.proved)}"
                )
            elif host.newest and not host.is_vouched_for and histories.are_silent(host.newest, now):
                yield (
                    f"dns: {host.host} resolves to {', '.join(host.newest)}, where no {name} ever answered:"
                    " does the resolver lie?"
                )
            elif host.problem and host.candidates:
                yield (
                    f"dns: {host.host} does not resolve ({host.problem.strerror or host.problem}):"
                    f" going on with {', '.join(host.candidates)}"
                )
        peer = self._rules.targets[Target.PEER]
        if self._rejecter is not None and peer.is_silent(now) and not peer.answered_since(self._rejecter[1]):
            yield f"peer: {self._rejecter[0]}, on the way, rejects the packets to the peer: is it a firewall?"

    def poll(self, target: Target, now: ClockReading) -> None:
        """Poll one target. It counts as polled if it has an address, even where a packet cannot be sent."""
        history = self._rules.targets[target]
        if target is Target.RESOLVER:
            self._poll_resolver(now)
        elif target is Target.BROKER:
            if self.broker.candidates:
                self._count(target, now)
                self._broker_polls.poll()
        elif target is Target.PEER:
            if self.peer.candidates:
                self._count(target, now)
                self._poll_peer(now)
        elif target is Target.GATEWAY:
            history.poll(now)
            self._poll_gateway()
        elif (sock := self._socket_to(self._destination)) is not None:
            history.poll(now)
            if not history.known and not self._rules.outages:
                self.hop.forget(self.hop.lowest_ttl)
            for ttl in self.hop.ttls():
                path_errors.send(sock, b"", (self._destination, FIRST_PORT + ttl), ttl)

    def poll_addresses(self, now: ClockReading) -> None:
        """Poll the addresses whose state is not known, or has not been looked at for long."""
        if OutageScope.LINE in self._rules.outages:
            # What is silent now is silent because of the line: it is polled from the start when the line is
            # back.
            self._of_peer.keep(())
            self._of_broker.keep(())
            return
        peers, brokers = (host.candidates[:MOST_ADDRESSES] for host in (self.peer, self.broker))
        self._of_peer.keep(peers)
        self._of_broker.keep(brokers)
        if self.broker.in_use is not None:
            self._of_broker.of(self.broker.in_use).answer(now)
        if len(peers) > 1:
            for address in self._of_peer.due(peers, now):
                self._send_to_peer(address)
        if len(brokers) > 1:
            others = [one for one in brokers if one != self.broker.in_use]
            for address in self._of_broker.due(others, now):
                self._broker_polls.try_address(address)
        for host, histories in ((self.peer, self._of_peer), (self.broker, self._of_broker)):
            dead = histories.dead(host.candidates[:MOST_ADDRESSES], now)
            host.dead = tuple(one.address for one in dead)
            if host.candidates and host.candidates[0] in host.dead:
                host.fail(host.candidates[0])

    @property
    def _destination(self) -> str:
        return next(iter(self.peer.candidates), _ELSEWHERE)

    def _count(self, target: Target, now: ClockReading) -> None:
        """Count a poll, unless only a resolver says that the target is there: it may lie."""
        hosts, others = (self.peer, self.broker), (Target.PEER, Target.BROKER)
        host = self.peer if target is Target.PEER else self.broker
        is_known = any(one.proved for one in hosts) or any(self._rules.targets[one].known for one in others)
        history = self._rules.targets[target]
        record = history.poll if host.is_vouched_for or is_known else history.poll_unvouched
        record(now)

    def _poll_resolver(self, now: ClockReading) -> None:
        hosts = [host for host in (self.peer, self.broker) if not host.is_literal]
        resolver = self._rules.targets[Target.RESOLVER]
        if any(host.looking for host in hosts):
            resolver.wait(now)
            return
        if hosts:
            resolver.poll(now)
        for host in hosts:
            self._lookups_before[id(host)] = host.lookups
            host.start_lookup()

    def _is_answered(self, host: HostAddresses) -> bool:
        """True if a lookup since the newest poll gave addresses that are right, as far as is known."""
        is_new = host.lookups > self._lookups_before.get(id(host), 0)
        plausible = not host.proved or any(one in host.proved for one in host.newest)
        return is_new and host.problem is None and plausible

    def _is_lied_to(self, host: HostAddresses, now: ClockReading) -> bool:
        """True if nothing authenticates at any address of the newest answer, and others are proved."""
        if not host.newest or not host.proved or any(one in host.proved for one in host.newest):
            return False
        histories = self._of_peer if host is self.peer else self._of_broker
        return histories.are_silent(host.newest[:MOST_ADDRESSES], now)

    def _poll_peer(self, now: ClockReading) -> None:
        first, *others = self.peer.candidates[:MOST_ADDRESSES]
        self._send_to_peer(first)
        in_doubt = first not in self.peer.proved or self._rules.targets[Target.PEER].unanswered.count > 1
        for place, address in enumerate(others if in_doubt else (), 1):
            later = partial(self._send_unless_answered, address, now)
            asyncio.get_running_loop().call_later(place * STAGGER_S, later)

    def _send_unless_answered(self, address: str, polled: ClockReading) -> None:
        if not self._rules.targets[Target.PEER].answered_since(polled):
            self._send_to_peer(address)

    def _send_to_peer(self, address: str) -> None:
        sock = self._socket_to(address)
        if sock is not None:
            now = self._clock()
            packet = self._peer_polls.packet(time.time_ns(), ErrorEstimate.of_clock(now))
            if path_errors.send(sock, packet, (address, self._peer_port)):
                self._of_peer.of(address).poll(now)

    def _poll_gateway(self) -> None:
        destination = self._destination
        sock = self._socket_to(destination)
        if sock is None:
            return
        # Some gateways answer when a time to live expires, others only at a closed port of their own.
        path_errors.send(sock, b"", (destination, FIRST_PORT + _GATEWAY_TTL), _GATEWAY_TTL)
        if self.gateway is None or self._route is None or (":" in self.gateway) != (":" in destination):
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
            if address[0] in self.peer.candidates and self._peer_polls.received(data, time.time_ns()):
                self._take_reply(address[0])

    def _take_reply(self, address: str) -> None:
        now = self._clock()
        self._of_peer.of(address).answer(now)
        self._rules.targets[Target.PEER].answer(now)
        self.peer.prove(address)

    def _take_error(self, error: PathError) -> None:
        targets, now = self._rules.targets, self._clock()
        ttl = error.port - FIRST_PORT
        if error.port == self._peer_port and not _is_over(error):
            self._take_rejection(error, now)
        if error.sender == self.gateway or (ttl == _GATEWAY_TTL < self.hop.lowest_ttl and _is_over(error)):
            targets[Target.GATEWAY].answer(now)
        elif _is_over(error) and ttl >= self.hop.lowest_ttl:
            if self.hop.take(ttl, error.sender):
                targets[Target.FIRST_HOP].answer(now)
        elif error.sender == self.hop.address or self._is_nowhere(error):
            targets[Target.FIRST_HOP].answer(now)

    def _is_nowhere(self, error: PathError) -> bool:
        """True if a router beyond the gateway knows no route to the substitute for an unknown peer."""
        return error.destination == _ELSEWHERE and error.port - FIRST_PORT >= self.hop.lowest_ttl

    def _take_rejection(self, error: PathError, now: ClockReading) -> None:
        """Record who rejects packets to the peer: in its own name, or as a router on the way."""
        if error.sender != error.destination:
            self._rejecter = (error.sender, now)
        elif error.kind is IcmpKind.PORT_UNREACHABLE:
            self._rules.targets[Target.PEER].refuse(now)

    def _socket_to(self, address: str) -> socket.socket | None:
        """Socket of the family of ``address``; None where this machine has none."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        if family not in self._sockets:
            with contextlib.suppress(OSError):
                # Not connected: the ICMP error about one packet would end the receipt of all others.
                sock = socket.socket(family, socket.SOCK_DGRAM)
                sock.setblocking(False)
                path_errors.enable(sock)
                asyncio.get_running_loop().add_reader(sock, self._readable, sock)
                self._sockets[family] = sock
        return self._sockets.get(family)

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
