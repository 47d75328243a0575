"""Metric families of outages as the site's agent reports them."""

from collector.incidents.site_outages import open_outage
from collector.kinds.kind import Samples
from collector.live.site_state import LiveSite
from collector.metrics.families.family import Family


def _begin(site: LiveSite, _now_us: int) -> Samples:
    outage = open_outage(site)
    if outage is not None:
        yield f',cause="{outage.cause}"', outage.begin_us / 1e6


FAMILIES: tuple[Family, ...] = (
    Family(
        "qos_outage_begin_timestamp_seconds",
        "gauge",
        "Begin of the site's open outage, as its agent reported it; absent without one.",
        _begin,
    ),
)
