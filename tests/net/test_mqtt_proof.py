"""Proof of a broker: who accepts TCP is one only by its certificate or its CONNACK."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from collector.certificates.authority import Authority, CertificateFiles, Usage
from net.mqtt_proof import is_broker
from net.tls import Credentials, Tls
from tests.net.fake_broker import FakeBroker, fake_broker
from tests.processes import free_port

HOST = "127.0.0.1"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    running: list[asyncio.Task[None]] = []

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.append(cast("asyncio.Task[None]", asyncio.current_task()))
        with suppress(OSError):
            await serve(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(whole, HOST, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*running)


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def portal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://portal.test/\r\n\r\n")
    await writer.drain()
    writer.close()


async def proof(port: int, tls: ssl.SSLContext | None = None, host: str = HOST) -> tuple[bool | None, int]:
    """Return the proof, None where it does not end, and the number of accepted connections."""
    accepted: list[None] = []
    try:
        async with asyncio.timeout(0.5):
            found = await is_broker(HOST, port, host, tls, lambda: accepted.append(None))
    except TimeoutError:
        return None, len(accepted)
    return found, len(accepted)


async def test_a_connack_of_any_code_is_a_proof() -> None:
    async with fake_broker(FakeBroker()) as fake:
        assert await proof(fake.port) == (True, 1)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(14) == b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00"
        writer.write(b"\x20\x02\x00\x05")
        writer.close()

    async with serving(refuse) as port:
        assert await proof(port) == (True, 1)


@pytest.mark.parametrize(("serve", "found"), [(silence, None), (hang_up, False), (portal, False)])
async def test_who_only_accepts_is_no_broker(serve: Serve, found: bool | None) -> None:
    async with serving(serve) as port:
        assert await proof(port) == (found, 1)


async def test_a_refusal_is_raised() -> None:
    with pytest.raises(ConnectionRefusedError):
        await proof(free_port())


def context_of(files: CertificateFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context


async def test_a_certificate_is_a_proof_by_chain_and_name_whatever_its_dates(tmp_path: Path) -> None:
    ours, theirs = (Authority(tmp_path, name).make() for name in ("ours", "theirs"))
    right = ours.issue("right", Usage.SERVER, names=[HOST])
    old = ours.issue("old", Usage.SERVER, names=[HOST], days=-1)
    forged = theirs.issue("forged", Usage.SERVER, names=[HOST])
    tls = Credentials(Tls(ca=str(ours.certificate))).context(check_dates=False)
    for files, found in ((right, True), (old, True), (forged, False)):
        async with serving(silence, context_of(files)) as port:
            assert await proof(port, tls) == (found, 1)
    async with serving(silence, context_of(right)) as port:
        assert await proof(port, tls, "other.test") == (False, 1)
    async with serving(portal) as port:
        assert await proof(port, tls) == (False, 1)
