"""The session over links and with brokers that fail in every way of the lab; its times are shortened."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from lab.faults.processes.fault_proxy import NONE, ConnectionFault, FaultKind, FaultProxy, Way, fault_proxy
from net import liveness, mqtt, mqtt_client
from net.mqtt import Broker, Publication, Session
from net.mqtt_client import MOST_PACKET_BYTES, Incoming
from tests.net.fake_broker import FakeBroker, fake_broker
from tests.net.sessions import problem_of, running, until

ASK_AFTER_S, ANSWER_WITHIN_S = 0.3, 0.4
UP, DOWN = frozenset({Way.UP}), frozenset({Way.DOWN})
TOPIC = "qos/v1/A/receipts"
SILENT = "acknowledged nothing in time"
ENDLESS = bytes([0x30, 0xA0, 0x9C, 0x01]) + b"\x00\x03a/b" + bytes(19_995)


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "ASK_AFTER_S", ASK_AFTER_S)
    monkeypatch.setattr(mqtt, "ANSWER_WITHIN_S", ANSWER_WITHIN_S)
    monkeypatch.setattr(mqtt_client, "CONNECT_S", 0.5)
    monkeypatch.setattr(liveness, "FIRST_PAUSE_S", 0.01)


def new_session(port: int) -> Session:
    return Session(Broker(port=port), "a", subscriptions=[TOPIC])


@asynccontextmanager
async def connected(fake: FakeBroker | None = None) -> AsyncIterator[tuple[FaultProxy, Session]]:
    """Session that is connected through a proxy."""
    async with fake_broker(fake or FakeBroker()) as broker, fault_proxy(broker.port) as proxy:
        session = new_session(proxy.port)
        async with running(session):
            await until(lambda: session.connected)
            yield proxy, session


@pytest.mark.parametrize("kind", [FaultKind.SWALLOW, FaultKind.STALL])
@pytest.mark.parametrize("ways", [UP, DOWN, UP | DOWN])
async def test_an_idle_half_open_link_is_found_and_closed(kind: FaultKind, ways: frozenset[Way]) -> None:
    async with connected() as (proxy, session):
        began = time.monotonic()
        proxy.set(ConnectionFault(kind, ways))
        await until(lambda: not session.connected)
        assert time.monotonic() - began < 3 * (ASK_AFTER_S + ANSWER_WITHIN_S)
        await until(lambda: SILENT in str(session.problem))
        proxy.set(NONE)
        await until(lambda: session.connected)


async def test_an_unacknowledged_publication_finds_a_dead_link() -> None:
    async with connected() as (proxy, session):
        proxy.set(ConnectionFault(FaultKind.SWALLOW, UP))
        assert not await session.publish(Publication("a/b", b"lost"))
        assert not session.connected


async def test_a_connection_with_answers_to_requests_is_kept() -> None:
    fake = FakeBroker()
    async with connected(fake) as (_, session):
        await until(lambda: fake.subscriptions > 3)
        assert session.connected
        assert fake.connections == 1


async def test_acknowledged_publications_make_requests_unnecessary() -> None:
    fake = FakeBroker()
    async with connected(fake) as (_, session):
        until_then = time.monotonic() + 3 * ASK_AFTER_S
        while time.monotonic() < until_then:
            assert await session.publish(Publication("a/b", b"kept"))
            await asyncio.sleep(0.02)
        assert fake.subscriptions == 1


async def test_a_revoked_right_is_reported() -> None:
    fake = FakeBroker()
    async with connected(fake) as (_, session):
        fake.granted = 0x80
        await until(lambda: not session.connected)
        await until(lambda: session.problem is not None)
        assert "does not allow this user to read qos/v1/A/receipts: check its ACL" in str(session.problem)


@pytest.mark.parametrize(("fault", "told"), [
    (ConnectionFault(FaultKind.STALL), "no answer in time"),
    (ConnectionFault(FaultKind.STALL, DOWN, after=4), "no answer in time"),
    (ConnectionFault(FaultKind.SWALLOW), "no answer in time"),
    (ConnectionFault(FaultKind.TRICKLE, DOWN, seconds=0.2), "no answer in time"),
    (ConnectionFault(FaultKind.RESET), "resets the connection"),
    (ConnectionFault(FaultKind.HANG_UP), "closes the connection at once: does this port require TLS"),
    (ConnectionFault(FaultKind.TRUNCATE, DOWN, after=3), "closes the connection at once"),
    (ConnectionFault(FaultKind.TRUNCATE, DOWN, after=6), "closed the connection"),
])  # fmt: skip
async def test_a_link_that_is_bad_from_the_start_is_reported_and_closed(
    fault: ConnectionFault, told: str
) -> None:
    async with fake_broker(FakeBroker()) as broker, fault_proxy(broker.port) as proxy:
        proxy.set(fault)
        session = new_session(proxy.port)
        async with running(session):
            await until(lambda: told in str(session.problem))
            proxy.set(NONE)
            await until(lambda: session.connected)


@pytest.mark.parametrize("after", [0, 2, 9])
@pytest.mark.parametrize("seed", range(3))
async def test_garbage_ends_a_connection_and_nothing_else(
    after: int, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing remains of the connection: no socket, and no error in the event loop."""
    caplog.set_level(logging.ERROR)
    async with fake_broker(FakeBroker()) as broker, fault_proxy(broker.port, seed=seed) as proxy:
        proxy.set(ConnectionFault(FaultKind.GARBAGE, DOWN, after=after))
        session = new_session(proxy.port)
        async with running(session):
            await until(lambda: proxy.tally.connections > 1)
            proxy.set(NONE)
            await until(lambda: session.connected)
        await until(lambda: proxy.open_connections == 0)
    assert not caplog.records


async def test_a_connection_that_is_dropped_at_once_does_not_reset_the_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longest: list[float] = []
    monkeypatch.setattr(random, "uniform", lambda _least, most: longest.append(most) or 0.0)
    async with fake_broker(FakeBroker(drops=True)) as broker, running(new_session(broker.port)):
        await until(lambda: broker.subscriptions > 4)
    assert longest[:4] == [0.02, 0.04, 0.08, 0.16]


async def test_a_lasting_reason_is_one_warning_and_its_end_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def told(level: int, text: str) -> int:
        return sum(record.levelno == level and text in record.getMessage() for record in caplog.records)

    caplog.set_level(logging.DEBUG, "net.mqtt")
    async with fake_broker(FakeBroker()) as broker, fault_proxy(broker.port) as proxy:
        proxy.set(ConnectionFault(FaultKind.HANG_UP))
        async with running(new_session(proxy.port)):
            await until(lambda: proxy.tally.connections > 3)
            proxy.set(NONE)
            await until(lambda: told(logging.INFO, "connected to broker") > 0)
    assert told(logging.WARNING, "closes the connection at once") == 1
    assert told(logging.DEBUG, "closes the connection at once") >= 2


async def test_a_stalled_handshake_ends() -> None:
    async with fake_broker(FakeBroker(answers=False)) as fake:
        assert "no answer in time" in await problem_of(Session(Broker(port=fake.port, tls=mqtt.Tls()), "a"))


def resident() -> int:
    """Bytes of memory that this process uses."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def grown(fake: FakeBroker, enough: Callable[[], bool]) -> int:
    """Bytes by which this process grows while a broker sends until ``enough``."""

    async def never(_topic: str, _payload: bytes) -> None:
        await asyncio.sleep(60)

    async with fake_broker(fake):
        session = Session(Broker(port=fake.port), "a", subscriptions=["a/b"], on_message=never)
        before = resident()
        async with running(session):
            await until(enough)
            return resident() - before


def test_messages_without_end_are_dropped_and_memory_stays_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "ASK_AFTER_S", 600)  # this broker answers nothing while it sends
    fake = FakeBroker(goes_on=lambda: ENDLESS * 50)
    assert asyncio.run(grown(fake, lambda: fake.sent > 60_000_000)) < 30_000_000


def test_a_packet_without_end_ends_the_connection_and_memory_stays_flat(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # A packet of 256 MB that is no publication.
    pieces = iter([b"\x90\xff\xff\xff\x7f"])
    fake = FakeBroker(goes_on=lambda: next(pieces, bytes(1_000_000)))
    told = "far larger than any message of ours"
    assert asyncio.run(grown(fake, lambda: told in caplog.text)) < 30_000_000


def test_publications_that_wait_for_a_release_end_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeBroker(goes_on=lambda: b"\x34\x08\x00\x03a/b\x00\x07!" * 100)
    assert asyncio.run(grown(fake, lambda: "QoS 2" in caplog.text)) < 30_000_000


async def test_unread_acknowledgements_end_the_connection() -> None:
    client = mqtt_client.MqttClient("127.0.0.1", addresses=("127.0.0.1",))
    client._client._out_packet.extend([{}] * 10_000)  # type: ignore[typeddict-item]
    with pytest.raises(ConnectionError, match="reads nothing of what we send"):
        client._receive(1)


def message(size: int) -> aiomqtt.Message:
    return aiomqtt.Message("a/b", bytes(size), 1, False, 1, None)


async def test_waiting_messages_are_bounded_in_bytes_and_room_is_freed() -> None:
    queue = Incoming(100)
    for _ in range(3):
        queue.put_nowait(message(MOST_PACKET_BYTES))
    assert queue.qsize() == 1
    queue.get_nowait()
    queue.put_nowait(message(MOST_PACKET_BYTES))
    assert queue.qsize() == 1


async def test_waiting_messages_are_bounded_in_number_and_drops_are_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue = Incoming(2)
    for _ in range(5):
        queue.put_nowait(message(1))
    assert queue.qsize() == 2
    assert caplog.text.count("messages arrive faster than they are handled") == 1
