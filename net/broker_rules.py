"""Rules for the broker's part of the settings, the same in agent, peer and collector. Pure."""

from net.addresses.host_text import host_problem, is_loopback
from net.mqtt import Broker

# Levels and wildcards of topics (MQTT 3.1.1 section 4.7): a broker's rules have the name in their topics.
_OF_TOPICS = set("/+#")


def broker_problem(broker: Broker) -> str | None:
    """First broken rule in words, with the setting; None if there is none."""
    if problem := host_problem(broker.host):
        return f"broker.host: {problem}"
    if broker.username is not None and _OF_TOPICS & set(broker.username):
        return "broker.username: / + and # would reach another's topics: use another name"
    return None


def unprotected(broker: Broker) -> str | None:
    """Warning about a broker elsewhere that is reached without TLS or without a login; None without one."""
    if is_loopback(broker.host):
        return None
    if broker.tls is None:
        return "without TLS: whoever is on the way reads and changes what is sent (set broker.tls)"
    if broker.username is None and broker.tls.certificate is None:
        return "without user name or certificate: the broker lets anybody in (see deploy/mosquitto)"
    return None
