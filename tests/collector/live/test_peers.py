import pytest
from prometheus_client import CollectorRegistry, generate_latest

from collector.live import peers as module
from collector.live.peers import PeerCounters
from collector.model.peer_comparison import ComparedTest, ComparisonResult, PeerMessage
from tests.collector.examples import NOW_US, SITE
from wire.messages.envelope import ReceiptStatus
from wire.records import Direction


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_records_and_comparisons_are_counted_by_peer() -> None:
    registry = CollectorRegistry()
    peers = PeerCounters(registry)
    peers.count_message(PeerMessage("pop-1", (ReceiptStatus.COMMITTED, ReceiptStatus.CONFLICT), NOW_US))
    peers.count_comparisons(
        [ComparedTest("pop-1", None, Direction.UP, NOW_US, ComparisonResult.PEER_ONLY, None)]
    )
    peers.count_comparisons([ComparedTest("pop-1", SITE, Direction.UP, NOW_US, ComparisonResult.AGREE, 0.0)])
    counted = {
        result: value(registry, "qos_peer_tests_total", peer="pop-1", result=result)
        for result in ComparisonResult
    }
    assert counted == {"agree": 1, "disagree": 0, "agent-only": 0, "peer-only": 1, "ambiguous": 0}
    assert value(registry, "qos_collector_peer_tests_total", peer="pop-1", status="conflict") == 1


def test_the_newest_test_of_a_peer_never_moves_back() -> None:
    registry = CollectorRegistry()
    peers = PeerCounters(registry)
    peers.restore({"pop-1": NOW_US})
    for newest_us in (NOW_US - 5, None):
        peers.count_message(PeerMessage("pop-1", (), newest_us))
        assert value(registry, "qos_peer_newest_test_timestamp_seconds", peer="pop-1") == NOW_US / 1e6


def test_the_number_of_peers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PEERS", 3)
    registry = CollectorRegistry()
    peers = PeerCounters(registry)
    for number in range(5):
        peers.count_message(PeerMessage(f"p{number}", (ReceiptStatus.COMMITTED,), NOW_US))
    assert generate_latest(registry).count(b"\nqos_peer_newest_test_timestamp_seconds{") == 3
