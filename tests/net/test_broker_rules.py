"""Rules for the broker's settings, and warnings about brokers that are open to others."""

import pytest

from net.broker_rules import broker_problem, unprotected
from net.mqtt import Broker
from net.tls import Tls


@pytest.mark.parametrize(("broker", "words"), [
    (Broker(), None),
    (Broker("localhost"), None),
    (Broker("192.0.2.1", username="S1"), "without TLS"),
    (Broker("broker.example", tls=Tls()), "without user name or certificate"),
    (Broker("broker.example", tls=Tls(), username="S1"), None),
    (Broker("broker.example", tls=Tls(certificate="S1.pem")), None),
])  # fmt: skip
def test_a_broker_on_another_machine_needs_tls_and_a_name(broker: Broker, words: str | None) -> None:
    found = unprotected(broker)
    assert found is None if words is None else str(found).startswith(words)


@pytest.mark.parametrize("name", ["peers/x", "S+", "#"])
def test_a_name_that_is_part_of_several_topics_is_refused(name: str) -> None:
    words = "broker.username: / + and # would reach another's topics: use another name"
    assert broker_problem(Broker(username=name)) == words
    assert broker_problem(Broker(username="plancher.peer")) is None
