"""Outages as the site's agent tells them."""

from collector.incidents.absences import open_outage
from collector.live.site_state import LiveSite
from collector.metrics.families.family import Family, Samples


def _begin(site: LiveSite, _now_us: int) -> Samples:
    outage = open_outage(site)
    if outage is not None:
        yield f',cause="{outage.cause}"', outage.begin_us / 1e6


def _outages(site: LiveSite, _now_us: int) -> Samples:
    return ((f',cause="{cause}"', count) for cause, count in sorted(site.outages.counted.items()))


def _seconds(site: LiveSite, _now_us: int) -> Samples:
    return (
        (f',cause="{cause}"', lasted_us / 1e6) for cause, lasted_us in sorted(site.outages.lasted_us.items())
    )


FAMILIES: tuple[Family, ...] = (
    Family(
        "qos_outage_begin_timestamp_seconds",
        "gauge",
        "When the outage began that the site is in, as its agent tells; absent while it is in none.",
        _begin,
    ),
    Family("qos_outages_total", "counter", "Outages whose end was told in time.", _outages),
    Family("qos_outage_seconds_total", "counter", "How long these outages lasted.", _seconds),
)
