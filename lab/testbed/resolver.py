"""Emulated DNS resolver on loopback, over UDP and TCP, that misbehaves as told.

It answers from a table of names. Its behaviour may change while it runs, so a test can see a resolver fail
and recover. It runs in a thread of its own: the programs under test may be in this process or in others.
"""

import asyncio
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

    def __init__(self, names: Mapping[str, tuple[str, ...]], behaviour: ResolverBehaviour) -> None:
        self.names = names
        self.behaviour = behaviour
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
    port: int,
    host: str = "127.0.0.1",
    behaviour: ResolverBehaviour = ResolverBehaviour.RIGHT,
) -> Iterator[EmulatedResolver]:
    """Run a resolver while the block lasts, at one port of UDP and TCP. Raises OSError if it is taken."""
    resolver = EmulatedResolver(names, behaviour)
    serving = _Serving(resolver, (host, port))
    thread = threading.Thread(target=asyncio.run, args=(serving.run(),), daemon=True)
    thread.start()
    try:
        serving.wait_until_ready()
        yield resolver
    finally:
        serving.stop()
        thread.join()


class _Serving:
    """Sockets of one resolver, in the event loop of its thread."""

    def __init__(self, resolver: EmulatedResolver, place: tuple[str, int]) -> None:
        self._resolver = resolver
        self._place = place
        self._is_ready, self._stop = threading.Event(), asyncio.Event()
        self._error: OSError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            server = await asyncio.start_server(self._serve, *self._place)
            transport, _ = await self._loop.create_datagram_endpoint(
                lambda: _Datagrams(self._resolver), local_addr=self._place
            )
        except OSError as error:
            self._error = error
            return
        finally:
            self._is_ready.set()
        async with server:
            await self._stop.wait()
        transport.close()

    def wait_until_ready(self) -> None:
        self._is_ready.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
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
