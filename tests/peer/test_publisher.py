"""The publisher with a real broker, and a collector's place taken by the test."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiomqtt
import pytest
from peer.outbox import Pace
from peer.publisher import Publisher
from peer.record_file import RecordFile
from peer.record_log import RecordLog

from host.clock import Clock
from net.mqtt import Broker
from tests.brokers import mosquitto
from tests.peer.examples import entries, peer_test
from wire.messages import envelope as messages
from wire.messages.envelope import SCHEMA, Reason, ReceiptStatus
from wire.messages.peer_tests import (
    PeerEnvelope,
    PeerReceipt,
    PeerReceiptLine,
    PeerTest,
    decode_peer,
    decode_test,
)
from wire.messages.topics import PeerKind, peer_topic

PACE = Pace(interval_s=0.05, backlog_interval_s=0.02, receipt_timeout_s=0.3)
PEER = "pop-1"


def told_in(payload: bytes) -> list[PeerTest]:
    told = decode_peer(payload, PeerEnvelope, PEER)
    assert isinstance(told, PeerEnvelope), told
    decoded = [decode_test(raw) for raw in told.records]
    return [test for test in decoded if isinstance(test, PeerTest)]


def receipt(payload: bytes, status: ReceiptStatus = ReceiptStatus.COMMITTED) -> bytes:
    lines = tuple(
        PeerReceiptLine(
            session=test.session, direction=test.direction, start_us=test.start.wall_us, status=status
        )
        for test in told_in(payload)
    )
    told = PeerReceipt(schema=SCHEMA, peer=PEER, payload=messages.digest(payload), lines=lines)
    return messages.encode(told)


@asynccontextmanager
async def publishing(directory: Path, port: int) -> AsyncIterator[Publisher]:
    log = RecordLog(directory / "tests.db", 1000, 10**8)
    publisher = Publisher(PEER, "0.1.0", Broker(port=port), PACE, log, Clock().read)
    publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()


@asynccontextmanager
async def collecting(port: int) -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(peer_topic(PEER, PeerKind.TESTS), qos=1)
        yield client


async def answer(client: aiomqtt.Client, payload: bytes) -> None:
    await client.publish(peer_topic(PEER, PeerKind.RECEIPTS), receipt(payload), qos=1)


def kept(directory: Path) -> tuple[int, int]:
    with closing(RecordFile(directory / "tests.db", 1000, 10**8)) as file:
        return file.counts()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.02)


def payload_of(message: aiomqtt.Message) -> bytes:
    assert isinstance(message.payload, bytes)
    return message.payload


def test_a_test_is_sent_until_its_receipt_comes_and_then_no_more(tmp_path: Path) -> None:
    async def scenario(port: int) -> list[set[str]]:
        heard: list[set[str]] = []
        async with asyncio.timeout(40), collecting(port) as collector, publishing(tmp_path, port) as peer:
            peer.tell(peer_test(1))
            async for message in collector.messages:
                payload = payload_of(message)
                heard.append({test.session for test in told_in(payload)})
                if len(heard) == 2:  # nobody answered the first
                    await answer(collector, payload)
                    await until(lambda: kept(tmp_path) == (1, 0))
                    peer.tell(peer_test(2))
                if heard[-1] == {peer_test(2).session}:
                    await answer(collector, payload)
                    await until(lambda: kept(tmp_path) == (2, 0))
                    return heard
        return heard

    with mosquitto(tmp_path) as broker:
        heard = asyncio.run(scenario(broker.port))
    first, second = ({peer_test(number).session} for number in (1, 2))
    assert heard[:2] == [first, first]
    assert heard[-1] == second
    assert all(told == first for told in heard[:-1])


def test_what_was_kept_before_is_sent_after_a_restart_in_several_batches(tmp_path: Path) -> None:
    with closing(RecordFile(tmp_path / "tests.db", 1000, 10**8)) as file:
        file.add(entries(*range(450)))

    async def scenario(port: int) -> list[str]:
        heard: list[str] = []
        async with asyncio.timeout(40), collecting(port) as collector, publishing(tmp_path, port):
            async for message in collector.messages:
                heard += [test.session for test in told_in(payload_of(message))]
                await answer(collector, payload_of(message))
                if len(set(heard)) == 450:
                    break
            await until(lambda: kept(tmp_path) == (450, 0))
        return heard

    with mosquitto(tmp_path) as broker:
        heard = asyncio.run(scenario(broker.port))
    assert heard[0] == peer_test(449).session
    assert set(heard) == {peer_test(number).session for number in range(450)}


def test_what_is_told_at_the_end_is_kept_without_a_broker(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(20), publishing(tmp_path, 9) as peer:
            for number in range(20):
                peer.tell(peer_test(number))

    asyncio.run(scenario())
    assert kept(tmp_path) == (20, 20)


def test_a_file_that_another_holds_keeps_nobody_waiting(tmp_path: Path) -> None:
    log = RecordLog(tmp_path / "tests.db", 1000, 10**8)
    log.open()
    holder = sqlite3.connect(tmp_path / "tests.db", isolation_level=None)

    async def scenario() -> None:
        async with asyncio.timeout(20):
            publisher = Publisher(PEER, "0.1.0", Broker(port=9), PACE, log, Clock().read)
            publisher.start()
            holder.execute("BEGIN EXCLUSIVE")
            for number in range(50):
                publisher.tell(peer_test(number))
                await asyncio.sleep(0)
            holder.execute("ROLLBACK")  # all were told while nothing could be written
            await publisher.stop()

    with closing(holder):
        asyncio.run(scenario())
    assert kept(tmp_path) == (50, 50)


def test_a_collector_that_refuses_every_batch_for_the_same_reason_is_complained_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(port: int) -> None:
        async with asyncio.timeout(40), collecting(port) as collector, publishing(tmp_path, port) as peer:
            refused = 0
            peer.tell(peer_test(1))
            async for message in collector.messages:
                payload = payload_of(message)
                if refused == 3:
                    await answer(collector, payload)
                    await until(lambda: kept(tmp_path)[1] < 4)  # all that came before it has been heard
                    return
                refused += 1
                digest, reason = messages.digest(payload), Reason.STORAGE
                told = PeerReceipt(schema=SCHEMA, peer=PEER, payload=digest, reason=reason, detail="full")
                await collector.publish(peer_topic(PEER, PeerKind.RECEIPTS), messages.encode(told), qos=1)
                peer.tell(peer_test(1 + refused))

    with mosquitto(tmp_path) as broker:
        asyncio.run(scenario(broker.port))
    assert caplog.text.count("the collector refuses a batch (storage: full)") == 1


def test_noise_instead_of_a_receipt_changes_nothing(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    async def scenario(port: int) -> None:
        async with asyncio.timeout(40), collecting(port) as collector, publishing(tmp_path, port) as peer:
            peer.tell(peer_test(1))
            async for message in collector.messages:
                payload = payload_of(message)
                topic = peer_topic(PEER, PeerKind.RECEIPTS)
                for noise in (b"", b"{", receipt(payload).replace(PEER.encode(), b"other")):
                    await collector.publish(topic, noise, qos=1)
                if seen:
                    await answer(collector, payload)
                    await until(lambda: kept(tmp_path) == (1, 0))
                    return
                seen.append(kept(tmp_path))

    with mosquitto(tmp_path) as broker:
        asyncio.run(scenario(broker.port))
    assert seen == [(1, 1)]


def test_what_a_hanging_disk_costs_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("peer.publisher.MOST_WAITING", 2)

    async def scenario() -> None:
        log = RecordLog(tmp_path / "tests.db", 1000, 10**8)
        publisher = Publisher(PEER, "0.1.0", Broker(), PACE, log, Clock().read)
        for number in range(3):  # never started: nobody takes what it is told
            publisher.tell(peer_test(number))

    asyncio.run(scenario())
    assert caplog.messages == ["1 test lost so far: the disk takes none, memory is full"]
