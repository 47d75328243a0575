"""The uplink through a real Mosquitto, with a collector that answers as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from agent.journal import Journal
from agent.journal_thread import JournalThread
from agent.settings import Uplink as UplinkSettings
from agent.uplink import Uplink
from host.clock import Clock
from host.units import Seconds
from net.mqtt import Broker
from tests.agent.journalled import CLOCK, build
from tests.brokers import mosquitto
from tests.processes import free_port
from wire import messages
from wire.messages import Envelope, Fault, Presence, PresenceState, Receipt, ReceiptLine, ReceiptStatus

SITE = "0631234A"
WITHIN_S = 20.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as started:
        yield Broker(port=started.port)


class Collector:
    """Hears one site and answers each batch with ``status``, or with nothing where it is None."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.status: ReceiptStatus | None = ReceiptStatus.COMMITTED
        self.seqs: list[int] = []
        self.presences: list[PresenceState] = []
        self._client = client

    async def listen(self) -> None:
        await self._client.subscribe(f"qos/v1/{SITE}/+", qos=1)
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            if str(message.topic).endswith("/results"):
                await self._take(message.payload)
            elif str(message.topic).endswith("/presence"):
                presence = messages.decode(message.payload, Presence, SITE)
                assert not isinstance(presence, Fault)
                self.presences.append(presence.state)

    async def _take(self, payload: bytes) -> None:
        batch = messages.decode(payload, Envelope, SITE)
        assert not isinstance(batch, Fault)
        records = [messages.decode_measurement(raw) for raw in batch.measurements]
        lines = []
        for record in records:
            assert not isinstance(record, Fault)
            self.seqs.append(record.seq)
            if self.status:
                lines.append(
                    ReceiptLine(epoch=record.epoch, first=record.seq, last=record.seq, status=self.status)
                )
        if lines:
            await self.answer(
                Receipt(schema=1, site=SITE, payload=messages.digest(payload), lines=tuple(lines))
            )

    async def answer(self, receipt: msgspec.Struct) -> None:
        await self._client.publish(f"qos/v1/{SITE}/receipts", messages.encode(receipt), qos=1)


@asynccontextmanager
async def collecting(broker: Broker) -> AsyncIterator[Collector]:
    async with aiomqtt.Client("127.0.0.1", broker.port, timeout=WITHIN_S) as client:
        await client.publish(f"qos/v1/{SITE}/presence", b"", qos=1, retain=True)
        collector = Collector(client)
        listening = asyncio.create_task(collector.listen())
        yield collector
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


class Site:
    def __init__(self, directory: Path, broker: Broker) -> None:
        self.journal = JournalThread(lambda: Journal(directory / "journal.db", 10**8, CLOCK))
        pace = UplinkSettings(Seconds(0.2), Seconds(0.1), Seconds(0.5))
        self.uplink = Uplink(SITE, "0.1.0", broker, pace, self.journal, Clock().read)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Site"]:
        await self.journal.open()
        sending = asyncio.create_task(self.uplink.run())
        try:
            yield self
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            await self.journal.close()

    async def commit(self, count: int) -> None:
        for _ in range(count):
            await self.journal.do(lambda journal: journal.commit(partial(build), CLOCK))
            self.uplink.committed()

    async def state(self) -> tuple[int, int, int]:
        found = await self.journal.do(Journal.counts)
        return found.unsent, found.marked, found.quarantined


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await condition():
            await asyncio.sleep(0.02)


def play(tmp_path: Path, broker: Broker, scenario: Callable[[Site, Collector], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with collecting(broker) as collector, Site(tmp_path, broker).running() as site:
            await scenario(site, collector)

    asyncio.run(whole())


def test_what_is_committed_arrives_and_is_marked_by_its_receipt(tmp_path: Path, broker: Broker) -> None:
    async def scenario(site: Site, collector: Collector) -> None:
        await site.commit(250)

        async def agreed() -> bool:
            return await site.state() == (0, 250, 0)

        await until(agreed)
        assert set(collector.seqs) == set(range(1, 251))
        assert site.uplink.problem is None
        assert site.uplink.last_receipt is not None

    play(tmp_path, broker, scenario)


def test_an_acknowledgement_of_the_broker_marks_nothing(tmp_path: Path, broker: Broker) -> None:
    async def scenario(site: Site, collector: Collector) -> None:
        collector.status = None
        await site.commit(3)

        async def repeated() -> bool:
            return collector.seqs.count(1) >= 2

        await until(repeated)
        assert await site.state() == (3, 0, 0)
        collector.status = ReceiptStatus.DUPLICATE

        async def marked() -> bool:
            return await site.state() == (0, 3, 0)

        await until(marked)

    play(tmp_path, broker, scenario)


def test_what_is_rejected_is_kept_apart(tmp_path: Path, broker: Broker) -> None:
    async def scenario(site: Site, collector: Collector) -> None:
        collector.status = ReceiptStatus.REJECTED
        await site.commit(2)

        async def apart() -> bool:
            return await site.state() == (0, 0, 2)

        await until(apart)

    play(tmp_path, broker, scenario)


def test_nonsense_on_the_receipts_topic_is_told_and_harmless(
    tmp_path: Path, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(site: Site, collector: Collector) -> None:
        collector.status = None
        await site.commit(1)

        async def told() -> bool:
            await collector.answer(Receipt(schema=9, site=SITE, payload="0" * 64))
            return "not a receipt on" in caplog.text

        await until(told)
        assert await site.state() == (1, 0, 0)

    play(tmp_path, broker, scenario)


def test_presence_says_online_and_stopped(tmp_path: Path, broker: Broker) -> None:
    async def whole() -> list[PresenceState]:
        async with collecting(broker) as collector:

            async def heard(state: PresenceState) -> bool:
                return state in collector.presences

            async with Site(tmp_path, broker).running():
                await until(partial(heard, PresenceState.ONLINE))
            await until(partial(heard, PresenceState.STOPPED))
            return collector.presences

    assert asyncio.run(whole()) == [PresenceState.ONLINE, PresenceState.STOPPED]


def test_without_a_broker_measurements_wait(tmp_path: Path) -> None:
    async def whole() -> None:
        port = free_port()
        async with Site(tmp_path, Broker(port=port)).running() as site:
            await site.commit(2)

            async def refused() -> bool:
                return "nothing listens there" in str(site.uplink.problem)

            await until(refused)
            assert await site.state() == (2, 0, 0)

    asyncio.run(whole())
