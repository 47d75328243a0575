"""The events upstream that are shown: what each site contributes, and what was last made of it.

Sites are taken in one by one as they are rendered; :meth:`CurrentIncidents.snapshot` is what
:func:`collector.incidents.correlation.correlate` makes events of, elsewhere, which
:meth:`CurrentIncidents.show` shows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from collector.incidents.absences import absences, is_watched, place_of
from collector.incidents.correlation import Incident, SiteCounts, SiteOutage, SitePlace
from collector.live.site_state import LiveSite, SiteState

SHOWN_US = 3_600_000_000  # how long an event that is over is still told of


Render = Callable[[Sequence[Incident], Mapping[str, Incident], Mapping[str, str]], bytes]
"""Metrics of the incidents that last, of the incident of each site, and of each site's labels."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """How a site counts in the census, and the labels of its lines."""

    place: SitePlace
    watched: bool
    labels: str


@dataclass(frozen=True, slots=True)
class RenderedIncidents:
    """Events, by site the one that keeps it away, and their metrics."""

    events: list[Incident]
    member: dict[str, Incident]
    text: bytes


class CurrentIncidents:
    """What is away, and the events of it. Times are Unix microseconds."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._absences: dict[str, tuple[SiteOutage, ...]] = {}
        self._counted: dict[str, _Counted] = {}
        self._census = SiteCounts()
        self._changed = False
        self._shown = RenderedIncidents([], {}, b"")

    def update(self, site: LiveSite, state: SiteState, labels: str, now_us: int) -> None:
        """Take in what is known of a site now."""
        place = place_of(site, now_us)
        found = absences(site, state, place, now_us)
        if found != self._absences.get(site.site_id, ()):
            self._changed = True
            self._absences[site.site_id] = found
        if not found:
            self._absences.pop(site.site_id, None)
        missed = site.inventory is not None and site.newest_us is not None
        self._count(site.site_id, _Counted(place, is_watched(site), labels) if missed else None)

    def drop(self, site_ids: Iterable[str]) -> None:
        """Know nothing more of these sites."""
        for site_id in site_ids:
            self._changed |= self._absences.pop(site_id, None) is not None
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
        census, place = self._census, counted.place
        census.sites += one
        census.watched += one * counted.watched
        for counts, name in (
            (census.pops, place.pop),
            (census.departements, place.departement),
            (census.peers, place.peer),
        ):
            counts[name] += one
            if not counts[name]:
                del counts[name]  # names of peers come from outside: those of yesterday are not kept

    def snapshot(self) -> tuple[list[SiteOutage], SiteCounts] | None:
        """What to make events of, or None where nothing has changed since it was asked for last."""
        if not self._changed:
            return None
        self._changed = False
        return [each for found in self._absences.values() for each in found], self.census()

    def census(self) -> SiteCounts:
        """How many sites there are to be away, as it is now."""
        census = self._census
        return replace(
            census,
            pops=census.pops.copy(),
            departements=census.departements.copy(),
            peers=census.peers.copy(),
        )

    def places(self) -> dict[str, SitePlace]:
        """Where every site is that was heard of."""
        return {site_id: counted.place for site_id, counted in self._counted.items()}

    def arrange(self, found: Sequence[Incident]) -> RenderedIncidents:
        """These events as they are shown. It is as long as they have sites, and may go on in a thread."""
        lasting = [event for event in found if event.end_us is None]
        member = {site_id: event for event in reversed(lasting) for site_id in event.away}
        labels = {site: counted.labels for site in member if (counted := self._counted.get(site))}
        return RenderedIncidents(list(found), member, self._render(lasting, member, labels))

    def show(self, arranged: RenderedIncidents) -> None:
        """Show these events from now on."""
        self._shown = arranged

    @property
    def events(self) -> list[Incident]:
        """The events of the last day."""
        return self._shown.events

    def told(self, now_us: int) -> list[Incident]:
        """The events that last, and those that ended within the last hour."""
        return [event for event in self.events if now_us - (event.end_us or now_us) < SHOWN_US]

    def event_of(self, site_id: str) -> Incident | None:
        """The event that keeps the site away at present, or None."""
        return self._shown.member.get(site_id)

    def pieces(self) -> Iterator[bytes]:
        """The events' metrics, in pieces of a page."""
        if self._shown.text:
            yield self._shown.text
