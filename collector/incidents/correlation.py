"""Correlation of outages into incidents: several sites down with one cause. Pure.

Outages that share a place and began together have one cause, if there are more of them than chance explains.
Levels are tried from the operator's side outwards, so that a line is never blamed for what most sites share:

| level       | candidates                                 | enough                          |
|-------------|--------------------------------------------|---------------------------------|
| fleet       | silent; causes ``broker``, ``collector``   | half of the sites that were up  |
| fleet       | causes ``broker``, ``collector``           | more than chance explains       |
| peer        | cause ``peer``; the peer does not answer   | nine in ten of the peer's sites |
| pop         | all that is left, except ``agent-stopped`` | more than chance explains       |
| departement | the same                                   | more than chance explains       |

At each level:

1. An outage is placed in the middle of the span in which it may have begun. It is *datable* if that span is
   no longer than five minutes.
2. Datable candidates of one place form chains: each began within two minutes of the one before.
3. A chain of enough sites is an incident.
4. A candidate that is not datable joins the first incident that its span touches.
5. Members of an incident are no candidates at the next levels.

*More than chance explains* (``needed``): suppose that each site is down once a day by itself. So many others
begin within the chain's span and two minutes less than once in 10,000 times (Poisson); and never fewer than
three sites.

What must never happen: an outage is in two incidents, two sites make an incident, or the result depends on
the order of the input. Decision 24 gives the reasons of every threshold.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from collector.model.outages import OPERATOR_CAUSES
from wire.records import Cause

LINK_US = 120_000_000  # trains each minute date a silence to a minute; a cut takes its sites within another
DATABLE_US = 300_000_000
FEWEST_SITES = 3  # of a POP of two sites, both down is what either alone would be
BEGINS_A_DAY = 1.0  # of one site by itself: a line that flaps; most have one outage in a week or a month
DAY_US = 86_400_000_000
CHANCE = 1e-4  # simulated: 2 false incidents in 172,500 days of a site (decision 24)
MOST_OF_FLEET = 0.5
MOST_OF_PEER = 0.9
_CAUSES = {cause: rank for rank, cause in enumerate(Cause)}


class Level(StrEnum):
    """Place that the sites of an incident share, from the operator's side to the sites' side."""

    FLEET = "fleet"
    PEER = "peer"
    POP = "pop"
    DEPARTEMENT = "departement"


@dataclass(frozen=True, slots=True, order=True)
class SitePlace:
    """POP, département and measurement peer of a site; "" where unknown."""

    departement: str = ""
    pop: str = ""
    peer: str = ""


@dataclass(frozen=True, slots=True)
class SiteOutage:
    """Outage of one site: reported by its agent (``cause``), or seen as silence (None). Unix microseconds.

    It began up to ``slack_us`` after ``begin_us``; where that is negative, before it. ``unanswered`` is true
    if the peer does not answer the site and its measurements still arrive.
    """

    site: str
    place: SitePlace
    begin_us: int
    slack_us: int
    end_us: int | None = None
    cause: Cause | None = None
    outage: str = ""
    unanswered: bool = False

    @property
    def middle_us(self) -> int:
        """Middle of the span in which it may have begun."""
        return self.begin_us + self.slack_us // 2

    @property
    def datable(self) -> bool:
        """True if its beginning is known well enough to found an incident."""
        return abs(self.slack_us) <= DATABLE_US

    def sort_key(self) -> tuple[int, str, str, int]:
        """Key for a stable order by time."""
        return self.middle_us, self.site, self.outage, self.begin_us


@dataclass(frozen=True)
class Incident:
    """Outages with one cause. ``place`` is the name of the POP, département or peer; "" for the fleet.

    Its properties are computed once: every line of the overview asks for them.
    """

    level: Level
    place: str
    cause: Cause
    outages: tuple[SiteOutage, ...]

    @cached_property
    def begin_us(self) -> int:
        """Earliest begin that an agent reported, else the earliest time of a last measurement."""
        reported = [each.begin_us for each in self.outages if each.cause is not None and each.datable]
        return min(reported or [each.begin_us for each in self.outages if each.datable])

    @cached_property
    def end_us(self) -> int | None:
        """End of the last outage, or None while one lasts."""
        ends = [each.end_us for each in self.outages]
        known = [end_us for end_us in ends if end_us is not None]
        return max(known) if len(known) == len(ends) else None

    @cached_property
    def sites(self) -> frozenset[str]:
        """Ids of all its sites."""
        return frozenset(each.site for each in self.outages)

    @cached_property
    def open_sites(self) -> frozenset[str]:
        """Ids of its sites whose outage lasts."""
        return frozenset(each.site for each in self.outages if each.end_us is None)


@dataclass(slots=True)
class SiteCounts:
    """Numbers of sites that have ever reported: of all, and of each place.

    ``datable`` counts sites that measure often enough to date their silence. ``peers`` counts sites by the
    peer that they measure against now.
    """

    datable: int = 0
    sites: int = 0
    pops: Counter[str] = field(default_factory=Counter)
    departements: Counter[str] = field(default_factory=Counter)
    peers: Counter[str] = field(default_factory=Counter)


def correlate(outages: Iterable[SiteOutage], counts: SiteCounts) -> list[Incident]:
    """Group outages into incidents: those that last first, then by their beginning."""
    grouping = _Grouping(set(outages), counts)
    for level, is_candidate, is_enough in _RULES:
        grouping.take(level, is_candidate, is_enough)
    return sorted(grouping.found, key=_sort_key)


def needed(sites: int, span_us: int) -> int:
    """Number of ``sites`` that must go down within ``span_us`` to be more than chance; 3 at least."""
    mean = max(0, sites - 1) * BEGINS_A_DAY * (span_us + LINK_US) / DAY_US
    if mean > 500:  # exp(-mean) would underflow, and the sum is a normal distribution's by then
        # Four standard deviations leave less than CHANCE.
        return math.ceil(mean + 4 * math.sqrt(mean)) + 1
    others, term = 0, math.exp(-mean)
    tail = 1.0 - term
    while others + 1 < FEWEST_SITES - 1 or tail >= CHANCE:
        others += 1
        term *= mean / others
        tail -= term
    return others + 2


def _is_operators(each: SiteOutage) -> bool:
    return each.cause in OPERATOR_CAUSES


def _is_operators_or_silent(each: SiteOutage) -> bool:
    return each.cause is None or each.cause in OPERATOR_CAUSES


def _is_peers(each: SiteOutage) -> bool:
    return each.cause is Cause.PEER


def _is_beyond_sites(each: SiteOutage) -> bool:
    """True if a failure of POP or backhaul can look like this; an agent that stopped was stopped."""
    return not _is_operators(each) and each.cause is not Cause.AGENT and not each.unanswered


def _count(found: Iterable[SiteOutage]) -> int:
    return len({each.site for each in found})


def _share(found: Sequence[SiteOutage], sites: int) -> float:
    count = _count(found)
    return count / max(sites, count) if count >= FEWEST_SITES else 0.0


class _Grouping:
    """Outages that are in no incident yet, and the incidents found so far."""

    def __init__(self, outages: set[SiteOutage], counts: SiteCounts) -> None:
        self.left = sorted(outages, key=SiteOutage.sort_key)
        self.found: list[Incident] = []
        self._counts = counts

    def take(self, level: Level, is_candidate: "IsCandidate", is_enough: "IsEnough") -> None:
        """Find the incidents of one level, and take their outages out of what is left."""
        by_place: dict[str, list[SiteOutage]] = defaultdict(list)
        for each in self.left:
            name = _name(level, each.place)
            if name is not None and is_candidate(each):
                by_place[name].append(each)
        taken: set[SiteOutage] = set()
        for name, outages in sorted(by_place.items()):
            founders = [chain for chain in _chains(outages) if is_enough(self, level, name, chain)]
            for members in _with_undatable(founders, [each for each in outages if not each.datable]):
                self.found.append(Incident(level, name, _cause(level, members), tuple(members)))
                taken.update(members)
        self.left = [each for each in self.left if each not in taken]

    def is_beyond_chance(self, level: Level, name: str, found: Sequence[SiteOutage]) -> bool:
        """True if so many of the place's sites do not go down together by chance."""
        sites = {
            Level.FLEET: self._counts.sites,
            Level.PEER: self._counts.peers[name],
            Level.POP: self._counts.pops[name],
            Level.DEPARTEMENT: self._counts.departements[name],
        }[level]
        return _count(found) >= needed(sites, found[-1].middle_us - found[0].middle_us)

    def is_most_of_peer(self, _level: Level, name: str, found: Sequence[SiteOutage]) -> bool:
        """True if the peer answers next to no site; a peer that answers some is up."""
        return _share(found, self._counts.peers[name]) >= MOST_OF_PEER

    def is_most_of_fleet(self, _level: Level, _name: str, found: Sequence[SiteOutage]) -> bool:
        """True for most of the sites that were up; those silent before have a reason of their own."""
        begin_us = found[0].middle_us
        before = _count(
            each
            for each in self.left
            if each.cause is None and each.end_us is None and each.datable and each.middle_us < begin_us
        )
        return _share(found, self._counts.datable - before) >= MOST_OF_FLEET


IsCandidate = Callable[[SiteOutage], bool]
IsEnough = Callable[[_Grouping, Level, str, Sequence[SiteOutage]], bool]
_RULES: tuple[tuple[Level, IsCandidate, IsEnough], ...] = (
    (Level.FLEET, _is_operators_or_silent, _Grouping.is_most_of_fleet),
    (Level.FLEET, _is_operators, _Grouping.is_beyond_chance),
    (Level.PEER, _is_peers, _Grouping.is_most_of_peer),
    (Level.POP, _is_beyond_sites, _Grouping.is_beyond_chance),
    (Level.DEPARTEMENT, _is_beyond_sites, _Grouping.is_beyond_chance),
)


def _name(level: Level, place: SitePlace) -> str | None:
    """Name of the place at this level, or None where it is unknown."""
    known = {Level.PEER: place.peer, Level.POP: place.pop, Level.DEPARTEMENT: place.departement}
    return "" if level is Level.FLEET else known[level] or None


def _chains(outages: Iterable[SiteOutage]) -> Iterator[list[SiteOutage]]:
    """Datable outages, cut wherever more than two minutes lie between two of them."""
    chain: list[SiteOutage] = []
    for each in outages:
        if not each.datable:
            continue
        if chain and each.middle_us - chain[-1].middle_us > LINK_US:
            yield chain
            chain = []
        chain.append(each)
    if chain:
        yield chain


def _with_undatable(founders: list[list[SiteOutage]], undatable: list[SiteOutage]) -> list[list[SiteOutage]]:
    """Chains with the outages that may have begun with them; of several chains, the first one."""
    groups = [list(chain) for chain in founders]
    for each in undatable:
        ends = sorted((each.begin_us, each.begin_us + each.slack_us))
        for chain, group in zip(founders, groups, strict=True):
            if ends[0] - LINK_US <= chain[-1].middle_us and chain[0].middle_us <= ends[1] + LINK_US:
                group.append(each)
                break
    return groups


def _cause(level: Level, members: Iterable[SiteOutage]) -> Cause:
    """Cause that most agents report; without any report, the broker for the fleet, else unknown."""
    reported = Counter(each.cause for each in members if each.cause is not None)
    if not reported:
        return Cause.BROKER if level is Level.FLEET else Cause.UNKNOWN
    # Ties go to the cause listed first: the result must not depend on the order of the input.
    return max(reported, key=lambda cause: (reported[cause], -_CAUSES[cause]))


def _sort_key(incident: Incident) -> tuple[bool, int, str, str]:
    return incident.end_us is not None, incident.begin_us, incident.level, incident.place
