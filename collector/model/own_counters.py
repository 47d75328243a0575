"""Metrics of the collector's own process: messages, measurements, receipts, and its parts' health."""

from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client import Counter as CounterMetric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from collector.model.observation import PassedOver
from wire.messages.envelope import Reason, ReceiptStatus

COMMIT_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class OwnCounters:
    """Metrics of one collector in a registry of its own, so that two collectors fit in one process."""

    def __init__(self) -> None:
        # Every counter begins at the start of the process, and that time is on the page already.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.messages = self._counter("messages", "Messages received from the broker and queued.")
        self.refused = self._counter(
            "refused_messages", "Messages refused for want of room: of their sender, or of all.", "reason"
        )
        self.uncommitted = self._counter(
            "uncommitted_messages", "Messages that could not be committed to the ledger."
        )
        self.receipts = self._counter("receipts", "Receipts, by whether the broker accepted them.", "result")
        self.measurements = self._counter("measurements", "Measurements, by receipt status.", "status")
        self.redelivered = self._counter(
            "redelivered_measurements", "Measurements that were in the ledger already when they arrived."
        )
        self.rejects = self._counter("rejects", "Messages and measurements rejected, by reason.", "reason")
        text = "Measurements kept in the ledger and ignored by views: in the future, or too old."
        self.passed_over = self._counter("passed_over", text, "reason")
        self.commit_seconds = Histogram(
            "qos_collector_commit_seconds",
            "Time to decode and commit one group of messages.",
            buckets=COMMIT_SECONDS,
            registry=self.registry,
        )
        self.commands = self._counter("commands", "Commands, by whether the broker accepted them.", "result")
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Expose every known label from the start: rate() needs a first sample before the first event."""
        for result in ("published", "lost"):
            self.receipts.labels(result)
            self.commands.labels(result)
        for status in ReceiptStatus:
            self.measurements.labels(status.value)
        for reason in Reason:
            self.rejects.labels(reason.value)
        for refused in ("sender", "full"):
            self.refused.labels(refused)
        for passed in PassedOver:
            self.passed_over.labels(passed.value)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value is read at each scrape."""
        Gauge(f"qos_collector_{name}", text, registry=self.registry).set_function(read)

    def count_message(self, statuses: Iterable[ReceiptStatus], rejected: Iterable[Reason]) -> None:
        """Count the measurements of one message by status, and its rejections by reason."""
        for status, count in Counter(statuses).items():
            self.measurements.labels(status.value).inc(count)
        for reason, count in Counter(rejected).items():
            self.rejects.labels(reason.value).inc(count)

    def count_passed_over(self, reasons: Iterable[PassedOver]) -> None:
        """Count committed measurements that views ignore."""
        for reason, count in Counter(reasons).items():
            self.passed_over.labels(reason.value).inc(count)

    def page(self) -> bytes:
        """Render the process's own part of the metrics page."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> CounterMetric:
        return CounterMetric(f"qos_collector_{name}_total", text, labels, registry=self.registry)
