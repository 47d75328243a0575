"""Checks of the collector's watchdog: its writer and its web server."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from collector.ingest.queue import Intake
from collector.service import watchdog

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def healthy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
    await writer.drain()
    writer.close()


async def failing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 500 Internal Server Error\r\n\r\n")
    await writer.drain()
    writer.close()


async def _asked(answer: Answer, host: str) -> str | None:
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        return await watchdog.of_web(host, server.sockets[0].getsockname()[1])


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (healthy, None),
        (failing, "the web server is not healthy"),
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_web_server_is_asked_through_its_socket(answer: Answer, found: str | None, host: str) -> None:
    assert asyncio.run(_asked(answer, host)) == found


def test_a_web_server_that_hangs_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "WEB_WITHIN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        found = asyncio.run(watchdog.of_web("127.0.0.1", hanging.getsockname()[1]))
    assert found == "the web server does not answer: time-out"


def test_a_closed_port_is_a_fault() -> None:
    found = asyncio.run(watchdog.of_web("127.0.0.1", 9))
    assert found is not None
    assert found.startswith("the web server does not answer: ")


def test_a_writer_that_asks_for_nothing_is_a_fault() -> None:
    intake = Intake(10, 1000)
    intake.take(0)
    assert 0 <= intake.unasked_s < 5
    assert watchdog.of_writer(intake.unasked_s) is None
    assert (
        watchdog.of_writer(61.0)
        == "the ledger's writer has not asked for messages for 61 s: does its disk answer?"
    )
