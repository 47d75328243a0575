"""Metric families of incidents: how many sites each keeps away, since when, and which."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from collector.incidents.correlation import FEWEST_SITES, Incident, Level
from collector.metrics.families.family import escape


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


def render(lasting: Sequence[Incident], member: Mapping[str, Incident], labels: Mapping[str, str]) -> bytes:
    """Samples of the incidents that last; ``labels`` are those of the sites in ``member``.

    Two incidents of one place may last at once: their samples are one, or the scrape would fail.
    """
    return "".join(_lines(lasting, member, labels)).encode()


def _lines(
    lasting: Sequence[Incident], member: Mapping[str, Incident], labels: Mapping[str, str]
) -> Iterator[str]:
    by_place: dict[str, list[Incident]] = {}
    for event in lasting:
        by_place.setdefault(_labels(event), []).append(event)
    yield from _head(SITES, by_place)
    for place, events in by_place.items():
        yield f"{SITES.name}{{{place}}} {len(frozenset().union(*(event.open_sites for event in events)))}\n"
    yield from _head(BEGIN, by_place)
    for place, events in by_place.items():
        first = min(events, key=lambda event: event.begin_us)
        yield f'{BEGIN.name}{{{place},cause="{first.cause}"}} {first.begin_us / 1e6!r}\n'
    members = {site_id: event.level for site_id, event in member.items() if _held_back(event)}
    yield from _head(MEMBER, members)
    for site_id, level in members.items():
        if site_id in labels:
            yield f'{MEMBER.name}{{{labels[site_id]},level="{level}"}} 1\n'


def _held_back(event: Incident) -> bool:
    """Whether its sites have no alerts of their own: the last one or two that stay away have.

    All of the fleet would be as many lines as sites, to say what one line says.
    """
    return event.level is not Level.FLEET and len(event.open_sites) >= FEWEST_SITES


def _head(family: EventFamily, samples: Collection[object]) -> Iterator[str]:
    if samples:
        yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n"


def _labels(event: Incident) -> str:
    """The level, and the name under the label that sites have for it, so that alerts of the two can meet."""
    if event.level is Level.FLEET:
        return f'level="{event.level}"'
    return f'level="{event.level}",{event.level}="{escape(event.place)}"'
