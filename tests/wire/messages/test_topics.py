import pytest

from wire.messages import topics
from wire.messages.topics import Kind, PeerKind


def test_a_topic_is_built_and_taken_apart_again() -> None:
    assert topics.topic("0631234A", Kind.RESULTS) == "qos/v1/0631234A/results"
    assert topics.parse("qos/v1/0631234A/results") == ("0631234A", Kind.RESULTS)
    assert topics.every_site(Kind.RECEIPTS) == "qos/v1/+/receipts"


@pytest.mark.parametrize("name", ["", "+", "#", "a/b", "-a", "_a", "a b", "é", "pop.1", "a" * 65, "a\n"])
def test_an_impossible_name_never_reaches_a_topic(name: str) -> None:
    with pytest.raises(ValueError, match="impossible site id"):
        topics.topic(name, Kind.RESULTS)
    assert topics.parse(f"qos/v1/{name}/results") is None
    with pytest.raises(ValueError, match="impossible peer id"):
        topics.peer_topic(name, PeerKind.TESTS)
    assert topics.parse_peer(f"qos/v1/peers/{name}/tests") is None


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
