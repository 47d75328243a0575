"""The events upstream that are shown: what each site contributes, and what was last made of it.

Sites are taken in one by one as they are rendered; :meth:`EventView.snapshot` is what
:func:`collector.upstream.events` makes events of, elsewhere, which :meth:`EventView.show` shows.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from collector.absences import absences, is_watched, place_of
from collector.families.family import escape
from collector.live import SiteState, State
from collector.upstream import FEWEST_SITES, Absence, Census, Event, Level, Place

SHOWN_US = 3_600_000_000  # how long an event that is over is still told of


@dataclass(frozen=True, slots=True)
class _Counted:
    """How a site counts in the census, and the labels of its lines."""

    place: Place
    watched: bool
    labels: str


@dataclass(frozen=True, slots=True)
class Arranged:
    """Events, by site the one that keeps it away, and their metrics."""

    events: list[Event]
    member: dict[str, Event]
    text: bytes


@dataclass(frozen=True, slots=True)
class EventFamily:
    """A metric family of events: one sample for each that lasts, or for each site of it."""

    name: str
    help: str


SITES = EventFamily(
    "qos_upstream_event_sites", "Sites that one event upstream of them keeps away at present."
)
BEGIN = EventFamily(
    "qos_upstream_event_begin_timestamp_seconds",
    "When the event began, and what most agents say of its cause.",
)
MEMBER = EventFamily(
    "qos_site_upstream_event", "1 for a site that is away with others, for one cause that is not at the site."
)
EVENT_FAMILIES = (SITES, BEGIN, MEMBER)


class EventView:
    """What is away, and the events of it. Times are Unix microseconds."""

    def __init__(self) -> None:
        self._absences: dict[str, tuple[Absence, ...]] = {}
        self._counted: dict[str, _Counted] = {}
        self._census = Census()
        self._changed = False
        self._shown = Arranged([], {}, b"")

    def update(self, site: SiteState, state: State, labels: str, now_us: int) -> None:
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

    def snapshot(self) -> tuple[list[Absence], Census] | None:
        """What to make events of, or None where nothing has changed since it was asked for last."""
        if not self._changed:
            return None
        self._changed = False
        return [each for found in self._absences.values() for each in found], self.census()

    def census(self) -> Census:
        """How many sites there are to be away, as it is now."""
        census = self._census
        return replace(
            census,
            pops=census.pops.copy(),
            departements=census.departements.copy(),
            peers=census.peers.copy(),
        )

    def places(self) -> dict[str, Place]:
        """Where every site is that was heard of."""
        return {site_id: counted.place for site_id, counted in self._counted.items()}

    def arrange(self, found: Sequence[Event]) -> Arranged:
        """These events as they are shown. It is as long as they have sites, and may go on in a thread."""
        lasting = [event for event in found if event.end_us is None]
        member = {site_id: event for event in reversed(lasting) for site_id in event.away}
        text = "".join(self._lines(lasting, member)).encode()
        return Arranged(list(found), member, text)

    def show(self, arranged: Arranged) -> None:
        """Show these events from now on."""
        self._shown = arranged

    @property
    def events(self) -> list[Event]:
        """The events of the last day."""
        return self._shown.events

    def told(self, now_us: int) -> list[Event]:
        """The events that last, and those that ended within the last hour."""
        return [event for event in self.events if now_us - (event.end_us or now_us) < SHOWN_US]

    def event_of(self, site_id: str) -> Event | None:
        """The event that keeps the site away at present, or None."""
        return self._shown.member.get(site_id)

    def pieces(self) -> Iterator[bytes]:
        """The events' metrics, in pieces of a page."""
        if self._shown.text:
            yield self._shown.text

    def _lines(self, lasting: Sequence[Event], member: dict[str, Event]) -> Iterator[str]:
        """Two events of one place may last at once: their samples are one, or the scrape would fail."""
        by_place: dict[str, list[Event]] = {}
        for event in lasting:
            by_place.setdefault(_labels(event), []).append(event)
        yield from _head(SITES, by_place)
        for labels, events in by_place.items():
            yield f"{SITES.name}{{{labels}}} {len(frozenset().union(*(event.away for event in events)))}\n"
        yield from _head(BEGIN, by_place)
        for labels, events in by_place.items():
            first = min(events, key=lambda event: event.begin_us)
            yield f'{BEGIN.name}{{{labels},cause="{first.cause}"}} {first.begin_us / 1e6!r}\n'
        members = {site_id: event.level for site_id, event in member.items() if _held_back(event)}
        yield from _head(MEMBER, members)
        for site_id, level in members.items():
            counted = self._counted.get(site_id)
            if counted is not None:
                yield f'{MEMBER.name}{{{counted.labels},level="{level}"}} 1\n'


def _held_back(event: Event) -> bool:
    """Whether its sites have no alerts of their own: the last one or two that stay away have.

    All of the fleet would be as many lines as sites, to say what one line says.
    """
    return event.level is not Level.FLEET and len(event.away) >= FEWEST_SITES


def _head(family: EventFamily, samples: Collection[object]) -> Iterator[str]:
    if samples:
        yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n"


def _labels(event: Event) -> str:
    """The level, and the name under the label that sites have for it, so that alerts of the two can meet."""
    if event.level is Level.FLEET:
        return f'level="{event.level}"'
    return f'level="{event.level}",{event.level}="{escape(event.place)}"'
