"""Publications beyond the bound: dropped and counted, and the connection stays."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from net import mqtt
from net.mqtt import Broker, Publication, Session
from tests.brokers import mosquitto
from tests.net.fake_broker import FakeBroker, fake_broker
from tests.net.sessions import running, until

LARGE = 10_000_000


class Received:
    """Messages that a session has handled."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, int]] = []

    async def take(self, topic: str, payload: bytes) -> None:
        """Take one message."""
        self.messages.append((topic, len(payload)))


async def test_a_retained_message_of_ten_megabytes_locks_nobody_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker has no ``max_packet_size``, and keeps the message for whoever subscribes."""
    received, connected = Received(), []
    with mosquitto(tmp_path) as broker:
        writer = Session(Broker(port=broker.port), "writer")
        reader = Session(
            Broker(port=broker.port), "reader", subscriptions=["a/b", "a/c"], on_message=received.take
        )
        async with running(writer):
            await until(lambda: writer.connected)
            assert await writer.publish(Publication("a/b", bytes(LARGE), retain=True))
            for _ in range(2):  # at the second connection the broker sends it again
                async with running(reader):
                    await until(lambda: reader.connected)
                    connected.append(reader._client)
                    for number in range(30):
                        assert await writer.publish(Publication("a/c", bytes(number + 1)))
                    await until(lambda: ("a/c", 30) in received.messages)
                    assert await reader.publish(Publication("a/d", b"x"))
                    assert reader._client is connected[-1]
                received.messages.remove(("a/c", 30))
    assert {size for _, size in received.messages} == set(range(1, 30))
    # QoS 1: Mosquitto would send no more without the acknowledgement of what was dropped.
    assert caplog.text.count("a message of 10000 kB on 'a/b' was dropped, 1 so far") == 2
    assert "publish an empty retained message there" in caplog.text
    assert "closed the connection" not in caplog.text


@pytest.mark.parametrize("topic", [b"a/b", b"a/\n\xff", b"t" * 65_535])
async def test_a_message_that_takes_longer_than_an_answer_may_does_not_end_the_connection(
    monkeypatch: pytest.MonkeyPatch, topic: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """On a slow line the answer to a publication waits behind the large message."""
    monkeypatch.setattr(mqtt, "ANSWER_WITHIN_S", 0.5)
    size = 4_000_000
    packet = b"\x31" + _length(2 + len(topic) + size) + len(topic).to_bytes(2) + topic + bytes(size)
    chunks = [packet[at : at + 100_000] for at in range(0, len(packet), 100_000)]
    received = Received()
    async with _trickling(chunks, 0.05) as port:
        session = Session(Broker(port=port), "a", subscriptions=["a/b"], on_message=received.take)
        async with running(session):
            await until(lambda: session.connected)
            client = session._client
            assert await session.publish(Publication("a/c", b"x"))
            assert session._client is client
            await until(lambda: ("a/b", 5) in received.messages)
    assert received.messages == [("a/b", 5)]
    assert len([line for line in caplog.text.splitlines() if "was dropped" in line]) == 1


def _length(number: int) -> bytes:
    octets = b""
    while number > 127:
        octets, number = octets + bytes([number & 0x7F | 0x80]), number >> 7
    return octets + bytes([number])


@asynccontextmanager
async def _trickling(chunks: list[bytes], pause_s: float) -> AsyncIterator[int]:
    """Port of a broker that answers nothing until it has sent these chunks, one by one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"\x20\x02\x00\x00")
        asked = await reader.read(1000)
        writer.write(b"\x90\x03" + asked[2:4] + b"\x01")
        published = await reader.read(1000)
        for chunk in chunks:
            writer.write(chunk)
            await asyncio.sleep(pause_s)
        after = 4 + int.from_bytes(published[2:4])
        writer.write(b"\x40\x02" + published[after : after + 2] + b"\x30\x0a\x00\x03a/b12345")
        await reader.read(1000)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def test_a_large_message_of_qos_2_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    pieces = iter([b"\x34" + _length(2_000_000) + b"\x00\x03a/b\x00\x07"])
    fake = FakeBroker(goes_on=lambda: next(pieces, bytes(100_000)))
    async with fake_broker(fake):
        session = Session(Broker(port=fake.port), "a", subscriptions=["a/b"])
        async with running(session):
            await until(lambda: "QoS 2" in caplog.text)
