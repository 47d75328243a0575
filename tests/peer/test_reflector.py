import asyncio
import errno
import select
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from net import timestamps
from net.timestamps import Datagram, Headers, StampSource
from peer.reflector import StampReflector
from wire.stamp import tlv
from wire.stamp.packet import Reply, Request, decode_reply, encode_request
from wire.stamp.reflector import ReflectorSettings
from wire.stamp.timestamp import ErrorEstimate, to_ntp, to_unix_ns
from wire.stamp.tlv import FollowUp

KEY = b"the site's key"
ESTIMATE = ErrorEstimate.from_seconds(0.002, synchronised=True)


def serve(
    work: Callable[[StampReflector], Awaitable[None]], address: str = "127.0.0.1", **settings: object
) -> None:
    async def run() -> None:
        reflector = StampReflector(address, 0, ReflectorSettings(keys=(KEY,), **settings), lambda: ESTIMATE)
        await reflector.start()
        try:
            await work(reflector)
        finally:
            reflector.close()

    asyncio.run(run())


async def ask(
    address: tuple[str, int], data: bytes, dscp: int = 0, wait_s: float = 5
) -> timestamps.Datagram | None:
    """Send from a socket and wait in a thread, while the event loop serves the reflector."""
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
def test_a_reply_has_times_dscp_and_ttl(address):
    async def work(reflector: StampReflector) -> None:
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


def test_a_wildcard_socket_replies_from_the_address_of_the_request():
    async def work(reflector: StampReflector) -> None:
        # The asking socket is connected: a reply from another address would never reach it.
        assert await ask(("127.0.0.9", reflector.port), request()) is not None

    serve(work, "0.0.0.0")


def test_malformed_packets_are_counted_and_the_next_request_is_answered():
    async def work(reflector: StampReflector) -> None:
        for rubbish in (b"", b"x" * 43, b"x" * 112, b"x" * 1400):
            assert await ask(("127.0.0.1", reflector.port), rubbish, wait_s=0.05) is None
        assert await ask(("127.0.0.1", reflector.port), request()) is not None
        assert reflector.counters["short"] == 2
        assert reflector.counters["unauthenticated"] == 2

    serve(work)


def test_many_requests_at_once_are_all_answered():
    async def work(reflector: StampReflector) -> None:
        replies = await asyncio.gather(*(ask(("127.0.0.1", reflector.port), request()) for _ in range(20)))
        assert all(replies)
        assert reflector.sessions == 20

    serve(work)


def follow_up_request(sequence: int) -> bytes:
    extra = tlv.request(sequence=sequence, key=KEY, wanted_dscp=None, follow_up=True)
    return encode_request(Request(sequence, to_ntp(time.time_ns()), ESTIMATE, 7, extra), KEY)


async def exchange(sock: socket.socket, data: bytes) -> Reply:
    sock.send(data)
    await asyncio.to_thread(select.select, [sock], [], [], 5)
    reply = decode_reply(sock.recv(2048), KEY)
    assert isinstance(reply, Reply)
    return reply


def follow_up(reply: Reply) -> FollowUp | None:
    return tlv.read_reply(reply.extra, reply.sequence, KEY).follow_up


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1"])
def test_a_reply_reports_the_kernels_timestamp_of_the_one_before(address):
    async def work(reflector: StampReflector) -> None:
        with connected(reflector, address) as sock:
            first, second = [await exchange(sock, follow_up_request(n)) for n in range(2)]
            assert follow_up(first) == FollowUp()
            after = follow_up(second)
            assert after is not None
            assert (after.sequence, after.method) == (first.sequence, tlv.SOFTWARE_LOCAL)
            assert first.timestamp < after.timestamp < second.received

    try:
        serve(work, address)
    except OSError:
        if address == "::1":
            pytest.skip("this machine has no IPv6 loopback")
        raise


def connected(reflector: StampReflector, address: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1" if address == "0.0.0.0" else address, reflector.port))
    return sock


def test_timestamps_find_their_reply_among_many_sessions():
    async def work(reflector: StampReflector) -> None:
        sockets = [connected(reflector) for _ in range(5)]
        before: list[Reply] = [await exchange(sock, follow_up_request(0)) for sock in sockets]
        for round_number in range(1, 40):
            assert await ask(("127.0.0.1", reflector.port), request()) is not None
            for place, sock in enumerate(sockets):
                reply = await exchange(sock, follow_up_request(round_number))
                after = follow_up(reply)
                assert after is not None
                assert after.sequence == before[place].sequence
                # Between two replies of the session there are those of five others.
                assert before[place].timestamp < after.timestamp < reply.received
                before[place] = reply
        for sock in sockets:
            sock.close()

    serve(work)


class NumberedAndNotSent:
    """Socket whose send fails after the kernel has numbered the datagram, as behind a firewall."""

    def __init__(self, really: socket.socket) -> None:
        self._really = really

    def sendmsg(self, *_: object) -> None:
        self._really.sendmsg((b"",), (), 0, self._really.getsockname())
        raise PermissionError(errno.EPERM, "Operation not permitted")

    def __getattr__(self, name: str) -> object:
        return getattr(self._really, name)


def test_an_unsent_reply_does_not_shift_the_timestamps():
    async def work(reflector: StampReflector) -> None:
        with connected(reflector) as sock:
            await exchange(sock, follow_up_request(0))
            asked = Datagram(follow_up_request(1), sock.getsockname(), headers_of_now())
            reflector._answer(NumberedAndNotSent(reflector._socket), asked)
            assert reflector.counters["unsent"] == 1
            second, third = [await exchange(sock, follow_up_request(n)) for n in range(2, 4)]
            assert follow_up(third).sequence == second.sequence
            assert second.timestamp < follow_up(third).timestamp < third.received

    serve(work)


def headers_of_now() -> Headers:
    return Headers(time.time_ns(), StampSource.KERNEL, 0, 64, "127.0.0.1", None)


def test_timestamps_that_never_arrive_are_forgotten(monkeypatch):
    async def work(reflector: StampReflector) -> None:
        with connected(reflector) as sock, monkeypatch.context() as without:
            without.setattr(timestamps, "transmit_stamps", lambda *_: [])
            for number in range(300):
                reply = await exchange(sock, follow_up_request(number))
                assert follow_up(reply) == FollowUp()
            assert len(reflector._unstamped) == 256

    serve(work)


def test_late_timestamps_are_read_by_the_event_loop(monkeypatch):
    really = timestamps.transmit_stamps

    async def work(reflector: StampReflector) -> None:
        with connected(reflector) as sock, monkeypatch.context() as late:
            late.setattr(
                timestamps, "transmit_stamps", lambda sock, limit: really(sock, limit) if limit > 1 else []
            )
            first = await exchange(sock, follow_up_request(0))
            async with asyncio.timeout(10):
                while reflector._unstamped:
                    await asyncio.sleep(0)
            after = follow_up(await exchange(sock, follow_up_request(1)))
            assert after is not None
            assert after.sequence == first.sequence
            assert after.timestamp > first.timestamp

    serve(work)


def test_the_clock_is_read_at_most_once_a_second():
    asked = []

    async def run() -> None:
        reflector = StampReflector(
            "127.0.0.1", 0, ReflectorSettings(keys=(KEY,)), lambda: asked.append(1) or ESTIMATE
        )
        await reflector.start()
        began = time.monotonic()
        for _ in range(10):
            await ask(("127.0.0.1", reflector.port), request())
        reflector.close()
        assert 1 <= len(asked) <= 2 + time.monotonic() - began

    asyncio.run(run())


def test_a_taken_port_is_an_error_and_close_releases_it():
    async def work(reflector: StampReflector) -> None:
        second = StampReflector("127.0.0.1", reflector.port, ReflectorSettings(keys=(KEY,)), lambda: ESTIMATE)
        with pytest.raises(OSError, match="Address already in use"):
            await second.start()
        second.close()
        reflector.close()
        await second.start()
        assert await ask(("127.0.0.1", second.port), request()) is not None
        second.close()

    serve(work)
