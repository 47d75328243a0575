"""Small parts of the reachability watch: first hop, receipts, state file."""

from pathlib import Path

import pytest

from agent.probes.reachability import state as reachability_state
from agent.probes.reachability.rules.first_hop import MOST_TTL, FirstHop
from agent.probes.reachability.rules.network_view import OutageScope, Target
from agent.probes.reachability.state import ReachabilityState
from outbox.receipt_watch import ReceiptWatch
from tests.agent.probes.reachability.world import at
from wire.records import Cause, ReachabilityValues


def test_the_lowest_router_that_answers_is_the_hop() -> None:
    hop = FirstHop()
    assert list(hop.ttls()) == list(range(2, MOST_TTL + 1))
    assert hop.take(3, "10.0.3.1")
    assert (hop.ttl, list(hop.ttls())) == (3, [2, 3])
    assert not hop.take(4, "10.0.4.1")
    assert hop.take(2, "10.0.2.1")
    assert (hop.ttl, hop.address) == (2, "10.0.2.1")
    hop.forget(1)
    assert (hop.ttl, hop.address, list(hop.ttls())) == (None, None, list(range(1, MOST_TTL + 1)))


def test_a_batch_waits_from_its_puback_until_any_receipt() -> None:
    watch = ReceiptWatch()
    watch.taken(at(10), at(10))
    watch.taken(at(20), at(20))
    assert (watch.unanswered, watch.newest) == (at(10), None)
    watch.received(at(21))
    assert (watch.unanswered, watch.newest, watch.missed) == (None, at(21), at(10))
    watch.taken(at(30), at(47))
    assert watch.unanswered == at(47)


def test_a_receipt_may_overtake_the_puback() -> None:
    watch = ReceiptWatch()
    watch.received(at(11))
    watch.taken(at(10), at(10))
    assert watch.unanswered is None


def test_batches_of_an_earlier_session_prove_nothing() -> None:
    watch = ReceiptWatch()
    watch.received(at(5))
    watch.taken(at(10), at(10))
    watch.forget_sent()
    assert (watch.unanswered, watch.newest) == (None, at(5))
    watch.received(at(12))
    assert watch.missed is None


def test_the_state_outlives_the_run(tmp_path: Path) -> None:
    outage = ReachabilityValues(outage="one", cause=Cause.ACCESS, begin=at(5), begin_error_us=7, gateway=True)
    state = ReachabilityState(
        known=(Target.GATEWAY, Target.FIRST_HOP),
        gateway="192.168.1.1",
        hop_ttl=2,
        hop_address="10.0.0.1",
        outages={OutageScope.LINE: outage},
    )
    path = tmp_path / "deep" / "reachability.json"
    reachability_state.write(path, state)
    assert reachability_state.read(path) == state


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b'{"known":["moon"]}', b'{"hop_ttl":"two"}', b'{"hop_ttl":99}', b'{"gateway":"\xff"}'],
)
def test_an_unreadable_state_is_empty(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "reachability.json"
    if content is not None:
        path.write_bytes(content)
    assert reachability_state.read(path) == ReachabilityState()
