"""Labels and samples that several kinds share."""

from collections.abc import Callable

from collector.kinds.kind import Gauge, Samples
from collector.model.observation import Observation
from wire.records import CapacityValues, FloorValues, LatencyUnderLoad, Spread


def direction_of(seen: Observation) -> str:
    """Label of a series' direction, empty where it has none."""
    return f',direction="{seen.series.direction or ""}"'


def dscp_label(seen: Observation) -> str:
    """Label of a series' class, empty where it has none."""
    return f',dscp="{"" if seen.series.dscp is None else seen.series.dscp}"'


def stats(labels: str, spread: Spread | None) -> Samples:
    """Four figures of a spread, in seconds."""
    if spread is not None:
        yield f'{labels},stat="min"', spread.min_us / 1e6
        yield f'{labels},stat="p50"', spread.p50_us / 1e6
        yield f'{labels},stat="p95"', spread.p95_us / 1e6
        yield f'{labels},stat="p99"', spread.p99_us / 1e6


def _middle_and_high(labels: str, spread: Spread | None) -> Samples:
    """Of a train as short as a load test, the 99th percentile is its one worst packet."""
    if spread is not None:
        yield f'{labels},stat="p50"', spread.p50_us / 1e6
        yield f'{labels},stat="p95"', spread.p95_us / 1e6


def _loss(labels: str, ratio: float | None) -> Samples:
    if ratio is not None:
        yield labels, ratio


Loading = FloorValues | CapacityValues


def _of_load(
    samples: Callable[[str, LatencyUnderLoad], Samples],
) -> Callable[[Observation, Loading], Samples]:
    def of(seen: Observation, values: Loading) -> Samples:
        if values.under_load is None:
            return ()
        return samples(f'{direction_of(seen)},load="{seen.series.probe}"', values.under_load)

    return of


UNDER_LOAD: tuple[Gauge[Loading], ...] = (
    Gauge(
        "qos_rtt_under_load_seconds",
        "Round-trip time while a load test ran.",
        _of_load(lambda labels, found: _middle_and_high(labels, found.loaded)),
    ),
    Gauge(
        "qos_rtt_before_load_seconds",
        "Round-trip time just before it, idle.",
        _of_load(lambda labels, found: _middle_and_high(labels, found.idle)),
    ),
    Gauge(
        "qos_loss_under_load_ratio",
        "Loss of the train under load, both ways.",
        _of_load(lambda labels, found: _loss(labels, found.loss_ratio)),
    ),
)
"""Latency during a load test, of every kind that loads the line."""
