"""Access of a site to the shipped broker: nothing of another site."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import paho.mqtt.client as paho
import pytest
from aiomqtt import ProtocolVersion
from paho.mqtt.enums import CallbackAPIVersion

from collector.certificates.authority import COLLECTOR, PEER, Authority
from tests.deploy.shipped_broker import LIMIT_S, Broker, shipped_broker
from wire.messages.topics import Kind, PeerKind, every_peer, every_site, peer_topic, topic

SITE_WRITES = (Kind.RESULTS, Kind.PRESENCE)
SITE_READS = (Kind.RECEIPTS, Kind.COMMANDS)
OF_B = tuple(topic("B", kind) for kind in Kind)
FORBIDDEN_TO_WRITE = (
    *OF_B,
    *(topic("A", kind) for kind in SITE_READS),
    *(peer_topic("peer", kind) for kind in PeerKind),
    *(peer_topic("A", kind) for kind in PeerKind),
    "qos/v1/A/results/more",
    "qos/v1/A",
    "qos/v2/A/results",
    "$SYS/broker/uptime",
)
TOO_MUCH = (
    *OF_B,
    "#",
    "+/+/+/+",
    "qos/#",
    "qos/v1/+/commands",
    "qos/v1/+/receipts",
    "qos/v1/B/#",
    "qos/v1/peers/#",
    "$SYS/#",
    "$share/group/#",
    "$share/group/qos/v1/+/commands",
    "$share/group/qos/v1/B/receipts",
)
PROTOCOLS = (ProtocolVersion.V311, ProtocolVersion.V5)
Heard = set[tuple[str, bytes]]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    sites = Authority(tmp_path_factory.mktemp("sites")).make()
    with shipped_broker(tmp_path_factory.mktemp("mosquitto"), ("A", "B", COLLECTOR, PEER), sites) as broker:
        yield broker


async def received_until(client: aiomqtt.Client, last: bytes) -> Heard:
    """Return all messages that a client receives up to ``last``."""
    received: Heard = set()
    async for message in client.messages:
        assert isinstance(message.payload, bytes)
        received.add((str(message.topic), message.payload))
        if message.payload == last:
            break
    return received


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("retain", [False, True])
def test_a_site_writes_its_own_results_and_presence_and_nothing_else(
    broker: Broker, protocol: ProtocolVersion, *, retain: bool
) -> None:
    async def scenario() -> tuple[Heard, Heard, Heard]:
        async with (
            asyncio.timeout(LIMIT_S),
            broker.client(COLLECTOR) as collector,
            broker.client("B") as other,
            broker.client(PEER) as peer,
            broker.client("A", protocol=protocol) as site,
        ):
            for kind in SITE_WRITES:
                await collector.subscribe(every_site(kind), qos=1)
            await collector.subscribe(every_peer(PeerKind.TESTS), qos=1)
            for kind in SITE_READS:
                await other.subscribe(topic("B", kind), qos=1)
            await peer.subscribe(peer_topic("peer", PeerKind.RECEIPTS), qos=1)
            for where in FORBIDDEN_TO_WRITE:
                await site.publish(where, b"forged", qos=1, retain=retain)
            for kind in SITE_WRITES:
                await site.publish(topic("A", kind), f"{kind} of A".encode(), qos=1)
            await site.publish(topic("A", Kind.RESULTS), b"last", qos=1)
            for where in (topic("B", Kind.COMMANDS), peer_topic("peer", PeerKind.RECEIPTS)):
                await collector.publish(where, b"last", qos=1)
            return (
                await received_until(collector, b"last"),
                await received_until(other, b"last"),
                await received_until(peer, b"last"),
            )

    by_collector, by_other, by_peer = asyncio.run(scenario())
    own = {(topic("A", kind), f"{kind} of A".encode()) for kind in SITE_WRITES}
    assert by_collector == own | {(topic("A", Kind.RESULTS), b"last")}
    assert by_other == {(topic("B", Kind.COMMANDS), b"last")}
    assert by_peer == {(peer_topic("peer", PeerKind.RECEIPTS), b"last")}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("retain", [False, True])
def test_a_site_reads_its_own_receipts_and_commands_and_nothing_else(
    broker: Broker, protocol: ProtocolVersion, *, retain: bool
) -> None:
    """Subscribe before and after publishing: retained messages arrive on subscription."""

    async def scenario() -> Heard:
        async with (
            asyncio.timeout(LIMIT_S),
            broker.client(COLLECTOR) as collector,
            broker.client("B") as other,
            broker.client(PEER) as peer,
            broker.client("A", protocol=protocol) as site,
        ):
            for subscription in TOO_MUCH:
                await site.subscribe(subscription, qos=1)
            for kind in SITE_WRITES:
                await other.publish(topic("B", kind), b"of B", qos=1, retain=retain)
            for kind in SITE_READS:
                await collector.publish(topic("B", kind), b"to B", qos=1, retain=retain)
            await peer.publish(peer_topic("peer", PeerKind.TESTS), b"of a peer", qos=1, retain=retain)
            for subscription in (*TOO_MUCH, *(topic("A", kind) for kind in SITE_READS)):
                await site.subscribe(subscription, qos=1)
            await collector.publish(topic("A", Kind.COMMANDS), b"command", qos=1)
            await collector.publish(topic("A", Kind.RECEIPTS), b"last", qos=1)
            return await received_until(site, b"last")

    try:
        assert asyncio.run(scenario()) == {
            (topic("A", Kind.COMMANDS), b"command"),
            (topic("A", Kind.RECEIPTS), b"last"),
        }
    finally:
        asyncio.run(forget_retained(broker))


async def forget_retained(broker: Broker) -> None:
    async with (
        broker.client("B") as other,
        broker.client(COLLECTOR) as collector,
        broker.client(PEER) as peer,
    ):
        for kind in SITE_WRITES:
            await other.publish(topic("B", kind), b"", qos=1, retain=True)
        for kind in SITE_READS:
            await collector.publish(topic("B", kind), b"", qos=1, retain=True)
        await peer.publish(peer_topic("peer", PeerKind.TESTS), b"", qos=1, retain=True)


def die(broker: Broker, protocol: ProtocolVersion, where: str, will: bytes) -> None:
    """Connect as site A with a last will, and close the socket; a broker may refuse the will at once."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=protocol.value)
    client.username_pw_set("A", "A")
    client.will_set(where, will, qos=1)
    told: list[object] = []
    client.on_connect = lambda *about: told.append(about)
    client.connect("127.0.0.1", broker.port)
    while not told:
        client.loop(0.1)
    if isinstance(sock := client.socket(), socket.socket):
        sock.shutdown(socket.SHUT_RDWR)
        client.loop(0.1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_last_will_reaches_only_its_own_site(broker: Broker, protocol: ProtocolVersion) -> None:
    async def scenario() -> Heard:
        async with asyncio.timeout(LIMIT_S), broker.client(COLLECTOR) as collector:
            for kind in SITE_WRITES:
                await collector.subscribe(every_site(kind), qos=1)
            await collector.subscribe(every_peer(PeerKind.TESTS), qos=1)
            for where in (
                topic("B", Kind.PRESENCE),
                topic("B", Kind.RESULTS),
                peer_topic("peer", PeerKind.TESTS),
            ):
                await asyncio.to_thread(die, broker, protocol, where, b"forged")
            await asyncio.to_thread(die, broker, protocol, topic("A", Kind.PRESENCE), b"last")
            return await received_until(collector, b"last")

    assert asyncio.run(scenario()) == {(topic("A", Kind.PRESENCE), b"last")}


def test_the_collector_commands_every_site(broker: Broker, tmp_path: Path) -> None:
    async def scenario() -> Heard:
        async with (
            asyncio.timeout(LIMIT_S),
            broker.client(COLLECTOR) as collector,
            broker.client("A") as site,
        ):
            await site.subscribe(topic("A", Kind.COMMANDS), qos=1)
            await collector.publish(topic("A", Kind.COMMANDS), b"last", qos=1)
            return await received_until(site, b"last")

    assert asyncio.run(scenario()) == {(topic("A", Kind.COMMANDS), b"last")}
