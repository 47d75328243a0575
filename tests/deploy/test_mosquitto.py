"""Shipped broker configuration in a real Mosquitto; only ports and paths are the test's."""

import asyncio
import re
import ssl

import aiomqtt
import pytest

from collector.certificates.authority import COLLECTOR, PEER, Authority
from net.tls import Tls, tls_context
from tests.deploy.shipped_broker import LIMIT_S, SHIPPED, Broker, Heard, Step, received_until
from wire.messages import envelope as messages
from wire.messages import topics
from wire.messages.topics import Kind, PeerKind, every_peer, every_site, peer_topic, topic

RESULTS, RECEIPTS = topic("A", Kind.RESULTS), topic("A", Kind.RECEIPTS)
TESTS, PEER_RECEIPTS = (peer_topic("peer", kind) for kind in (PeerKind.TESTS, PeerKind.RECEIPTS))


@pytest.fixture(scope="module")
def contexts(sites: Authority) -> dict[str, ssl.SSLContext]:
    """Return the TLS context of each site."""
    ca = str(sites.certificate)
    own = {name: sites.issue(name) for name in ("A", "B")}
    return {name: tls_context(Tls(ca, str(own[name].certificate), str(own[name].key))) for name in own}


def test_a_client_without_name_or_with_a_wrong_password_is_refused(broker: Broker) -> None:
    async def connect(user: str | None, password: str | None) -> None:
        async with broker.client(user, password):
            pass

    for user, password in ((None, None), ("A", "wrong"), ("unknown", "unknown")):
        with pytest.raises(aiomqtt.MqttError, match=r"[Nn]ot authori[sz]ed"):
            asyncio.run(connect(user, password))


def test_the_collectors_name_is_no_valid_site_id() -> None:
    users = re.findall(r"^user (\S+)$", (SHIPPED / "plancher.acl").read_text(), re.MULTILINE)
    assert users == [COLLECTOR, PEER]
    assert not any(topics.is_site_id(user) for user in users)


@pytest.mark.parametrize(
    ("steps", "listener", "expected"),
    [
        (
            [
                (COLLECTOR, every_site(Kind.RESULTS), None),
                (COLLECTOR, RESULTS, b"forged"),
                ("A", RESULTS, b"last"),
            ],
            COLLECTOR,
            {(RESULTS, b"last")},
        ),
        (
            [
                (COLLECTOR, every_peer(PeerKind.TESTS), None),
                (COLLECTOR, every_site(Kind.RESULTS), None),
                (PEER, peer_topic("other", PeerKind.TESTS), b"forged"),
                (PEER, RESULTS, b"forged"),
                (PEER, TESTS, b"last"),
            ],
            COLLECTOR,
            {(TESTS, b"last")},
        ),
        (
            [
                *((PEER, where, None) for where in ("#", every_peer(PeerKind.RECEIPTS), PEER_RECEIPTS)),
                (COLLECTOR, peer_topic("other", PeerKind.RECEIPTS), b"of another"),
                (COLLECTOR, RECEIPTS, b"of a site"),
                (COLLECTOR, PEER_RECEIPTS, b"last"),
            ],
            PEER,
            {(PEER_RECEIPTS, b"last")},
        ),
    ],
    ids=["the collector cannot publish for a site", "a peer publishes its own tests", "a peer reads its own"],
)
def test_collector_and_peer_are_limited(
    broker: Broker, steps: list[Step], listener: str, expected: Heard
) -> None:
    assert broker.heard(steps, listener) == [expected]


def test_a_certificate_identifies_a_site(broker: Broker, contexts: dict[str, ssl.SSLContext]) -> None:
    steps: list[Step] = [
        (COLLECTOR, every_site(Kind.RESULTS), None),
        ("A", topic("B", Kind.RESULTS), b"forged"),
        ("A", RESULTS, b"last"),
    ]
    assert broker.heard(steps, COLLECTOR, site=lambda: broker.tls_client(contexts["A"])) == [
        {(RESULTS, b"last")}
    ]


async def test_a_site_cannot_end_the_tls_connection_of_another(
    broker: Broker, contexts: dict[str, ssl.SSLContext]
) -> None:
    first, second = contexts["A"], contexts["B"]
    async with asyncio.timeout(LIMIT_S), broker.tls_client(first, "same") as site:
        async with broker.tls_client(second, "same") as other:
            await other.publish(topic("B", Kind.RESULTS), b"here", qos=1)
        await site.publish(RESULTS, b"still here", qos=1)


async def test_a_batch_that_is_a_little_too_large_still_reaches_the_collector(broker: Broker) -> None:
    payload = b"x" * (messages.MAX_MESSAGE_BYTES + 1)
    async with (
        asyncio.timeout(LIMIT_S),
        broker.client(COLLECTOR) as collector,
        broker.client("A") as site,
    ):
        await collector.subscribe(every_site(Kind.RESULTS), qos=1)
        await site.publish(RESULTS, payload, qos=1)
        found = await received_until(collector, payload)
    assert found == {(RESULTS, payload)}


async def test_the_broker_queues_2000_messages_for_a_stalled_collector(broker: Broker) -> None:
    """Publish twice as many messages as Mosquitto queues by default."""
    amount = 2000
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
            await stalled.subscribe(RESULTS, qos=1)
        for number in range(amount):
            await site.publish(RESULTS, b"%d" % number, qos=1)
        async with stalled:
            found = len(await received_until(stalled, b"%d" % (amount - 1)))
    assert found == amount
