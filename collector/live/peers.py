"""Metrics of the measurement peers: records received, comparisons by result, and the newest test.

They carry no site's label: a test of which only the peer has a record names no site.
"""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from collector.model.peer_comparison import ComparedTest, ComparisonResult, PeerMessage

MAX_PEERS = 1000  # names of peers are taken from messages, and each one makes time series


class PeerCounters:
    """Counters by peer, in the registry of the process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._known: set[str] = set()
        self._results = Counter(
            "qos_peer_tests_total",
            "Load tests of a peer, by whether the agent's record and the peer's record agree.",
            ("peer", "result"),
            registry=registry,
        )
        self._records = Counter(
            "qos_collector_peer_tests_total",
            "Peers' records of load tests, by receipt status.",
            ("peer", "status"),
            registry=registry,
        )
        self._newest = Gauge(
            "qos_peer_newest_test_timestamp_seconds",
            "Begin of the newest load test of which the peer sent a record.",
            ("peer",),
            registry=registry,
        )
        self._newest_us: dict[str, int] = {}

    def restore(self, newest_us: Mapping[str, int]) -> None:
        """Set the time of each peer's newest test, as the ledger has it."""
        for peer, time_us in newest_us.items():
            self._raise(peer, time_us)

    def count_message(self, message: PeerMessage | None) -> None:
        """Count the records of a committed message of a peer."""
        if message is None or not self._is_counted(message.peer):
            return
        for status in message.statuses:
            self._records.labels(message.peer, status.value).inc()
        if message.newest_us is not None:
            self._raise(message.peer, message.newest_us)

    def count_comparisons(self, compared: Iterable[ComparedTest]) -> None:
        """Count tests that were compared, or whose second record did not arrive in time."""
        for one in compared:
            if self._is_counted(one.peer):
                self._results.labels(one.peer, one.result.value).inc()

    def _raise(self, peer: str, time_us: int) -> None:
        if self._is_counted(peer) and time_us > self._newest_us.get(peer, 0):
            self._newest_us[peer] = time_us
            self._newest.labels(peer).set(time_us / 1e6)

    def _is_counted(self, peer: str) -> bool:
        """Add a peer with every result at 0, unless there are too many; return False for one too many."""
        if peer not in self._known and len(self._known) < MAX_PEERS:
            self._known.add(peer)
            # Every result starts at 0: increase() misses the first event of a counter that begins with it.
            for result in ComparisonResult:
                self._results.labels(peer, result.value)
        return peer in self._known
