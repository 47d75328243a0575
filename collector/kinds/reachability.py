"""Outages of one line. How they are put together is in :mod:`collector.model.outages`."""

from collections.abc import Iterator

from collector.kinds.kind import MeasurementKind, Total
from collector.model.observation import Observation
from collector.model.outages import outage_of
from wire.records import ReachabilityMeasurement, ReachabilityValues


def _ended(seen: Observation, _values: ReachabilityValues) -> Iterator[tuple[str, int]]:
    for cause, _ in _lasted(seen, _values):
        yield cause, 1


def _lasted(seen: Observation, _values: ReachabilityValues) -> Iterator[tuple[str, int]]:
    outage = outage_of(seen)
    if outage is not None and outage.lasted_us is not None:
        yield f',cause="{outage.cause}"', outage.lasted_us


REACHABILITY = MeasurementKind(
    record=ReachabilityMeasurement,
    values=ReachabilityValues,
    attempt=("last outage:", "dernière coupure :"),
    is_event=True,
    totals=(
        Total("qos_outages_total", "Outages whose end was reported in time.", _ended),
        Total("qos_outage_seconds_total", "How long these outages lasted.", _lasted, unit=1_000_000),
    ),
)
