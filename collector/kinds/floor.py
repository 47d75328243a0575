"""Floor tests: a verdict on one direction. :mod:`collector.live` decides where a site stands by them."""

from collections.abc import Iterator

from collector.kinds.kind import UNDER_LOAD, Condition, Gauge, MeasurementKind, Samples, Total, direction_of
from collector.model.notice import Notice
from collector.model.observation import Observation
from wire.records import FloorMeasurement, FloorValues, LineCounters, Verdict

DECISIVE = (Verdict.PASS, Verdict.FAIL)


def _verdicts(seen: Observation, values: FloorValues) -> list[tuple[str, int]]:
    direction = seen.series.direction
    return [(f',direction="{direction}",verdict="{values.verdict}"', 1)] if direction else []


def _usable_counters(seen: Observation, values: FloorValues) -> Samples:
    if values.line_counters is not LineCounters.NONE:
        yield direction_of(seen), int(values.line_counters is not LineCounters.UNUSABLE)


def _notices(seen: Observation, values: FloorValues) -> Iterator[Notice]:
    if values.line_counters is LineCounters.UNUSABLE:
        yield Notice("counters-unusable", direction=seen.series.direction)


FLOOR = MeasurementKind(
    record=FloorMeasurement,
    values=FloorValues,
    attempt=("last floor test:", "dernier test du plancher :"),
    proves_line=True,
    shown_when_stale=True,
    landmarks=(
        (Condition("verdict", DECISIVE),),
        # Perhaps no standing was ever recorded: looking for one alone would read the whole series.
        (Condition("verdict", DECISIVE), Condition("standing")),
    ),
    left_out=("tests",),
    gauges=(
        Gauge(
            "qos_line_counters_usable",
            "Whether the line's counters can have counted the last floor test; absent without counters.",
            _usable_counters,
        ),
        *UNDER_LOAD,
    ),
    notices=_notices,
    sentences={
        "counters-unusable": (
            "line counters cannot have counted the floor test: run plancher-agent check at the site",
            "compteurs de la ligne inutilisables pour le test du plancher : lancer plancher-agent check",
        )
    },
    totals=(Total("qos_floor_verdicts_total", "Floor verdicts that arrived in time.", _verdicts),),
)
