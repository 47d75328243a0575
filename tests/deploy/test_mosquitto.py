"""The broker configuration that is shipped, in a real Mosquitto: only ports and paths are another's here."""

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
    """How each site connects."""
    ca = str(sites.certificate)
    own = {name: sites.issue(name) for name in ("A", "B")}
    return {name: tls_context(Tls(ca, str(own[name].certificate), str(own[name].key))) for name in own}


def limit() -> asyncio.Timeout:
    return asyncio.timeout(LIMIT_S)


async def heard(client: aiomqtt.Client, last: bytes) -> list[tuple[str, bytes]]:
    """Everything a client receives up to the message ``last``: what did not come before it never will."""
    received: list[tuple[str, bytes]] = []
    async for message in client.messages:
        assert isinstance(message.payload, bytes)
        received.append((str(message.topic), message.payload))
        if message.payload == last:
            break
    return received


def test_nobody_is_let_in_without_a_name_or_with_a_wrong_password(broker: Broker) -> None:
    async def connect(user: str | None, password: str | None) -> None:
        async with broker.client(user, password):
            pass

    for user, password in ((None, None), ("A", "wrong"), ("unknown", "unknown")):
        with pytest.raises(aiomqtt.MqttError, match=r"[Nn]ot authori[sz]ed"):
            asyncio.run(connect(user, password))


def test_a_site_publishes_below_its_own_id_only(broker: Broker) -> None:
    async def scenario() -> list[tuple[str, bytes]]:
        async with (
            limit(),
            broker.client(COLLECTOR) as collector,
            broker.client("A") as site,
        ):
            for kind in (Kind.RESULTS, Kind.PRESENCE):
                await collector.subscribe(topics.every_site(kind), qos=1)
            for forbidden in (topic("B", Kind.RESULTS), topic("B", Kind.PRESENCE), topic("A", Kind.RECEIPTS)):
                await site.publish(forbidden, b"forged", qos=1)
            await site.publish(topic("A", Kind.PRESENCE), b"here", qos=1)
            await site.publish(topic("A", Kind.RESULTS), b"last", qos=1)
            return await heard(collector, b"last")

    assert asyncio.run(scenario()) == [("qos/v1/A/presence", b"here"), ("qos/v1/A/results", b"last")]


@pytest.mark.parametrize("subscription", ["#", "qos/v1/+/receipts", "qos/v1/B/receipts", "qos/v1/B/results"])
def test_a_site_reads_its_own_receipts_whatever_it_subscribes_to(broker: Broker, subscription: str) -> None:
    async def scenario() -> list[tuple[str, bytes]]:
        async with (
            limit(),
            broker.client("A") as site,
            broker.client("B") as other,
            broker.client(COLLECTOR) as collector,
        ):
            await site.subscribe(subscription, qos=1)
            await site.subscribe(topic("A", Kind.RECEIPTS), qos=1)
            await other.publish(topic("B", Kind.RESULTS), b"of another site", qos=1)
            await collector.publish(topic("B", Kind.RECEIPTS), b"of another site", qos=1)
            await collector.publish(topic("A", Kind.RECEIPTS), b"last", qos=1)
            return await heard(site, b"last")

    assert asyncio.run(scenario()) == [("qos/v1/A/receipts", b"last")]


def test_the_collector_cannot_speak_for_a_site(broker: Broker) -> None:
    async def scenario() -> list[tuple[str, bytes]]:
        async with (
            limit(),
            broker.client(COLLECTOR) as collector,
            broker.client("A") as site,
        ):
            await collector.subscribe(topics.every_site(Kind.RESULTS), qos=1)
            await collector.publish(topic("A", Kind.RESULTS), b"forged", qos=1)
            await site.publish(topic("A", Kind.RESULTS), b"last", qos=1)
            return await heard(collector, b"last")

    assert asyncio.run(scenario()) == [("qos/v1/A/results", b"last")]


def test_the_collector_commands_a_site_and_no_site_another(broker: Broker) -> None:
    async def scenario() -> list[tuple[str, bytes]]:
        async with (
            limit(),
            broker.client("A") as site,
            broker.client("B") as other,
            broker.client(COLLECTOR) as collector,
        ):
            await site.subscribe(topics.every_site(Kind.COMMANDS), qos=1)
            await other.publish(topic("A", Kind.COMMANDS), b"forged", qos=1)
            await collector.publish(topic("B", Kind.COMMANDS), b"of another site", qos=1)
            await collector.publish(topic("A", Kind.COMMANDS), b"last", qos=1)
            return await heard(site, b"last")

    assert asyncio.run(scenario()) == [("qos/v1/A/commands", b"last")]


def test_the_name_of_the_collector_can_be_no_site_id() -> None:
    users = re.findall(r"^user (\S+)$", (SHIPPED / "plancher.acl").read_text(), re.MULTILINE)
    assert users == [COLLECTOR, PEER]
    assert not any(topics.is_site_id(user) for user in users)


def test_a_peer_tells_of_its_own_tests_only_and_a_site_of_none(broker: Broker) -> None:
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
            return await heard(collector, b"last")

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
            return await heard(peer, b"last")

    assert set(asyncio.run(scenario())) == {(own, b"last")}


def test_with_tls_a_site_is_who_its_certificate_says(
    broker: Broker, contexts: dict[str, ssl.SSLContext]
) -> None:

    async def scenario() -> list[tuple[str, bytes]]:
        async with (
            limit(),
            broker.client(COLLECTOR) as collector,
            broker.tls_client(contexts["A"]) as site,
        ):
            await collector.subscribe(topics.every_site(Kind.RESULTS), qos=1)
            await site.publish(topic("B", Kind.RESULTS), b"forged", qos=1)
            await site.publish(topic("A", Kind.RESULTS), b"last", qos=1)
            return await heard(collector, b"last")

    assert asyncio.run(scenario()) == [("qos/v1/A/results", b"last")]


def test_with_tls_a_site_cannot_end_the_connection_of_another(
    broker: Broker, contexts: dict[str, ssl.SSLContext]
) -> None:
    first, second = contexts["A"], contexts["B"]

    async def scenario() -> None:
        async with limit(), broker.tls_client(first, "same") as site:
            async with broker.tls_client(second, "same") as other:
                await other.publish(topic("B", Kind.RESULTS), b"here", qos=1)
            await site.publish(topic("A", Kind.RESULTS), b"still here", qos=1)

    asyncio.run(scenario())


def test_with_tls_a_stranger_is_not_let_in(broker: Broker, sites: Authority, tmp_path: Path) -> None:
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
            return await heard(collector, payload)

    assert asyncio.run(scenario()) == [("qos/v1/A/results", payload)]


def test_the_broker_holds_more_than_by_default_for_a_collector_that_stalls(broker: Broker) -> None:
    """2,000 messages, twice what Mosquitto holds unless told otherwise, wait for one slow subscriber."""
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
                return len(await heard(stalled, b"%d" % (amount - 1)))

    assert asyncio.run(scenario()) == amount
