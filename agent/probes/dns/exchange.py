"""One question to one resolver: over UDP, and over TCP where the reply was truncated (RFC 1035, RFC 7766).

The protocol is dnspython's. Its own time-outs go by the wall clock, which a Raspberry Pi may set at any
moment, so the time-out here is asyncio's.
"""

import asyncio
import time

import dns.asyncquery
import dns.exception
import dns.message
import dns.rdatatype
from msgspec import Struct

from agent.probes.dns.rules import ResolverReply
from wire.ip_layer import IPV4_UDP_BYTES, IPV6_UDP_BYTES
from wire.records import AddressRecord

_TYPES = {AddressRecord.A: dns.rdatatype.A, AddressRecord.AAAA: dns.rdatatype.AAAA}
# Bytes by which a TCP header with timestamps exceeds a UDP header.
_UDP_TO_TCP_BYTES = 24

_LENGTH_BYTES = 2  # before each message over TCP
_OPENING_BYTES = 8  # further options of the first segment in each direction


class SpentBytes:
    """Bytes of a run at the IP layer. Those of TCP are as a connection without losses costs them."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0

    def add_connection(self, query: int, reply: int, header: int) -> None:
        """Add a TCP connection: opened, the message and its acknowledgement, closed, each way."""
        segment = header + _UDP_TO_TCP_BYTES
        self.sent += 5 * segment + _OPENING_BYTES + _LENGTH_BYTES + query
        self.received += 4 * segment + _OPENING_BYTES + _LENGTH_BYTES + reply


class DnsServer(Struct, frozen=True):
    """Address and port of a resolver, and the longest time that it may take to answer."""

    address: str
    port: int
    timeout_s: float

    @property
    def header_bytes(self) -> int:
        """Size of the IP and UDP headers of a datagram to it."""
        return IPV6_UDP_BYTES if ":" in self.address else IPV4_UDP_BYTES


async def ask(server: DnsServer, name: str, record: AddressRecord, spent: SpentBytes) -> ResolverReply | None:
    """Ask for a name; None if no reply came in time. Raises OSError if the question could not be sent."""
    query = dns.message.make_query(name, _TYPES[record], use_edns=False)
    began = time.monotonic_ns()
    try:
        async with asyncio.timeout(server.timeout_s):
            answer, over_tcp = await _exchange(server, query, spent)
    except (TimeoutError, EOFError, dns.exception.DNSException):
        return None
    answer_us = (time.monotonic_ns() - began) // 1000
    return ResolverReply(server.address, answer_us, int(answer.rcode()), _addresses(answer), over_tcp)


async def _exchange(
    server: DnsServer, query: dns.message.Message, spent: SpentBytes
) -> tuple[dns.message.Message, bool]:
    header, size = server.header_bytes, len(query.to_wire())
    spent.sent += header + size
    try:
        # Datagrams of others, and what is no reply to this question, are waited past.
        answer = await dns.asyncquery.udp(
            query,
            server.address,
            port=server.port,
            ignore_unexpected=True,
            raise_on_truncation=True,
            ignore_errors=True,
        )
    except dns.message.Truncated as truncated:
        spent.received += header + _size(truncated.message())  # type: ignore[no-untyped-call]
    except OSError:
        spent.sent -= header + size  # it never left this machine
        raise
    else:
        spent.received += header + _size(answer)
        return answer, False
    try:
        answer = await dns.asyncquery.tcp(query, server.address, port=server.port)
    except OSError as error:
        raise EOFError(str(error)) from None  # the question itself was sent, over UDP
    spent.add_connection(size, _size(answer), header)
    return answer, True


def _size(message: dns.message.Message) -> int:
    return len(message.wire or b"")


def _addresses(answer: dns.message.Message) -> tuple[str, ...]:
    """Addresses at the end of the chain of aliases that begins with the name asked for."""
    if not isinstance(answer, dns.message.QueryMessage):
        return ()
    try:
        found = answer.resolve_chaining().answer
    except dns.exception.DNSException:
        return ()
    return tuple(str(item.address) for item in found or ())
