"""History of a month: outages of every site and the incidents that they belong to. Pure.

The contract manager reads it. The ledger's reader is below it, the page above it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector.incidents.correlation import Incident, SiteCounts, SiteOutage, SitePlace, correlate
from collector.incidents.site_outages import reported
from collector.model.outages import OPERATOR_CAUSES, Outage
from wire.records import Cause

MONTH_US = 31 * 86_400_000_000
NOT_THE_LINES_CAUSES = OPERATOR_CAUSES | {Cause.PEER, Cause.AGENT, Cause.DNS}
# Time of the first success after an outage without a reported end, by site and name of the outage.
HealthyAgain = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class HistoryOutage:
    """One outage of a site, and its incident if it has one.

    ``ended_by_us`` bounds the end of an outage whose end was not reported: the site had measured well by
    then.
    """

    outage: Outage
    ended_by_us: int | None
    incident: Incident | None

    @property
    def lasts(self) -> bool:
        """True if neither a report nor a later success shows an end."""
        return self.outage.end_us is None and self.ended_by_us is None

    @property
    def is_of_site_or_line(self) -> bool:
        """True if site or line are to blame, as far as is known."""
        return self.outage.cause not in NOT_THE_LINES_CAUSES


@dataclass(frozen=True, slots=True)
class OutageHistory:
    """Incidents and every site's outages, the newest first.

    ``complete_since`` has the sites with more reports than are read, and the time from which all are here.
    """

    incidents: tuple[Incident, ...] = ()
    sites: Mapping[str, tuple[HistoryOutage, ...]] = field(default_factory=dict)
    complete_since: Mapping[str, int] = field(default_factory=dict)


def outage_history(
    outages: Sequence[Outage], healthy: HealthyAgain, places: Mapping[str, SitePlace], counts: SiteCounts
) -> OutageHistory:
    """Build the history of these outages; a site without a place is in no incident."""
    # Without its resolver a site is reachable, and in no incident.
    placed = (each for each in outages if each.site in places and each.cause is not Cause.DNS)
    found = correlate((_site_outage(each, healthy, places) for each in placed), counts)
    incident_of = {(each.site, each.outage): incident for incident in found for each in incident.outages}
    by_site: dict[str, list[HistoryOutage]] = defaultdict(list)
    for outage in sorted(outages, key=lambda each: (each.begin_us, each.name), reverse=True):
        key = outage.site, outage.name
        entry = HistoryOutage(outage, _ended_by_us(outage, healthy), incident_of.get(key))
        by_site[outage.site].append(entry)
    newest_first = tuple(sorted(found, key=lambda incident: incident.begin_us, reverse=True))
    return OutageHistory(newest_first, {site: tuple(entries) for site, entries in by_site.items()})


def _ended_by_us(outage: Outage, healthy: HealthyAgain) -> int | None:
    if outage.end_us is not None:
        return None
    if outage.cause is Cause.DNS:
        return None
    # The report of an outage on the operator's side came through that side, so it was over by then.
    return outage.received_us if outage.cause in OPERATOR_CAUSES else healthy.get((outage.site, outage.name))


def _site_outage(outage: Outage, healthy: HealthyAgain, places: Mapping[str, SitePlace]) -> SiteOutage:
    end_us = outage.end_us if outage.end_us is not None else _ended_by_us(outage, healthy)
    return reported(outage, places[outage.site], end_us, MONTH_US)
