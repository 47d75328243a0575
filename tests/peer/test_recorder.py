"""The records of tests, with a real broker; the test takes the collector's place."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import aiomqtt
import pytest

from host.clock import Clock
from net.mqtt import Broker
from outbox.delivery.pace import Pace
from outbox.journal.file import read_only
from outbox.journal.journal import Journal
from outbox.journal.store import counts
from outbox.journal.thread import JournalThread
from peer.recorder import TestRecorder
from tests.brokers import mosquitto
from tests.outbox.journalled import CLOCK
from tests.peer.examples import peer_test
from wire.messages import envelope as messages
from wire.messages.envelope import SCHEMA, Envelope, Receipt, ReceiptLine, ReceiptStatus
from wire.messages.peer_tests import PeerTest, decode_test
from wire.messages.topics import PeerKind, peer_topic

PACE = Pace(interval_s=0.05, backlog_interval_s=0.02, receipt_timeout_s=0.3)
PEER = "pop-1"


def records_in(payload: bytes) -> list[PeerTest]:
    found = messages.decode(payload, Envelope, PEER)
    assert isinstance(found, Envelope), found
    decoded = [decode_test(raw) for raw in found.records]
    return [test for test in decoded if isinstance(test, PeerTest)]


def receipt(payload: bytes) -> bytes:
    lines = tuple(
        ReceiptLine(epoch=test.epoch, first=test.seq, last=test.seq, status=ReceiptStatus.COMMITTED)
        for test in records_in(payload)
    )
    digest = messages.digest(payload)
    return messages.encode(Receipt(schema=SCHEMA, sender=PEER, payload=digest, lines=lines))


def recorder(directory: Path, port: int) -> TestRecorder:
    clock = Clock().read
    journal = JournalThread(lambda: Journal(directory / "tests.db", 10**8, clock()))
    return TestRecorder(PEER, "0.1.0", Broker(port=port), PACE, journal, clock)


@asynccontextmanager
async def recording(directory: Path, port: int) -> AsyncIterator[TestRecorder]:
    subject = recorder(directory, port)
    await subject.start()
    try:
        yield subject
    finally:
        await subject.stop()


@asynccontextmanager
async def collecting(port: int) -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(peer_topic(PEER, PeerKind.TESTS), qos=1)
        yield client


def kept(directory: Path) -> tuple[int, int]:
    """Number of tests in the file, and of those that wait for a receipt."""
    with closing(read_only(directory / "tests.db")) as connection:
        found = counts(connection)
    return found.waiting + found.committed, found.waiting


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.02)


def payload_of(message: aiomqtt.Message) -> bytes:
    assert isinstance(message.payload, bytes)
    return message.payload


def test_a_test_is_sent_until_its_receipt_comes_and_then_no_more(tmp_path: Path) -> None:
    async def scenario(port: int) -> list[set[str]]:
        heard: list[set[str]] = []
        async with asyncio.timeout(40), collecting(port) as collector, recording(tmp_path, port) as peer:
            peer.record(partial(peer_test, 1))
            async for message in collector.messages:
                payload = payload_of(message)
                heard.append({test.session for test in records_in(payload)})
                if len(heard) == 1:  # nobody answers the first
                    continue
                await collector.publish(peer_topic(PEER, PeerKind.RECEIPTS), receipt(payload), qos=1)
                if heard[-1] == {peer_test(2).session}:
                    await until(lambda: kept(tmp_path) == (2, 0))
                    return heard
                await until(lambda: kept(tmp_path) == (1, 0))
                peer.record(partial(peer_test, 2))
        return heard

    with mosquitto(tmp_path) as broker:
        heard = asyncio.run(scenario(broker.port))
    first, second = ({peer_test(number).session} for number in (1, 2))
    assert heard[:2] == [first, first]
    assert heard[-1] == second
    assert all(told == first for told in heard[:-1])


def test_what_was_kept_before_is_sent_after_a_restart_newest_first(tmp_path: Path) -> None:
    with Journal(tmp_path / "tests.db", 10**8, CLOCK) as journal:
        for number in range(250):
            journal.commit(partial(peer_test, number), CLOCK)

    async def scenario(port: int) -> list[str]:
        heard: list[str] = []
        async with asyncio.timeout(40), collecting(port) as collector, recording(tmp_path, port):
            async for message in collector.messages:
                payload = payload_of(message)
                heard += [test.session for test in records_in(payload)]
                await collector.publish(peer_topic(PEER, PeerKind.RECEIPTS), receipt(payload), qos=1)
                if len(set(heard)) == 250:
                    break
            await until(lambda: kept(tmp_path) == (250, 0))
        return heard

    with mosquitto(tmp_path) as broker:
        heard = asyncio.run(scenario(broker.port))
    assert heard[0] == peer_test(249).session
    assert set(heard) == {peer_test(number).session for number in range(250)}


def test_a_file_that_another_holds_keeps_nobody_waiting_and_loses_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(20), recording(tmp_path, 9) as peer:
            with closing(sqlite3.connect(tmp_path / "tests.db", isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                for number in range(50):
                    peer.record(partial(peer_test, number))
                    await asyncio.sleep(0)
                holder.execute("ROLLBACK")

    asyncio.run(scenario())
    assert kept(tmp_path) == (50, 50)


def test_what_a_hanging_disk_costs_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("peer.recorder.MOST_WAITING", 2)

    async def scenario() -> None:
        subject = recorder(tmp_path, 9)
        for number in range(3):  # never started: nobody takes them
            subject.record(partial(peer_test, number))

    asyncio.run(scenario())
    assert caplog.messages == ["lost 1 test: the disk hangs and memory is full"]
