"""Session with a broker that has several addresses, of which only some lead to it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from collector.certificates.authority import Authority, Usage
from net.addresses.host import HostAddresses
from net.mqtt import Broker, Session
from net.tls import Tls
from tests.net.fake_broker import FakeBroker
from tests.net.sessions import problem_of, running, until

BOX, RIGHT = "127.0.0.2", "127.0.0.1"


@asynccontextmanager
async def both(
    fake: FakeBroker, tls: ssl.SSLContext | None = None, answer: bytes = b""
) -> AsyncIterator[int]:
    """Broker at ``RIGHT``, and at ``BOX`` and the same port a box that accepts and says ``answer``."""

    async def box(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()

    broker = await asyncio.start_server(fake.serve, RIGHT, 0, ssl=tls)
    port = broker.sockets[0].getsockname()[1]
    other = await asyncio.start_server(box, BOX, port)
    try:
        yield port
    finally:
        fake.ended.set()
        broker.close()
        other.close()


def named(*found: str) -> HostAddresses:
    return HostAddresses("localhost", found, look_up=lambda _host, _family: list(found))


async def test_an_address_that_refuses_costs_nothing() -> None:
    fake = FakeBroker()
    async with both(fake) as port:
        session = Session(Broker("localhost", port), "a", addresses=named("127.0.0.3", RIGHT))
        async with running(session):
            await until(lambda: session.connected)
            assert (session.addresses.proved, session.addresses.in_use) == ((RIGHT,), RIGHT)
    assert session.addresses.in_use is None


async def test_with_tls_a_box_that_accepts_is_passed_over_in_the_same_attempt(tmp_path: Path) -> None:
    authority = Authority(tmp_path).make()
    files = authority.issue("broker", Usage.SERVER, names=["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    async with both(FakeBroker(), context, b"HTTP/1.1 302 Found\r\n\r\n") as port:
        broker = Broker("localhost", port, tls=Tls(ca=str(authority.certificate)))
        session = Session(broker, "a", addresses=named(BOX, RIGHT))
        problems: set[str | None] = {session.problem}
        async with running(session):
            await until(lambda: problems.add(session.problem) or session.connected)
    assert problems <= {"not connected yet", None}
    assert session.addresses.candidates == (RIGHT, BOX)


async def test_without_tls_it_is_passed_over_in_the_next_attempt() -> None:
    async with both(FakeBroker()) as port:
        session = Session(Broker("localhost", port), "a", addresses=named(BOX, RIGHT))
        async with running(session):
            await until(lambda: session.connected)
    assert (session.addresses.candidates, session.addresses.proved) == ((RIGHT, BOX), (RIGHT,))


async def test_a_name_without_address_is_a_problem_and_no_wait_for_it() -> None:
    session = Session(Broker("no-such-name.invalid"), "a")
    assert "no such host name" in await problem_of(session) or "DNS does not answer" in str(session.problem)
