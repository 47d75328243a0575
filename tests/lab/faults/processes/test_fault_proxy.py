import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from lab.faults.processes.fault_proxy import (
    BOTH,
    END_WITHIN_S,
    NONE,
    ConnectionFault,
    FaultKind,
    FaultProxy,
    Way,
    fault_proxy,
    hosted,
)

UP, DOWN = frozenset({Way.UP}), frozenset({Way.DOWN})
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PUBLISH = b"\x32\x08\x00\x03a/b\x00\x07!"
OTHER = b"\x32\x08\x00\x03a/c\x00\x08!"
PING = b"\xc0\x00"


@asynccontextmanager
async def echoed(*, mqtt: bool = False) -> AsyncIterator[tuple[FaultProxy, Callable[[], Awaitable[Streams]]]]:
    """Run a proxy in front of an echo server; yield it with a function that connects to it."""
    ends: list[asyncio.StreamWriter] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connect() -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        ends.append(writer)
        return reader, writer

    async with (
        asyncio.timeout(20),
        await asyncio.start_server(echo, "127.0.0.1", 0) as server,
        fault_proxy(server.sockets[0].getsockname()[1], mqtt=mqtt) as proxy,
    ):
        try:
            yield proxy, connect
        finally:
            for writer in ends:
                writer.close()


async def silent(reader: asyncio.StreamReader) -> bool:
    """Return whether neither bytes nor the end arrive for a while."""
    try:
        await asyncio.wait_for(reader.read(1), 0.2)
    except TimeoutError:
        return True
    return False


async def test_without_a_fault_bytes_pass_both_ways_and_are_counted() -> None:
    async with echoed() as (proxy, connect):
        reader, writer = await connect()
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert proxy.tally.connections == proxy.open_connections == 1
        assert proxy.tally.passed == {Way.UP: 5, Way.DOWN: 5}


@pytest.mark.parametrize("ways", [UP, DOWN, BOTH])
async def test_stalled_bytes_pass_once_the_stall_is_over(ways: frozenset[Way]) -> None:
    async with echoed() as (proxy, connect):
        reader, writer = await connect()
        proxy.set(ConnectionFault(FaultKind.STALL, ways))
        writer.write(b"hello")
        assert await silent(reader)
        assert proxy.tally.passed == {Way.UP: 0 if Way.UP in ways else 5, Way.DOWN: 0}
        proxy.set(NONE)
        assert await reader.readexactly(5) == b"hello"


def test_a_stall_closes_the_senders_window_and_swallowing_does_not() -> None:
    async def sent(kind: FaultKind) -> bool:
        async with echoed() as (proxy, connect):
            _, writer = await connect()
            proxy.set(ConnectionFault(kind, UP))
            writer.write(bytes(20_000_000))
            try:
                await asyncio.wait_for(writer.drain(), 1)
            except TimeoutError:
                return False
            finally:
                writer.transport.abort()
            return True

    assert asyncio.run(sent(FaultKind.SWALLOW))
    assert not asyncio.run(sent(FaultKind.STALL))


async def test_swallowed_bytes_never_arrive() -> None:
    async with echoed() as (proxy, connect):
        reader, writer = await connect()
        proxy.set(ConnectionFault(FaultKind.SWALLOW, UP, after=2))
        writer.write(b"hello")
        assert await reader.readexactly(2) == b"he"
        assert await silent(reader)
        proxy.set(NONE)
        writer.write(b"again")
        assert await reader.readexactly(5) == b"again"


@pytest.mark.parametrize("kind", [FaultKind.STALL, FaultKind.SWALLOW])
async def test_a_half_open_link_does_not_signal_the_end_of_a_connection(kind: FaultKind) -> None:
    async with echoed() as (proxy, connect):
        _, writer = await connect()
        await until(lambda: proxy.open_connections == 1)
        proxy.set(ConnectionFault(kind))
        writer.transport.abort()
        await asyncio.sleep(0.2)
        assert proxy.open_connections == 1
        proxy.set(NONE)
        await until(lambda: proxy.open_connections == 0)


async def test_a_reset_ends_open_and_new_connections() -> None:
    async with echoed() as (proxy, connect):
        reader, _ = await connect()
        await until(lambda: proxy.open_connections == 1)
        proxy.set(ConnectionFault(FaultKind.RESET))
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        later, _ = await connect()
        with pytest.raises(ConnectionResetError):
            await later.read(1)
        await until(lambda: proxy.open_connections == 0)


async def test_hanging_up_ends_connections_in_order() -> None:
    async with echoed() as (proxy, connect):
        reader, _ = await connect()
        await until(lambda: proxy.open_connections == 1)
        proxy.set(ConnectionFault(FaultKind.HANG_UP))
        assert await reader.read(1) == b""
        reader, _ = await connect()
        assert await reader.read(1) == b""


async def test_a_cut_leaves_new_connections_alone() -> None:
    async with echoed() as (proxy, connect):
        reader, _ = await connect()
        await until(lambda: proxy.open_connections == 1)
        proxy.set(ConnectionFault(FaultKind.STALL))
        proxy.cut()
        await until(lambda: proxy.open_connections == 0)
        proxy.set(NONE)
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        reader, writer = await connect()
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"


async def test_garbage_has_the_length_of_the_data() -> None:
    async with echoed() as (proxy, connect):
        reader, writer = await connect()
        proxy.set(ConnectionFault(FaultKind.GARBAGE, DOWN, after=3))
        writer.write(b"hello, hello, hello")
        received = await reader.readexactly(19)
        assert received[:3] == b"hel"
        assert received[3:] != b"lo, hello, hello"


async def test_a_truncated_answer_ends_in_order() -> None:
    async with echoed() as (proxy, connect):
        reader, writer = await connect()
        proxy.set(ConnectionFault(FaultKind.TRUNCATE, DOWN, after=3))
        writer.write(b"hello")
        assert await reader.read() == b"hel"


@pytest.mark.parametrize(("kind", "least_s"), [(FaultKind.TRICKLE, 0.25), (FaultKind.DELAY, 0.05)])
async def test_slow_faults_delay_and_lose_nothing(kind: FaultKind, least_s: float) -> None:
    async with echoed() as (proxy, connect):
        reader, writer = await connect()
        proxy.set(ConnectionFault(kind, DOWN, seconds=0.05))
        began = time.monotonic()
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert time.monotonic() - began >= least_s


async def test_a_lie_acknowledges_and_drops_its_topics() -> None:
    async with echoed(mqtt=True) as (proxy, connect):
        reader, writer = await connect()
        proxy.set(ConnectionFault(FaultKind.LIE, UP, topics=lambda topic: topic == "a/b"))
        for byte in PUBLISH + OTHER + PING:  # cut as badly as can be
            writer.write(bytes([byte]))
            await writer.drain()
        assert await reader.readexactly(4 + len(OTHER + PING)) == b"\x40\x02\x00\x07" + OTHER + PING
        assert proxy.tally.swallowed == 1


async def test_other_bytes_end_the_connection_of_an_mqtt_proxy() -> None:
    async with echoed(mqtt=True) as (_, connect):
        reader, writer = await connect()
        writer.write(b"\x30\xff\xff\xff\xff\xff")
        assert await reader.read() == b""


def test_a_proxy_ends_with_its_half_made_connections(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            async with fault_proxy(server.getsockname()[1]) as proxy:
                ends = [(await asyncio.open_connection("127.0.0.1", proxy.port))[1] for _ in range(5)]
                began = time.monotonic()
            assert time.monotonic() - began < END_WITHIN_S / 2
            for writer in ends:
                writer.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
    assert not caplog.records


def test_a_hosted_proxy_needs_no_event_loop() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with hosted(server.getsockname()[1]) as proxy:
            with socket.create_connection(("127.0.0.1", proxy.port), 10) as client:
                accepted, _ = server.accept()
                with accepted:
                    client.sendall(b"hello")
                    assert accepted.recv(5) == b"hello"
                    proxy.set(ConnectionFault(FaultKind.RESET))
                    with pytest.raises(ConnectionResetError):
                        client.recv(1)
            assert proxy.tally.passed[Way.UP] == 5
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port), 10)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)
