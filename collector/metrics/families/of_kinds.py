"""Families that the kinds of measurement declare: gauges of what they last found, and counters."""

from collections.abc import Callable
from typing import Any

from collector.kinds import KINDS
from collector.kinds.kind import AttemptGauge, Gauge, MeasurementKind, Samples, Total
from collector.kinds.views import is_fresh
from collector.live.site_state import LiveSite, current
from collector.metrics.families.family import Family

_FromSite = Callable[[LiveSite, int], Samples]


def _of_values(gauge: Gauge[Any], kinds: list[MeasurementKind[Any]]) -> _FromSite:
    def samples(site: LiveSite, now_us: int) -> Samples:
        for kind in kinds:
            for seen, values in current(site, kind.values, now_us):
                yield from gauge.samples(seen, values)

    return samples


def _of_attempts(gauge: AttemptGauge, kinds: list[MeasurementKind[Any]]) -> _FromSite:
    names = {kind.name for kind in kinds}

    def samples(site: LiveSite, now_us: int) -> Samples:
        for series, found in site.series.items():
            if series.probe in names and is_fresh(found.newest, now_us):
                yield from gauge.samples(found.newest)

    return samples


def _of_total(total: Total[Any]) -> _FromSite:
    def samples(site: LiveSite, _now_us: int) -> Samples:
        for labels, count in sorted(site.counters.totals.get(total.name, {}).items()):
            yield labels, count if total.unit == 1 else count / total.unit

    return samples


def _families() -> list[Family]:
    """Each once, in the order of the kinds: what several declare alike is one family."""
    gauges: dict[Gauge[Any] | AttemptGauge, list[MeasurementKind[Any]]] = {}
    for kind in KINDS:
        for gauge in kind.gauges:
            gauges.setdefault(gauge, []).append(kind)
    return [
        *(
            Family(
                gauge.name,
                "gauge",
                gauge.help,
                _of_values(gauge, kinds) if isinstance(gauge, Gauge) else _of_attempts(gauge, kinds),
            )
            for gauge, kinds in gauges.items()
        ),
        *(
            Family(total.name, "counter", total.help, _of_total(total))
            for kind in KINDS
            for total in kind.totals
        ),
    ]


FAMILIES: tuple[Family, ...] = tuple(_families())
