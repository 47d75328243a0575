"""Searches for the maximum capacity of one direction."""

from collections.abc import Iterator

from collector.kinds.kind import UNDER_LOAD, AttemptGauge, Gauge, MeasurementKind, Samples, direction_of
from collector.model.notice import Notice
from collector.model.observation import Observation
from wire.records import CapacityMeasurement, CapacityValues, Failure


def _maximum(seen: Observation, values: CapacityValues) -> Samples:
    return ((f'{direction_of(seen)},bound="{values.bound or "line"}"', values.maximum_bps),)


def _budget(seen: Observation) -> Samples:
    spent = seen.failure is Failure.BUDGET_SPENT
    return ((f',probe="{seen.series.probe}"{direction_of(seen)}', int(spent)),)


def _notices(seen: Observation) -> Iterator[Notice]:
    if seen.failure is Failure.BUDGET_SPENT:
        yield Notice("budget-spent")


CAPACITY = MeasurementKind(
    record=CapacityMeasurement,
    values=CapacityValues,
    attempt=("last search:", "dernière recherche :"),
    proves_line=True,
    left_out=("intervals",),
    gauges=(
        Gauge(
            "qos_maximum_capacity_bits_per_second",
            "Maximum IP-layer capacity of the last search; a bound other than line: it may be more.",
            _maximum,
        ),
        *UNDER_LOAD,
        AttemptGauge(
            "qos_budget_spent", "Whether the last attempt was skipped for its byte budget.", _budget
        ),
    ),
    attempt_notices=_notices,
    sentences={
        "budget-spent": ("search skipped: byte budget spent", "recherche omise : quota d'octets épuisé")
    },
)
