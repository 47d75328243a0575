import asyncio
import errno
import select
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

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


@asynccontextmanager
async def serving(
    address: str = "127.0.0.1", estimate: Callable[[], ErrorEstimate] = lambda: ESTIMATE, port: int = 0
) -> AsyncIterator[StampReflector]:
    reflector = StampReflector(address, port, ReflectorSettings(keys=(KEY,)), estimate)
    try:
        await reflector.start()
    except OSError:
        if address == "::1":
            pytest.skip("this machine has no IPv6 loopback")
        raise
    try:
        yield reflector
    finally:
        reflector.close()


async def ask(
    reflector: StampReflector, data: bytes, address: str = "127.0.0.1", dscp: int = 0, wait_s: float = 5
) -> Datagram | None:
    """Send from a socket and wait in a thread, while the event loop serves the reflector."""
    with connected(reflector, address) as sock:
        timestamps.enable(sock, transmit=False)
        timestamps.set_dscp_ecn(sock, dscp << 2)
        timestamps.set_ttl(sock, 123)
        sock.send(data)
        readable, _, _ = await asyncio.to_thread(select.select, [sock], [], [], wait_s)
        return timestamps.receive(sock) if readable else None


def connected(reflector: StampReflector, address: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1" if address == "0.0.0.0" else address, reflector.port))
    return sock


def request(sequence: int = 0, extra: bytes = b"") -> bytes:
    return encode_request(Request(sequence, to_ntp(time.time_ns()), ESTIMATE, 7, extra), KEY)


def follow_up_request(sequence: int) -> bytes:
    return request(sequence, tlv.request(sequence=sequence, key=KEY, wanted_dscp=None, follow_up=True))


async def exchange(sock: socket.socket, data: bytes) -> tuple[Reply, FollowUp | None]:
    """Return the reply and its report of the one before."""
    sock.send(data)
    await asyncio.to_thread(select.select, [sock], [], [], 5)
    reply = decode_reply(sock.recv(2048), KEY)
    return reply, tlv.read_reply(reply.extra, reply.sequence, KEY).follow_up


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_reply_has_times_dscp_and_ttl(address):
    async with serving(address) as reflector:
        before = time.time_ns()
        answered = await ask(reflector, request(3), address, dscp=46)
        reply = decode_reply(answered.payload, KEY)
        assert (reply.sender_sequence, reply.sender_ttl, reply.ssid) == (3, 123, 7)
        assert reply.estimate == ESTIMATE
        received, sent = (to_unix_ns(word, ESTIMATE) for word in (reply.received, reply.timestamp))
        assert before <= received <= sent <= time.time_ns()
        assert (answered.headers.dscp_ecn, answered.headers.ttl) == (46 << 2, 255)
        assert reflector.counters["answered"] == 1


async def test_a_wildcard_socket_replies_from_the_address_of_the_request():
    async with serving("0.0.0.0") as reflector:
        # The asking socket is connected: a reply from another address would never reach it.
        assert await ask(reflector, request(), "127.0.0.9") is not None


async def test_malformed_packets_are_counted_and_the_next_request_is_answered():
    async with serving() as reflector:
        for malformed in (b"", b"x" * 43, b"x" * 112, b"x" * 1400):
            assert await ask(reflector, malformed, wait_s=0.05) is None
        assert await ask(reflector, request()) is not None
        assert (reflector.counters["short"], reflector.counters["unauthenticated"]) == (2, 2)


async def test_many_requests_at_once_are_all_answered():
    async with serving() as reflector:
        assert all(await asyncio.gather(*(ask(reflector, request()) for _ in range(20))))
        assert reflector.sessions == 20


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1"])
async def test_a_reply_reports_the_kernels_timestamp_of_the_one_before(address):
    async with serving(address) as reflector:
        with connected(reflector, address) as sock:
            (first, nothing), (second, after) = [await exchange(sock, follow_up_request(n)) for n in range(2)]
        assert nothing == FollowUp()
        assert (after.sequence, after.method) == (first.sequence, tlv.SOFTWARE_LOCAL)
        assert first.timestamp < after.timestamp < second.received


async def test_timestamps_find_their_reply_among_many_sessions():
    async with serving() as reflector:
        sockets = [connected(reflector) for _ in range(5)]
        before = [(await exchange(sock, follow_up_request(0)))[0] for sock in sockets]
        for round_number in range(1, 40):
            assert await ask(reflector, request()) is not None
            for place, sock in enumerate(sockets):
                reply, after = await exchange(sock, follow_up_request(round_number))
                assert after.sequence == before[place].sequence
                # Between two replies of the session there are those of five others.
                assert before[place].timestamp < after.timestamp < reply.received
                before[place] = reply
        for sock in sockets:
            sock.close()


class NumberedAndNotSent:
    """Socket whose send fails after the kernel has numbered the datagram, as behind a firewall."""

    def __init__(self, really: socket.socket) -> None:
        self._really = really

    def sendmsg(self, *_: object) -> None:
        self._really.sendmsg((b"",), (), 0, self._really.getsockname())
        raise PermissionError(errno.EPERM, "Operation not permitted")

    def __getattr__(self, name: str) -> object:
        return getattr(self._really, name)


async def test_an_unsent_reply_does_not_shift_the_timestamps():
    async with serving() as reflector:
        with connected(reflector) as sock:
            await exchange(sock, follow_up_request(0))
            now = Headers(time.time_ns(), StampSource.KERNEL, 0, 64, "127.0.0.1", None)
            asked = Datagram(follow_up_request(1), sock.getsockname(), now)
            reflector._answer(NumberedAndNotSent(reflector._socket), asked)
            assert reflector.counters["unsent"] == 1
            (second, _), (third, after) = [await exchange(sock, follow_up_request(n)) for n in range(2, 4)]
        assert after.sequence == second.sequence
        assert second.timestamp < after.timestamp < third.received


async def test_timestamps_that_never_arrive_are_forgotten(monkeypatch):
    async with serving() as reflector:
        with connected(reflector) as sock, monkeypatch.context() as without:
            without.setattr(timestamps, "transmit_stamps", lambda *_: [])
            for number in range(300):
                assert (await exchange(sock, follow_up_request(number)))[1] == FollowUp()
            assert len(reflector._unstamped) == 256


async def test_late_timestamps_are_read_by_the_event_loop(monkeypatch):
    really = timestamps.transmit_stamps
    monkeypatch.setattr(
        timestamps, "transmit_stamps", lambda sock, limit: really(sock, limit) if limit > 1 else []
    )
    async with serving() as reflector:
        with connected(reflector) as sock:
            first, _ = await exchange(sock, follow_up_request(0))
            async with asyncio.timeout(10):
                while reflector._unstamped:
                    await asyncio.sleep(0)
            _, after = await exchange(sock, follow_up_request(1))
        assert after.sequence == first.sequence
        assert after.timestamp > first.timestamp


async def test_the_clock_is_read_at_most_once_a_second():
    read = []
    async with serving(estimate=lambda: read.append(1) or ESTIMATE) as reflector:
        began = time.monotonic()
        for _ in range(10):
            await ask(reflector, request())
    assert 1 <= len(read) <= 2 + time.monotonic() - began


async def test_a_taken_port_is_an_error_and_close_releases_it():
    async with serving() as reflector:
        with pytest.raises(OSError, match="Address already in use"):
            async with serving(port=reflector.port):
                pass
        reflector.close()
        async with serving(port=reflector.port) as second:
            assert await ask(second, request()) is not None
