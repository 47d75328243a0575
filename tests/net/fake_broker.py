"""Broker of a few lines that misbehaves on request."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CONNECT, SUBSCRIBE, PUBLISH = 1, 8, 3


@dataclass
class FakeBroker:
    """Behaviour of the broker, and the connections it has seen.

    ``goes_on``: gives the next bytes to send, without end, after a subscription. ``drops``: closes then.
    ``granted``: the answer to a subscription, None for no answer.
    """

    answers: bool = True
    reads: bool = True
    granted: int | None = 1
    goes_on: Callable[[], bytes] | None = None
    drops: bool = False
    messages: list[tuple[str, bytes]] = field(default_factory=list)
    port: int = 0
    connections: int = 0
    subscriptions: int = 0
    sent: int = 0
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            while packet := await _packet(reader):
                kind, body = packet
                if kind == CONNECT and self.answers:
                    writer.write(b"\x20\x02\x00\x00")
                elif kind == PUBLISH and self.answers:
                    after = 2 + int.from_bytes(body[:2])
                    writer.write(b"\x40\x02" + body[after : after + 2])
                elif kind == SUBSCRIBE:
                    self.subscriptions += 1
                    writer.write(self._answer(body[:2]))
                    for topic, payload in self.messages:
                        named = len(topic).to_bytes(2) + topic.encode() + payload
                        writer.write(bytes([PUBLISH << 4, len(named)]) + named)
                    self.subscribed.set()
                    if self.drops:
                        break
                    while self.goes_on is not None:
                        writer.write(more := self.goes_on())
                        self.sent += len(more)
                        await writer.drain()
                    if not self.reads:
                        await self.ended.wait()
        except ConnectionError:
            pass  # the session was faster
        finally:
            self.ended.set()
            writer.close()

    def _answer(self, identifier: bytes) -> bytes:
        return b"" if self.granted is None else b"\x90\x03" + identifier + bytes([self.granted])


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes] | None:
    try:
        kind = (await reader.readexactly(1))[0] >> 4
        length = shift = 0
        while True:
            octet = (await reader.readexactly(1))[0]
            length |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                return kind, await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


@asynccontextmanager
async def fake_broker(broker: FakeBroker) -> AsyncIterator[FakeBroker]:
    """Serve while the block lasts."""
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        broker.ended.set()
        server.close()
