"""Emulated DNS resolver on loopback, over UDP and TCP, that misbehaves as configured.

It answers from a table of names. Its behaviour may change while it runs, so a test can see a resolver fail
and recover. It runs in a thread of its own: the programs under test may be in this process or in others.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

TTL_S = 60
SLOW_S = 2.5
TRIES = 5
_LIE = {dns.rdatatype.A: "198.51.100.66", dns.rdatatype.AAAA: "2001:db8:bad::66"}


class ResolverBehaviour(StrEnum):
    """Treatment of each question."""

    RIGHT = "right"
    DEAD = "dead"  # receives, and never answers
    SLOW = "slow"  # answers rightly after SLOW_S
    LYING = "lying"  # one address for every name, as a portal does
    SERVFAIL = "servfail"
    NOTIMP = "notimp"
    REFUSED = "refused"
    TRUNCATING = "truncating"  # the whole answer over TCP only
    CUTTING = "cutting"  # truncates, and closes each TCP connection


_RCODES = {
    ResolverBehaviour.SERVFAIL: dns.rcode.SERVFAIL,
    ResolverBehaviour.NOTIMP: dns.rcode.NOTIMP,
    ResolverBehaviour.REFUSED: dns.rcode.REFUSED,
}


class EmulatedResolver:
    """Resolver for the addresses in ``names``. Other names do not exist (NXDOMAIN).

    ``asked`` lists its questions: name, record type, and ``udp`` or ``tcp``.
    """

    def __init__(
        self, names: Mapping[str, tuple[str, ...]], behaviour: ResolverBehaviour, host: str, port: int
    ) -> None:
        self.names = names
        self.behaviour = behaviour
        self.host, self.port = host, port
        self.asked: list[tuple[str, str, str]] = []

    def reply(self, wire: bytes, transport: str) -> bytes | None:
        """Answer to one message, or None for silence."""
        with suppress(dns.exception.DNSException):
            query = dns.message.from_wire(wire)
            question = query.question[0]
            self.asked.append((question.name.to_text(True), question.rdtype.name, transport))
            return None if self.behaviour is ResolverBehaviour.DEAD else self._answer(query, transport)
        return None

    def _answer(self, query: dns.message.Message, transport: str) -> bytes:
        answer = dns.message.make_response(query, recursion_available=True)
        truncates = self.behaviour in (ResolverBehaviour.TRUNCATING, ResolverBehaviour.CUTTING)
        if rcode := _RCODES.get(self.behaviour):
            answer.set_rcode(rcode)
        elif truncates and transport == "udp":
            answer.flags |= dns.flags.TC
        else:
            self._add_addresses(answer)
        return answer.to_wire()

    def _add_addresses(self, answer: dns.message.Message) -> None:
        question = answer.question[0]
        known = self.names.get(question.name.to_text(True).lower())
        if self.behaviour is ResolverBehaviour.LYING:
            known = tuple(_LIE.values())
        if known is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
            return
        wanted = [each for each in known if (":" in each) == (question.rdtype == dns.rdatatype.AAAA)]
        if wanted:
            found = dns.rrset.from_text_list(question.name, TTL_S, "IN", question.rdtype, wanted)
            answer.answer.append(found)

    @property
    def delay_s(self) -> float:
        """Time that each answer waits."""
        return SLOW_S if self.behaviour is ResolverBehaviour.SLOW else 0.0


@contextmanager
def resolving(
    names: Mapping[str, tuple[str, ...]],
    port: int = 0,
    host: str = "127.0.0.1",
    behaviour: ResolverBehaviour = ResolverBehaviour.RIGHT,
) -> Iterator[EmulatedResolver]:
    """Run a resolver while the block lasts, at one port of UDP and TCP, or at any free one.

    Raises OSError if the port is taken.
    """
    tcp, udp = _sockets(host, port)
    resolver = EmulatedResolver(names, behaviour, host, udp.getsockname()[1])
    serving = _Serving(resolver, tcp, udp)
    thread = threading.Thread(target=asyncio.run, args=(serving.run(),), daemon=True)
    thread.start()
    try:
        serving.is_ready.wait()
        yield resolver
    finally:
        serving.stop()
        thread.join()


def _sockets(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """TCP and UDP sockets at one port. The number that the kernel gave to one may be taken by the other."""
    for left in reversed(range(1 if port else TRIES)):
        tcp, udp = (socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM))
        try:
            udp.bind((host, port))
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tcp.bind(udp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
            if not left:
                raise
        else:
            break
    return tcp, udp


class _Serving:
    """Event loop of one resolver, in its thread."""

    def __init__(self, resolver: EmulatedResolver, tcp: socket.socket, udp: socket.socket) -> None:
        self.is_ready = threading.Event()
        self._resolver = resolver
        self._tcp, self._udp = tcp, udp
        self._stop = asyncio.Event()

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, sock=self._tcp)
        transport, _ = await self._loop.create_datagram_endpoint(
            lambda: _Datagrams(self._resolver), sock=self._udp
        )
        self.is_ready.set()
        async with server:
            await self._stop.wait()
        transport.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            if self._resolver.behaviour is not ResolverBehaviour.CUTTING:
                size = int.from_bytes(await reader.readexactly(2))
                answer = self._resolver.reply(await reader.readexactly(size), "tcp")
                if answer is not None:
                    await asyncio.sleep(self._resolver.delay_s)
                    writer.write(len(answer).to_bytes(2) + answer)
                    await writer.drain()
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram, a slow resolver later."""

    def __init__(self, resolver: EmulatedResolver) -> None:
        self._resolver = resolver

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        answer = self._resolver.reply(data, "udp")
        if answer is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(self._resolver.delay_s, self._transport.sendto, answer, address)
