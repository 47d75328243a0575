"""Metric families of measurements: time, number, cost, and the peer comparison."""

from collector.kinds.kind import Samples, direction_of, dscp_label
from collector.kinds.views import is_fresh
from collector.live.site_state import LiveSite
from collector.metrics.families.family import Family


def _timestamp(site: LiveSite, _now_us: int) -> Samples:
    """Scheduled series only; the silence alert uses them."""
    for series, found in site.scheduled():
        seen = found.newest
        yield f',probe="{series.probe}"{direction_of(seen)}{dscp_label(seen)}', seen.time_us / 1e6


def _measurements(site: LiveSite, _now_us: int) -> Samples:
    for (probe, outcome, failure), count in sorted(site.counters.measurements.items(), key=_by_words):
        yield f',probe="{probe}",outcome="{outcome}",failure="{failure or ""}"', count


def _by_words(item: tuple[tuple[str | None, ...], int]) -> list[str]:
    return [word or "" for word in item[0]]


def _late(site: LiveSite, _now_us: int) -> Samples:
    return ((f',probe="{probe}"', count) for probe, count in sorted(site.counters.late.items()))


def _bytes(site: LiveSite, _now_us: int) -> Samples:
    for (probe, direction), count in sorted(site.counters.bytes_spent.items()):
        yield f',probe="{probe}",direction="{direction}"', count


def _busy(site: LiveSite, now_us: int) -> Samples:
    ratios = [found.newest.busy_ratio for found in site.series.values() if is_fresh(found.newest, now_us)]
    if known := [ratio for ratio in ratios if ratio is not None]:
        yield "", max(known)


def _comparisons(site: LiveSite, _now_us: int) -> Samples:
    return ((f',result="{result}"', count) for result, count in sorted(site.comparisons.results.items()))


def _disagreed(site: LiveSite, _now_us: int) -> Samples:
    for direction, compared in sorted(site.comparisons.disagreements.items()):
        yield f',direction="{direction}"', compared.time_us / 1e6


def _difference(site: LiveSite, _now_us: int) -> Samples:
    for direction, compared in sorted(site.comparisons.disagreements.items()):
        if compared.difference is not None:
            yield f',direction="{direction}"', compared.difference


FAMILIES: tuple[Family, ...] = (
    Family(
        "qos_measurement_timestamp_seconds",
        "gauge",
        "When the newest measurement of a schedule's series was made, whatever its outcome.",
        _timestamp,
    ),
    Family("qos_measurements_total", "counter", "Measurements that arrived in time.", _measurements),
    Family("qos_late_measurements_total", "counter", "Measurements that were old when they arrived.", _late),
    Family("qos_probe_bytes_total", "counter", "Bytes that measuring used on the line, IP layer.", _bytes),
    Family(
        "qos_peer_comparisons_total",
        "counter",
        "Load tests by the result of comparing the records of agent and peer.",
        _comparisons,
    ),
    Family(
        "qos_peer_comparison_disagreement_timestamp_seconds",
        "gauge",
        "When the last load test began of which agent and peer have different records.",
        _disagreed,
    ),
    Family(
        "qos_peer_comparison_disagreement_ratio",
        "gauge",
        "Difference of their figures in that test, relative to the greater one.",
        _difference,
    ),
    Family(
        "qos_host_busy_ratio",
        "gauge",
        "How busy the agent's machine was in the busiest of the newest measurements.",
        _busy,
    ),
)
