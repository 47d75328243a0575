"""Access of a site to the shipped broker: nothing of another site."""

import asyncio
import socket

import paho.mqtt.client as paho
import pytest
from aiomqtt import ProtocolVersion
from paho.mqtt.enums import CallbackAPIVersion

from collector.certificates.authority import COLLECTOR, PEER
from tests.deploy.shipped_broker import LIMIT_S, Broker, Step, received_until
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
OF_PEER = peer_topic("peer", PeerKind.RECEIPTS)
COLLECTOR_LISTENS: list[Step] = [
    *((COLLECTOR, every_site(kind), None) for kind in SITE_WRITES),
    (COLLECTOR, every_peer(PeerKind.TESTS), None),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("retain", [False, True])
def test_a_site_writes_its_own_results_and_presence_and_nothing_else(
    broker: Broker, protocol: ProtocolVersion, *, retain: bool
) -> None:
    steps: list[Step] = [
        *COLLECTOR_LISTENS,
        *(("B", topic("B", kind), None) for kind in SITE_READS),
        (PEER, OF_PEER, None),
        *(("A", where, b"forged") for where in FORBIDDEN_TO_WRITE),
        *(("A", topic("A", kind), b"of A") for kind in SITE_WRITES),
        ("A", topic("A", Kind.RESULTS), b"last"),
        *((COLLECTOR, where, b"last") for where in (topic("B", Kind.COMMANDS), OF_PEER)),
    ]
    by_collector, by_other, by_peer = broker.heard(
        steps,
        *(COLLECTOR, "B", PEER),
        retained=[b"forged"] if retain else [],
        site=lambda: broker.client("A", protocol=protocol),
    )
    own = {(topic("A", kind), b"of A") for kind in SITE_WRITES}
    assert by_collector == own | {(topic("A", Kind.RESULTS), b"last")}
    assert by_other == {(topic("B", Kind.COMMANDS), b"last")}
    assert by_peer == {(OF_PEER, b"last")}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("retain", [False, True])
def test_a_site_reads_its_own_receipts_and_commands_and_nothing_else(
    broker: Broker, protocol: ProtocolVersion, *, retain: bool
) -> None:
    """Subscribe before and after publishing: retained messages arrive on subscription."""
    of_others: list[Step] = [
        *(("B", topic("B", kind), b"of another") for kind in SITE_WRITES),
        *((COLLECTOR, topic("B", kind), b"of another") for kind in SITE_READS),
        (PEER, peer_topic("peer", PeerKind.TESTS), b"of another"),
    ]
    steps: list[Step] = [
        *(("A", where, None) for where in TOO_MUCH),
        *of_others,
        *(("A", where, None) for where in (*TOO_MUCH, *(topic("A", kind) for kind in SITE_READS))),
        (COLLECTOR, topic("A", Kind.COMMANDS), b"command"),
        (COLLECTOR, topic("A", Kind.RECEIPTS), b"last"),
    ]
    retained, expected = [b"of another"] if retain else [], {("qos/v1/A/commands", b"command")}
    try:
        found = broker.heard(
            steps, "A", retained=retained, site=lambda: broker.client("A", protocol=protocol)
        )
        assert found == [expected | {("qos/v1/A/receipts", b"last")}]
    finally:
        # An empty message makes the broker forget what it retains.
        broker.heard([(user, where, b"") for user, where, _ in of_others], retained=[b""])


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
async def test_a_last_will_reaches_only_its_own_site(broker: Broker, protocol: ProtocolVersion) -> None:
    async with asyncio.timeout(LIMIT_S), broker.client(COLLECTOR) as collector:
        for _, where, _ in COLLECTOR_LISTENS:
            await collector.subscribe(where, qos=1)
        for where in (
            topic("B", Kind.PRESENCE),
            topic("B", Kind.RESULTS),
            peer_topic("peer", PeerKind.TESTS),
        ):
            await asyncio.to_thread(die, broker, protocol, where, b"forged")
        await asyncio.to_thread(die, broker, protocol, topic("A", Kind.PRESENCE), b"last")
        found = await received_until(collector, b"last")
    assert found == {(topic("A", Kind.PRESENCE), b"last")}
