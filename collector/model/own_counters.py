"""The collector's own metrics: what came, what became of it, and how the collector itself fares."""

from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client import Counter as CounterMetric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from collector.model.observation import PassedOver
from wire.messages.envelope import Reason, ReceiptStatus

COMMIT_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class OwnCounters:
    """One registry of its own, so that two collectors in one process do not meet."""

    def __init__(self) -> None:
        # When a counter began is the process's start, which is on the page already.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.messages = self._counter("messages", "Messages taken from the broker.")
        self.refused = self._counter("refused_messages", "Messages not taken: the queue was full.")
        self.unsettled = self._counter("unsettled_messages", "Messages that the ledger could not commit.")
        self.receipts = self._counter("receipts", "Receipts, by whether the broker took them.", "result")
        self.fates = self._counter("measurements", "Measurements by what became of them.", "status")
        text = "Measurements that the ledger had already when they came."
        self.redelivered = self._counter("redelivered_measurements", text)
        self.rejects = self._counter("rejects", "Messages and measurements rejected, by reason.", "reason")
        text = "Measurements kept and believed by no view: of the future, or older than what is kept."
        self.passed_over = self._counter("passed_over", text, "reason")
        self.commit_seconds = Histogram(
            "qos_collector_commit_seconds",
            "Time to judge and commit one group of messages.",
            buckets=COMMIT_SECONDS,
            registry=self.registry,
        )
        self.commands = self._counter("commands", "Commands, by whether the broker took them.", "result")
        for result in ("published", "lost"):
            self.receipts.labels(result)
            self.commands.labels(result)
        for status in ReceiptStatus:
            self.fates.labels(status.value)
        for reason in Reason:
            self.rejects.labels(reason.value)
        for passed in PassedOver:
            self.passed_over.labels(passed.value)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        Gauge(f"qos_collector_{name}", text, registry=self.registry).set_function(read)

    def settled(self, statuses: Iterable[ReceiptStatus], rejected: Iterable[Reason]) -> None:
        """Count what became of one message."""
        for status, count in Counter(statuses).items():
            self.fates.labels(status.value).inc(count)
        for reason, count in Counter(rejected).items():
            self.rejects.labels(reason.value).inc(count)

    def passed(self, passed_over: Iterable[PassedOver]) -> None:
        """Count measurements that no view was told of."""
        for reason, count in Counter(passed_over).items():
            self.passed_over.labels(reason.value).inc(count)

    def page(self) -> bytes:
        """The process's own part of the metrics page."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> CounterMetric:
        return CounterMetric(f"qos_collector_{name}_total", text, labels, registry=self.registry)
