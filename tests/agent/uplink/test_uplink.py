"""The uplink through a real Mosquitto, with a collector that answers as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from agent.settings.sections import UplinkSettings as UplinkSettings
from agent.uplink.uplink import Uplink
from host.clock import Clock
from host.units import Seconds
from net.mqtt import Broker
from outbox.journal import gaps
from outbox.journal.journal import Journal
from outbox.journal.thread import JournalThread
from tests.brokers import mosquitto
from tests.outbox.journalled import CLOCK, build, connection, flip
from tests.processes import free_port
from wire.messages import envelope as messages
from wire.messages.commands import CommandMessage, Resend
from wire.messages.envelope import (
    Envelope,
    EpochRange,
    Fault,
    GapReason,
    Presence,
    PresenceState,
    Reason,
    Receipt,
    ReceiptLine,
    ReceiptStatus,
)

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
        self.batches: list[Envelope] = []
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
        records = [messages.decode_measurement(raw) for raw in batch.records]
        self.batches.append(batch)
        lines = []
        for record in records:
            assert not isinstance(record, Fault)
            self.seqs.append(record.seq)
            if self.status:
                lines.append(
                    ReceiptLine(epoch=record.epoch, first=record.seq, last=record.seq, status=self.status)
                )
        declared = tuple(EpochRange(epoch=gap.epoch, first=gap.first, last=gap.last) for gap in batch.gaps)
        if self.status and (lines or declared):
            digest = messages.digest(payload)
            await self.answer(
                Receipt(schema=1, sender=SITE, payload=digest, lines=tuple(lines), declared=declared)
            )

    async def ask(self, command: str, since_us: int) -> None:
        message = CommandMessage(schema=1, site=SITE, command=Resend(id=command, since_us=since_us))
        await self._client.publish(f"qos/v1/{SITE}/commands", messages.encode(message), qos=1)

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
        return found.waiting, found.committed, found.rejected


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await condition():
            await asyncio.sleep(0.02)


def play(tmp_path: Path, broker: Broker, scenario: Callable[[Site, Collector], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with collecting(broker) as collector, Site(tmp_path, broker).running() as site:
            await scenario(site, collector)

    asyncio.run(whole())


def test_what_is_journalled_arrives_and_is_committed_by_its_receipt(tmp_path: Path, broker: Broker) -> None:
    async def scenario(site: Site, collector: Collector) -> None:
        await site.commit(250)

        async def agreed() -> bool:
            return await site.state() == (0, 250, 0)

        await until(agreed)
        assert set(collector.seqs) == set(range(1, 251))
        assert site.uplink.problem is None
        assert site.uplink.receipts.newest is not None

    play(tmp_path, broker, scenario)


def test_an_acknowledgement_of_the_broker_commits_nothing(tmp_path: Path, broker: Broker) -> None:
    async def scenario(site: Site, collector: Collector) -> None:
        collector.status = None
        await site.commit(3)

        async def repeated() -> bool:
            return collector.seqs.count(1) >= 2

        await until(repeated)
        assert await site.state() == (3, 0, 0)
        collector.status = ReceiptStatus.COMMITTED

        async def committed() -> bool:
            return await site.state() == (0, 3, 0)

        await until(committed)

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
            await collector.answer(Receipt(schema=9, sender=SITE, payload="0" * 64))
            return "not a receipt: newer-schema" in caplog.text

        await until(told)
        assert await site.state() == (1, 0, 0)

    play(tmp_path, broker, scenario)


def test_a_collector_that_rejects_batches_whole_is_logged_once(
    tmp_path: Path, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    refused = Receipt(schema=1, sender=SITE, payload="0" * 64, reason=Reason.STORAGE)

    async def scenario(site: Site, collector: Collector) -> None:
        async def connected() -> bool:
            return site.uplink.problem is None

        async def committed() -> bool:
            return await site.state() == (0, 1, 0)

        await until(connected)
        for _ in range(3):
            await collector.answer(refused)
        await site.commit(1)
        await until(committed)

    play(tmp_path, broker, scenario)
    assert caplog.text.count("the collector rejected a batch whole (storage: )") == 1


def test_a_gap_is_told_with_the_mark_of_its_epoch_until_a_receipt_names_it(
    tmp_path: Path, broker: Broker
) -> None:
    with Journal(tmp_path / "journal.db", 10**8, CLOCK) as journal:
        journal.commit(build, CLOCK)
        connection(journal).execute("DELETE FROM record")
        gaps.declare(connection(journal), journal.epoch, 1, 1, GapReason.DROPPED, CLOCK.wall_us)
        lost = journal.epoch

    async def scenario(site: Site, collector: Collector) -> None:
        async def told() -> bool:
            return await site.journal.do(lambda journal: journal.gaps(64)) == []

        await until(told)
        batch = next(batch for batch in collector.batches if batch.gaps)
        assert not batch.records
        assert [(gap.epoch, gap.first, gap.last) for gap in batch.gaps] == [(lost, 1, 1)]
        assert {mark.epoch: mark.high_water for mark in batch.marks}[lost] == 1

    play(tmp_path, broker, scenario)


def test_a_collector_that_asks_again_is_sent_what_it_had_said_it_has(tmp_path: Path, broker: Broker) -> None:
    async def scenario(site: Site, collector: Collector) -> None:
        async def committed() -> bool:
            return await site.state() == (0, 3, 0)

        await site.commit(3)
        await until(committed)
        collector.seqs.clear()
        await collector.ask("resend-1", CLOCK.wall_us)
        await collector.ask("resend-1", CLOCK.wall_us)

        async def again() -> bool:
            return set(collector.seqs) == {1, 2, 3} and await committed()

        await until(again)
        assert collector.batches[-1].obeyed == "resend-1"
        assert collector.batches[0].obeyed is None
        collector.seqs.clear()
        await collector.ask("resend-1", CLOCK.wall_us)
        await collector.ask("resend-2", CLOCK.wall_us + 10)
        await site.commit(1)

        async def obeyed() -> bool:
            return collector.batches[-1].obeyed == "resend-2"

        await until(obeyed)

    play(tmp_path, broker, scenario)


def test_what_is_no_command_is_told_and_harmless(
    tmp_path: Path, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(site: Site, collector: Collector) -> None:
        async def told() -> bool:
            await collector._client.publish(f"qos/v1/{SITE}/commands", b'{"schema":1}', qos=1)
            return "not a command: invalid" in caplog.text

        await until(told)

    play(tmp_path, broker, scenario)


def test_measurements_in_memory_are_sent_and_the_disk_has_them_when_it_works(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outbox.journal.disk.RETRY_US", 0)
    monkeypatch.setattr("outbox.publisher.DISK_RETRY_S", 0.1)

    async def scenario(site: Site, collector: Collector) -> None:
        await site.commit(1)
        await site.journal.do(lambda journal: connection(journal).execute("PRAGMA query_only = ON"))
        await site.commit(3)
        assert "readonly" in str(site.journal.trouble)

        async def received() -> bool:
            return set(collector.seqs) == {1, 2, 3, 4}

        await until(received)
        await site.journal.do(lambda journal: connection(journal).execute("PRAGMA query_only = OFF"))

        async def settled() -> bool:
            return site.journal.trouble is None and await site.state() == (0, 4, 0)

        await until(settled)

    play(tmp_path, broker, scenario)


def test_damage_that_is_met_on_sending_leaves_nothing_behind(tmp_path: Path, broker: Broker) -> None:
    def harm(journal: Journal) -> None:
        for _ in range(40):
            journal.commit(partial(build, detail="to be damaged"), CLOCK)
        flip(journal, tmp_path / "journal.db", b"to be damaged")

    async def scenario(site: Site, collector: Collector) -> None:
        await site.journal.do(harm)
        site.uplink.committed()

        async def complete() -> bool:
            return await site.state() == (0, 39, 0) and not await site.journal.do(lambda one: one.gaps(9))

        await until(complete)
        assert len(set(collector.seqs)) == 39

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
