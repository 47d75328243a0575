"""The outages of a month and the events they were part of, as the contract manager reads them.

Pure; the ledger's reader and the page are its shells.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from collector.incidents.correlation import Incident, SiteCounts, SiteOutage, SitePlace, correlate
from collector.model.outages import OPERATOR_CAUSES, Outage
from wire.records import Cause

MONTH_US = 31 * 86_400_000_000
NOT_THE_LINES = OPERATOR_CAUSES | {Cause.PEER, Cause.AGENT}
Healthy = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class HistoryOutage:
    """One outage of a site. ``over_by_us``: where no end was told, when the site measured well again."""

    outage: Outage
    over_by_us: int | None
    event: Incident | None

    @property
    def lasts(self) -> bool:
        """Whether nothing says that it is over."""
        return self.outage.end_us is None and self.over_by_us is None

    @property
    def lines(self) -> bool:
        """Whether the site or its line has to answer for it, as far as is known."""
        return self.outage.cause not in NOT_THE_LINES


@dataclass(frozen=True, slots=True)
class OutageHistory:
    """Every event, the newest first, and every site's outages, the newest first.

    ``partly``: of sites that told more than is read, since when all of it is.
    """

    events: tuple[Incident, ...] = ()
    sites: Mapping[str, tuple[HistoryOutage, ...]] = field(default_factory=dict)
    partly: Mapping[str, int] = field(default_factory=dict)


def outage_history(
    outages: Iterable[Outage], healthy: Healthy, places: Mapping[str, SitePlace], census: SiteCounts
) -> OutageHistory:
    """What happened. ``healthy`` has the outages that nobody closed; a site without place is in no event."""
    told = list(outages)
    found = correlate((_absence(each, healthy, places) for each in told if each.site in places), census)
    part_of = {(each.site, each.outage): event for event in found for each in event.absences}
    by_site: dict[str, list[HistoryOutage]] = defaultdict(list)
    for outage in sorted(told, key=lambda each: (each.begin_us, each.name), reverse=True):
        key = outage.site, outage.name
        by_site[outage.site].append(HistoryOutage(outage, _over_by_us(outage, healthy), part_of.get(key)))
    newest_first = tuple(sorted(found, key=lambda event: event.begin_us, reverse=True))
    return OutageHistory(newest_first, {site: tuple(entries) for site, entries in by_site.items()})


def _over_by_us(outage: Outage, healthy: Healthy) -> int | None:
    """What was told of our side has come through it since."""
    if outage.end_us is not None:
        return None
    return outage.received_us if outage.cause in OPERATOR_CAUSES else healthy.get((outage.site, outage.name))


def _absence(outage: Outage, healthy: Healthy, places: Mapping[str, SitePlace]) -> SiteOutage:
    place = places[outage.site]
    return SiteOutage(
        site=outage.site,
        place=SitePlace(place.departement, place.pop, outage.peer),
        begin_us=outage.begin_us,
        slack_us=-outage.begin_error_us if outage.dated else -MONTH_US,
        end_us=outage.end_us if outage.end_us is not None else _over_by_us(outage, healthy),
        cause=outage.cause,
        outage=outage.name,
    )
