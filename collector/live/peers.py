"""What the collector knows of the measurement peers: that they tell, and how it compares.

A site's label cannot stand here: of what a peer alone tells, nobody knows whose test it was.
"""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from collector.model.peer_comparison import ComparedTest, ComparisonResult, PeerMessage

MAX_PEERS = 1000  # their names come from outside


class PeerCounters:
    """Counts what peers told, by peer, in the process's own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._known: set[str] = set()
        self._results = Counter(
            "qos_peer_tests_total",
            "Load tests of a peer by whether both sides told the same of it.",
            ("peer", "result"),
            registry=registry,
        )
        self._taken = Counter(
            "qos_collector_peer_tests_total",
            "PeerCounters' records of load tests by what became of them.",
            ("peer", "status"),
            registry=registry,
        )
        self._newest = Gauge(
            "qos_peer_newest_test_timestamp_seconds",
            "When the newest load test that the peer told of began.",
            ("peer",),
            registry=registry,
        )
        self._newest_us: dict[str, int] = {}

    def restore(self, newest_us: Mapping[str, int]) -> None:
        """Learn from the ledger when each peer's newest test was."""
        for peer, time_us in newest_us.items():
            self._raise(peer, time_us)

    def heard(self, found: PeerMessage | None) -> None:
        """A peer's message has been committed."""
        if found is None or not self._is_known(found.peer):
            return
        for status in found.statuses:
            self._taken.labels(found.peer, status.value).inc()
        if found.newest_us is not None:
            self._raise(found.peer, found.newest_us)

    def learn(self, joined: Iterable[ComparedTest]) -> None:
        """Tests were joined, or given up."""
        for one in joined:
            if self._is_known(one.peer):
                self._results.labels(one.peer, one.result.value).inc()

    def _raise(self, peer: str, time_us: int) -> None:
        if self._is_known(peer) and time_us > self._newest_us.get(peer, 0):
            self._newest_us[peer] = time_us
            self._newest.labels(peer).set(time_us / 1e6)

    def _is_known(self, peer: str) -> bool:
        """Whether it is counted: all of a plausible number, with every result from 0 on."""
        if peer not in self._known and len(self._known) < MAX_PEERS:
            self._known.add(peer)
            for result in ComparisonResult:
                self._results.labels(peer, result.value)
        return peer in self._known
