import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import topics
from wire.topics import Kind


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


@given(st.text())
def test_no_topic_raises(text: str) -> None:
    topics.parse(text)
