import asyncio
import select
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from net import timestamps
from peer.reflector import Reflector
from wire.stamp.packet import Reply, Request, decode_reply, encode_request
from wire.stamp.reflector import ReflectorSettings
from wire.stamp.timestamp import ErrorEstimate, to_ntp, to_unix_ns

KEY = b"the site's key"
ESTIMATE = ErrorEstimate.from_seconds(0.002, synchronised=True)


def serve(
    work: Callable[[Reflector], Awaitable[None]], address: str = "127.0.0.1", **settings: object
) -> None:
    async def run() -> None:
        reflector = Reflector(address, 0, ReflectorSettings(keys=(KEY,), **settings), lambda: ESTIMATE)
        await reflector.start()
        try:
            await work(reflector)
        finally:
            reflector.close()

    asyncio.run(run())


async def ask(
    address: tuple[str, int], data: bytes, dscp: int = 0, wait_s: float = 5
) -> timestamps.Datagram | None:
    """Send from a socket of one's own and wait in a thread, so that the reflector's loop runs."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        timestamps.enable(sock, transmit=False)
        timestamps.set_dscp_ecn(sock, dscp << 2)
        timestamps.set_ttl(sock, 123)
        sock.connect(address)
        sock.send(data)
        readable, _, _ = await asyncio.to_thread(select.select, [sock], [], [], wait_s)
        return timestamps.receive(sock) if readable else None


def request(sequence: int = 0) -> bytes:
    return encode_request(Request(sequence, to_ntp(time.time_ns()), ESTIMATE, 7), KEY)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_request_is_answered_with_times_and_marks(address):
    async def work(reflector: Reflector) -> None:
        before = time.time_ns()
        answered = await ask((address, reflector.port), request(3), dscp=46)
        assert answered is not None
        reply = decode_reply(answered.payload, KEY)
        assert isinstance(reply, Reply)
        assert (reply.sender_sequence, reply.sender_ttl, reply.ssid) == (3, 123, 7)
        assert reply.estimate == ESTIMATE
        received, sent = (to_unix_ns(word, ESTIMATE) for word in (reply.received, reply.timestamp))
        assert before <= received <= sent <= time.time_ns()
        assert answered.headers.dscp_ecn == 46 << 2
        assert answered.headers.ttl == 255
        assert reflector.counters["answered"] == 1

    try:
        serve(work, address)
    except OSError:
        if address == "::1":
            pytest.skip("this machine has no IPv6 loopback")
        raise


def test_a_wildcard_socket_answers_from_the_address_it_was_asked_at():
    async def work(reflector: Reflector) -> None:
        # The asking socket is connected: a reply from another address would never reach it.
        assert await ask(("127.0.0.9", reflector.port), request()) is not None

    serve(work, "0.0.0.0")


def test_rubbish_is_counted_and_the_next_request_served():
    async def work(reflector: Reflector) -> None:
        for rubbish in (b"", b"x" * 43, b"x" * 112, b"x" * 1400):
            assert await ask(("127.0.0.1", reflector.port), rubbish, wait_s=0.05) is None
        assert await ask(("127.0.0.1", reflector.port), request()) is not None
        assert reflector.counters["short"] == 2
        assert reflector.counters["unauthenticated"] == 2

    serve(work)


def test_many_requests_at_once_are_all_answered():
    async def work(reflector: Reflector) -> None:
        replies = await asyncio.gather(*(ask(("127.0.0.1", reflector.port), request()) for _ in range(20)))
        assert all(replies)
        assert reflector.sessions == 20

    serve(work)


def test_the_clock_is_asked_once_a_second_at_most():
    asked = []

    async def run() -> None:
        reflector = Reflector(
            "127.0.0.1", 0, ReflectorSettings(keys=(KEY,)), lambda: asked.append(1) or ESTIMATE
        )
        await reflector.start()
        began = time.monotonic()
        for _ in range(10):
            await ask(("127.0.0.1", reflector.port), request())
        reflector.close()
        assert 1 <= len(asked) <= 2 + time.monotonic() - began

    asyncio.run(run())


def test_a_taken_port_is_an_error_and_closing_gives_it_back():
    async def work(reflector: Reflector) -> None:
        second = Reflector("127.0.0.1", reflector.port, ReflectorSettings(keys=(KEY,)), lambda: ESTIMATE)
        with pytest.raises(OSError, match="Address already in use"):
            await second.start()
        second.close()
        reflector.close()
        await second.start()
        assert await ask(("127.0.0.1", second.port), request()) is not None
        second.close()

    serve(work)
