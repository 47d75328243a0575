"""Floor tests: a verdict on one direction. :mod:`collector.live` decides where a site stands by them."""

from collector.kinds.kind import UNDER_LOAD, Condition, MeasurementKind, Total
from collector.model.observation import Observation
from wire.records import FloorMeasurement, FloorValues, Verdict

DECISIVE = (Verdict.PASS, Verdict.FAIL)


def _verdicts(seen: Observation, values: FloorValues) -> list[tuple[str, int]]:
    direction = seen.series.direction
    return [(f',direction="{direction}",verdict="{values.verdict}"', 1)] if direction else []


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
    gauges=UNDER_LOAD,
    totals=(Total("qos_floor_verdicts_total", "Floor verdicts that arrived in time.", _verdicts),),
)
