"""Incidents of the present: the outages of all live sites, and the incidents last made of them. Pure.

The work is cut in three, because grouping 60,000 sites takes too long for the event loop. ``update`` and
``drop`` follow the live sites, one by one. ``snapshot`` copies the outages for
:func:`collector.incidents.correlation.correlate`, which with ``render`` may run in a thread. ``show`` puts
the result in place.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from collector.incidents.correlation import Incident, SiteCounts, SiteOutage, SitePlace
from collector.incidents.site_outages import is_datable, place_of, site_outages
from collector.live.site_state import LiveSite, SiteState

SHOWN_US = 3_600_000_000  # an incident that has ended is shown for an hour


# Renders metrics: of the incidents that last, of the incident of each site, with each site's labels.
Render = Callable[[Sequence[Incident], Mapping[str, Incident], Mapping[str, str]], bytes]


@dataclass(frozen=True, slots=True)
class _Counted:
    """Contribution of one site to the counts, and the labels of its metrics."""

    place: SitePlace
    datable: bool
    labels: str


@dataclass(frozen=True, slots=True)
class RenderedIncidents:
    """Incidents, the one that keeps each site down, and their metrics as text."""

    incidents: list[Incident]
    by_site: dict[str, Incident]
    text: bytes


class CurrentIncidents:
    """Outages of all sites, counts of sites, and the incidents shown. Times are Unix microseconds."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._outages: dict[str, tuple[SiteOutage, ...]] = {}
        self._counted: dict[str, _Counted] = {}
        self._counts = SiteCounts()
        self._changed = False
        self._shown = RenderedIncidents([], {}, b"")

    def update(self, site: LiveSite, state: SiteState, labels: str, now_us: int) -> None:
        """Replace the outages of a site by its present ones."""
        place = place_of(site, now_us)
        found = site_outages(site, state, place, now_us)
        if found != self._outages.get(site.site_id, ()):
            self._changed = True
            self._outages[site.site_id] = found
        if not found:
            self._outages.pop(site.site_id, None)
        is_expected = site.inventory is not None and site.newest_us is not None
        self._count(site.site_id, _Counted(place, is_datable(site), labels) if is_expected else None)

    def drop(self, site_ids: Iterable[str]) -> None:
        """Forget sites that are no longer known."""
        for site_id in site_ids:
            self._changed |= self._outages.pop(site_id, None) is not None
            self._count(site_id, None)

    def _count(self, site_id: str, counted: _Counted | None) -> None:
        before = self._counted.get(site_id)
        if before == counted:
            return
        self._changed = True
        if before is not None:
            self._add(before, -1)
        if counted is None:
            del self._counted[site_id]
        else:
            self._counted[site_id] = counted
            self._add(counted, 1)

    def _add(self, counted: _Counted, one: int) -> None:
        counts, place = self._counts, counted.place
        counts.sites += one
        counts.datable += one * counted.datable
        for by_name, name in (
            (counts.pops, place.pop),
            (counts.departements, place.departement),
            (counts.peers, place.peer),
        ):
            by_name[name] += one
            if not by_name[name]:
                del by_name[name]  # names of peers come from agents: those of yesterday would stay for good

    def snapshot(self) -> tuple[list[SiteOutage], SiteCounts] | None:
        """Copy the input of the correlation, or return None if nothing has changed since the last copy."""
        if not self._changed:
            return None
        self._changed = False
        return [each for found in self._outages.values() for each in found], self.counts()

    def counts(self) -> SiteCounts:
        """Copy the present counts of sites."""
        counts = self._counts
        return replace(
            counts,
            pops=counts.pops.copy(),
            departements=counts.departements.copy(),
            peers=counts.peers.copy(),
        )

    def places(self) -> dict[str, SitePlace]:
        """Places of all sites that have ever reported."""
        return {site_id: counted.place for site_id, counted in self._counted.items()}

    def render(self, found: Sequence[Incident]) -> RenderedIncidents:
        """Render incidents to be shown; may run in a thread, as it takes time for each site."""
        lasting = [incident for incident in found if incident.end_us is None]
        # Reversed: a site with outages in two incidents is shown in the first one.
        by_site = {site_id: incident for incident in reversed(lasting) for site_id in incident.open_sites}
        labels = {site: counted.labels for site in by_site if (counted := self._counted.get(site))}
        return RenderedIncidents(list(found), by_site, self._render(lasting, by_site, labels))

    def show(self, rendered: RenderedIncidents) -> None:
        """Show these incidents from now on."""
        self._shown = rendered

    @property
    def incidents(self) -> list[Incident]:
        """Incidents of the last day."""
        return self._shown.incidents

    def recent(self, now_us: int) -> list[Incident]:
        """Incidents that last, or ended within the last hour."""
        return [each for each in self.incidents if now_us - (each.end_us or now_us) < SHOWN_US]

    def incident_of(self, site_id: str) -> Incident | None:
        """Incident that keeps the site down at present, or None."""
        return self._shown.by_site.get(site_id)

    def pieces(self) -> Iterator[bytes]:
        """Metrics of the incidents, as pieces of a page."""
        if self._shown.text:
            yield self._shown.text
