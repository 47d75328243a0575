"""Polls of the peer, answered by our own reflector."""

import pytest

from agent.probes.reachability.rules.peer_polls import PeerPolls
from wire.stamp.packet import AUTHENTICATED_BASE_BYTES, BASE_BYTES
from wire.stamp.reflector import Reflection, ReflectorSettings, RequestArrival, SessionReflector
from wire.stamp.timestamp import ErrorEstimate

KEY = b"a key for the site"
NOW = 1_775_000_000_000_000_000
ARRIVAL = RequestArrival(NOW, ("198.51.100.7", 50_000), ("192.0.2.1", 862))


@pytest.mark.parametrize(("key", "size"), [(KEY, AUTHENTICATED_BASE_BYTES), (None, BASE_BYTES)])
def test_every_poll_is_one_packet_and_its_reply_counts_once(key: bytes | None, size: int) -> None:
    polls = PeerPolls(key)
    reflector = SessionReflector(ReflectorSettings(keys=(key,) if key else (), open_mode=key is None))
    replies = []
    for _ in range(40):
        packet = polls.packet(NOW, ErrorEstimate())
        assert len(packet) == size
        reflection = reflector.receive(packet, ARRIVAL, ErrorEstimate())
        assert isinstance(reflection, Reflection)
        replies.append(reflection.encode(NOW))
        if len(replies) > 1:  # the reply before this one is late
            assert (polls.received(replies[-2], NOW), polls.received(replies[-2], NOW)) == (True, False)


def test_other_datagrams_are_no_answer() -> None:
    polls = PeerPolls(KEY)
    packet = polls.packet(NOW, ErrorEstimate())
    for data in (b"", b"x" * len(packet), packet):
        assert not polls.received(data, NOW)
