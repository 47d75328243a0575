"""Shipped broker configuration in a real Mosquitto; only ports and paths are the test's."""

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from collector.certificates.authority import Authority
from net.tls import Tls, tls_context
from tests.deploy.shipped_broker import COLLECTOR, LIMIT_S, SHIPPED, Broker, shipped_broker
from wire.messages import envelope as messages
from wire.messages import topics
from wire.messages.topics import Kind, PeerKind, peer_topic, topic

PEER = "plancher.peer"
USERS = ("A", "B", COLLECTOR, PEER)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("sites")).make()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, sites: Authority) -> Iterator[Broker]:
    with shipped_broker(tmp_path_factory.mktemp("mosquitto"), USERS, sites) as broker:
        yield broker


@pytest.fixture(scope="module")
def contexts(sites: Authority) -> dict[str, ssl.SSLContext]:
    """Return the TLS context of each site."""
    ca = str(sites.certificate)
    own = {name: sites.issue(name) for name in ("A", "B")}
    return {name: tls_context(Tls(ca, str(own[name].certificate), str(own[name].key))) for name in own}


def limit() -> asyncio.Timeout:
    return asyncio.timeout(LIMIT_S)


async def received_until(client: aiomqtt.Client, last: bytes) -> list[tuple[str, bytes]]:
    """Return all messages that a client receives up to ``last``."""
    received: list[tuple[str, bytes]] = []
    async for message in client.messages:
        assert isinstance(message.payload, bytes)
        received.append((str(message.topic), message.payload))
        if message.payload == last:
            break
    return received


def test_a_client_without_name_or_with_a_wrong_password_is_refused(broker: Broker) -> None:
    async def connect(user: str | None, password: str | None) -> None:
        async with broker.client(user, password):
            pass

    for user, password in ((None, None), ("A", "wrong"), ("unknown", "unknown")):
        with pytest.raises(aiomqtt.MqttError, match=r"[Nn]ot authori[sz]ed"):
            asyncio.run(connect(user, password))


def test_the_collector_cannot_publish_for_a_site(broker: Broker) -> None:
    async def scenario() -> list[tuple[str, bytes]]:
        async with (
            limit(),
            broker.client(COLLECTOR) as collector,
            broker.client("A") as site,
        ):
            await collector.subscribe(topics.every_site(Kind.RESULTS), qos=1)
            await collector.publish(topic("A", Kind.RESULTS), b"forged", qos=1)
            await site.publish(topic("A", Kind.RESULTS), b"last", qos=1)
            return await received_until(collector, b"last")

    assert asyncio.run(scenario()) == [("qos/v1/A/results", b"last")]


def test_the_collectors_name_is_no_valid_site_id() -> None:
    users = re.findall(r"^user (\S+)$", (SHIPPED / "plancher.acl").read_text(), re.MULTILINE)
    assert users == [COLLECTOR, PEER]
    assert not any(topics.is_site_id(user) for user in users)


def test_only_a_peer_publishes_tests_and_only_its_own(broker: Broker) -> None:
    own = peer_topic("peer", PeerKind.TESTS)

    async def scenario() -> list[tuple[str, bytes]]:
        async with (
            limit(),
            broker.client(COLLECTOR) as collector,
            broker.client(PEER) as peer,
            broker.client("A") as site,
        ):
            await collector.subscribe(topics.every_peer(PeerKind.TESTS), qos=1)
            await collector.subscribe(topics.every_site(Kind.RESULTS), qos=1)
            for forbidden in (own, peer_topic("A", PeerKind.TESTS)):
                await site.publish(forbidden, b"forged", qos=1)
            await site.publish(topic("A", Kind.RESULTS), b"site's last", qos=1)
            for forbidden in (peer_topic("other", PeerKind.TESTS), topic("A", Kind.RESULTS)):
                await peer.publish(forbidden, b"forged", qos=1)
            await peer.publish(own, b"last", qos=1)
            return await received_until(collector, b"last")

    assert set(asyncio.run(scenario())) == {("qos/v1/A/results", b"site's last"), (own, b"last")}


def test_a_peer_reads_its_own_receipts_only(broker: Broker) -> None:
    own = peer_topic("peer", PeerKind.RECEIPTS)

    async def scenario() -> list[tuple[str, bytes]]:
        async with limit(), broker.client(COLLECTOR) as collector, broker.client(PEER) as peer:
            for subscription in ("#", topics.every_peer(PeerKind.RECEIPTS), own):
                await peer.subscribe(subscription, qos=1)
            await collector.publish(peer_topic("other", PeerKind.RECEIPTS), b"of another", qos=1)
            await collector.publish(topic("A", Kind.RECEIPTS), b"of a site", qos=1)
            await collector.publish(own, b"last", qos=1)
            return await received_until(peer, b"last")

    assert set(asyncio.run(scenario())) == {(own, b"last")}


def test_a_certificate_identifies_a_site(broker: Broker, contexts: dict[str, ssl.SSLContext]) -> None:

    async def scenario() -> list[tuple[str, bytes]]:
        async with (
            limit(),
            broker.client(COLLECTOR) as collector,
            broker.tls_client(contexts["A"]) as site,
        ):
            await collector.subscribe(topics.every_site(Kind.RESULTS), qos=1)
            await site.publish(topic("B", Kind.RESULTS), b"forged", qos=1)
            await site.publish(topic("A", Kind.RESULTS), b"last", qos=1)
            return await received_until(collector, b"last")

    assert asyncio.run(scenario()) == [("qos/v1/A/results", b"last")]


def test_a_site_cannot_end_the_tls_connection_of_another(
    broker: Broker, contexts: dict[str, ssl.SSLContext]
) -> None:
    first, second = contexts["A"], contexts["B"]

    async def scenario() -> None:
        async with limit(), broker.tls_client(first, "same") as site:
            async with broker.tls_client(second, "same") as other:
                await other.publish(topic("B", Kind.RESULTS), b"here", qos=1)
            await site.publish(topic("A", Kind.RESULTS), b"still here", qos=1)

    asyncio.run(scenario())


def test_a_client_of_another_authority_is_refused(broker: Broker, sites: Authority, tmp_path: Path) -> None:
    identity = Authority(tmp_path).make().issue("A")
    contexts = (
        tls_context(Tls(str(sites.certificate))),
        tls_context(Tls(str(sites.certificate), str(identity.certificate), str(identity.key))),
    )

    for context in contexts:
        with (
            socket.create_connection(("127.0.0.1", broker.tls_port), LIMIT_S) as plain,
            pytest.raises(ssl.SSLError, match=r"CERTIFICATE_REQUIRED|UNKNOWN_CA"),
            context.wrap_socket(plain, server_hostname="127.0.0.1") as shaken,
        ):
            shaken.recv(1)


def test_a_batch_that_is_a_little_too_large_still_reaches_the_collector(broker: Broker) -> None:
    payload = b"x" * (messages.MAX_MESSAGE_BYTES + 1)

    async def scenario() -> list[tuple[str, bytes]]:
        async with (
            limit(),
            broker.client(COLLECTOR) as collector,
            broker.client("A") as site,
        ):
            await collector.subscribe(topics.every_site(Kind.RESULTS), qos=1)
            await site.publish(topic("A", Kind.RESULTS), payload, qos=1)
            return await received_until(collector, payload)

    assert asyncio.run(scenario()) == [("qos/v1/A/results", payload)]


def test_the_broker_queues_2000_messages_for_a_stalled_collector(broker: Broker) -> None:
    """Publish twice as many messages as Mosquitto queues by default."""
    amount = 2000

    async def scenario() -> int:
        async with asyncio.timeout(LIMIT_S * 2), broker.client("A") as site:
            stalled = aiomqtt.Client(
                *("127.0.0.1", broker.port),
                username=COLLECTOR,
                password=COLLECTOR,
                identifier="stalled",
                clean_session=False,
                max_queued_incoming_messages=amount + 1,
            )
            async with stalled:
                await stalled.subscribe(topic("A", Kind.RESULTS), qos=1)
            for number in range(amount):
                await site.publish(topic("A", Kind.RESULTS), b"%d" % number, qos=1)
            async with stalled:
                return len(await received_until(stalled, b"%d" % (amount - 1)))

    assert asyncio.run(scenario()) == amount
