"""Metric families of open incidents: number of sites, begin, and members."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from collector.incidents.correlation import FEWEST_SITES, Incident, Level
from collector.metrics.families.family import escape


@dataclass(frozen=True, slots=True)
class IncidentFamily:
    """Metric family of incidents: one sample for each open incident, or for each site of one."""

    name: str
    help: str


SITES = IncidentFamily("qos_incident_sites", "Sites of an open incident that are still down.")
BEGIN = IncidentFamily(
    "qos_incident_begin_timestamp_seconds", "When the incident began, with the cause that most agents report."
)
MEMBER = IncidentFamily("qos_site_incident", "1 for a site that is down as part of an open incident.")
INCIDENT_FAMILIES = (SITES, BEGIN, MEMBER)


def render(lasting: Sequence[Incident], member: Mapping[str, Incident], labels: Mapping[str, str]) -> bytes:
    """Samples of the open incidents; ``labels`` are those of the sites in ``member``."""
    return "".join(_lines(lasting, member, labels)).encode()


def _lines(
    lasting: Sequence[Incident], member: Mapping[str, Incident], labels: Mapping[str, str]
) -> Iterator[str]:
    # Two incidents of one place may be open at once. They share a sample, or the scrape would fail.
    by_place: dict[str, list[Incident]] = {}
    for incident in lasting:
        by_place.setdefault(_labels(incident), []).append(incident)
    yield from _head(SITES, by_place)
    for place, incidents in by_place.items():
        sites = frozenset[str]().union(*(incident.open_sites for incident in incidents))
        yield f"{SITES.name}{{{place}}} {len(sites)}\n"
    yield from _head(BEGIN, by_place)
    for place, incidents in by_place.items():
        first = min(incidents, key=lambda incident: incident.begin_us)
        yield f'{BEGIN.name}{{{place},cause="{first.cause}"}} {first.begin_us / 1e6!r}\n'
    members = {site_id: incident.level for site_id, incident in member.items() if _held_back(incident)}
    yield from _head(MEMBER, members)
    for site_id, level in members.items():
        if site_id in labels:
            yield f'{MEMBER.name}{{{labels[site_id]},level="{level}"}} 1\n'


def _held_back(incident: Incident) -> bool:
    """True if its sites have no alerts of their own; the last one or two that stay down have.

    Sites of an incident of the fleet are left out: one line says what one line a site would.
    """
    return incident.level is not Level.FLEET and len(incident.open_sites) >= FEWEST_SITES


def _head(family: IncidentFamily, samples: Collection[object]) -> Iterator[str]:
    if samples:
        yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n"


def _labels(incident: Incident) -> str:
    """The level, and the name under the label that sites have for it, so that alerts of the two can meet."""
    if incident.level is Level.FLEET:
        return f'level="{incident.level}"'
    return f'level="{incident.level}",{incident.level}="{escape(incident.place)}"'
