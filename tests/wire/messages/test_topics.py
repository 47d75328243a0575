import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.messages import topics
from wire.messages.topics import Kind, PeerKind


def test_a_topic_is_built_and_taken_apart_again() -> None:
    assert topics.topic("0631234A", Kind.RESULTS) == "qos/v1/0631234A/results"
    assert topics.parse("qos/v1/0631234A/results") == ("0631234A", Kind.RESULTS)
    assert topics.every_site(Kind.RECEIPTS) == "qos/v1/+/receipts"


@pytest.mark.parametrize("site", ["", "+", "#", "a/b", "-a", "_a", "a b", "é", "a" * 65, "a\n"])
def test_an_impossible_site_id_never_reaches_a_topic(site: str) -> None:
    with pytest.raises(ValueError, match="impossible site id"):
        topics.topic(site, Kind.RESULTS)
    assert topics.parse(f"qos/v1/{site}/results") is None


@pytest.mark.parametrize(
    "text", ["", "qos/v1/A", "qos/v2/A/results", "qos/v1/A/results/x", "qos/v1/A/nonsense"]
)
def test_foreign_topics_are_not_ours(text: str) -> None:
    assert topics.parse(text) is None


@pytest.mark.parametrize("kind", PeerKind)
def test_a_peers_topic_is_built_and_taken_apart_and_is_no_sites(kind: PeerKind) -> None:
    text = topics.peer_topic("pop-1", kind)
    assert text == f"qos/v1/peers/pop-1/{kind}"
    assert topics.parse_peer(text) == ("pop-1", kind)
    assert topics.parse(text) is None
    assert topics.every_peer(kind) == f"qos/v1/peers/+/{kind}"


def test_a_site_called_peers_is_no_peer() -> None:
    assert topics.parse("qos/v1/peers/receipts") == ("peers", Kind.RECEIPTS)
    assert topics.parse_peer("qos/v1/peers/receipts") is None


@pytest.mark.parametrize("peer", ["", "+", "#", "a/b", "a b", "pop.1"])
def test_an_impossible_peer_id_never_reaches_a_topic(peer: str) -> None:
    with pytest.raises(ValueError, match="impossible peer id"):
        topics.peer_topic(peer, PeerKind.TESTS)
    assert topics.parse_peer(f"qos/v1/peers/{peer}/tests") is None


@given(st.text())
def test_no_topic_raises(text: str) -> None:
    topics.parse(text)
    topics.parse_peer(text)
