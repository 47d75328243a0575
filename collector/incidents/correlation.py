"""One event upstream of many sites, out of outages and silences that share a place and began together.

Pure: what is away in, correlate out, the same in whatever order it is told. What an event takes is part of no
other. First comes what is ours (the broker, the collector), then the peer, the POP, the département: the
nearer to us a common cause is, the less the sites' lines have to do with it. Decision 24 has the reasons of
every threshold.
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
DATABLE_US = 300_000_000  # what is dated worse founds no event, and may be part of one
FEWEST_SITES = 3
BEGINS_A_DAY = 1.0  # of a site by itself: a line that flaps; most have one in a week or a month
DAY_US = 86_400_000_000
CHANCE = 1e-4  # of so many beginning together by chance, for each that begins
MOST_OF_FLEET = 0.5
MOST_OF_PEER = 0.9
_CAUSES = {cause: place for place, cause in enumerate(Cause)}


class Level(StrEnum):
    """How far upstream, from our side to the site's."""

    FLEET = "fleet"
    PEER = "peer"
    POP = "pop"
    DEPARTEMENT = "departement"


@dataclass(frozen=True, slots=True, order=True)
class SitePlace:
    """What a site shares with others; "" where that is not known."""

    departement: str = ""
    pop: str = ""
    peer: str = ""


@dataclass(frozen=True, slots=True)
class SiteOutage:
    """A site that is, or was, away: as its agent told (``cause``), or silent (None). Unix microseconds.

    It began up to ``slack_us`` after ``begin_us`` or, where that is negative, before it. ``unanswered``: the
    peer does not answer, and the line carries the news of it.
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
        """When it began, most likely."""
        return self.begin_us + self.slack_us // 2

    @property
    def datable(self) -> bool:
        """Whether it can be said what else began with it."""
        return abs(self.slack_us) <= DATABLE_US

    def sort_key(self) -> tuple[int, str, str, int]:
        """In order of time, and always the same."""
        return self.middle_us, self.site, self.outage, self.begin_us


@dataclass(frozen=True)
class Incident:
    """Absences with one cause upstream. ``place`` is the POP's, département's or peer's name, "" for ours.

    What it tells is worked out once: of a whole fleet, every line of the overview asks for it.
    """

    level: Level
    place: str
    cause: Cause
    absences: tuple[SiteOutage, ...]

    @cached_property
    def begin_us(self) -> int:
        """When the first site went, as agents tell; where none has, when one was heard for the last time."""
        told = [each.begin_us for each in self.absences if each.cause is not None and each.datable]
        return min(told or [each.begin_us for each in self.absences if each.datable])

    @cached_property
    def end_us(self) -> int | None:
        """When the last site was back, or None while one is away."""
        ends = [each.end_us for each in self.absences]
        known = [end_us for end_us in ends if end_us is not None]
        return max(known) if len(known) == len(ends) else None

    @cached_property
    def sites(self) -> frozenset[str]:
        """Every site of it."""
        return frozenset(each.site for each in self.absences)

    @cached_property
    def away(self) -> frozenset[str]:
        """The sites of it that are still away."""
        return frozenset(each.site for each in self.absences if each.end_us is None)


@dataclass(slots=True)
class SiteCounts:
    """How many sites there are to be away: heard of before, at all and by what they share.

    ``watched`` are those whose silence can be dated; of a peer, those that measure against it now.
    """

    watched: int = 0
    sites: int = 0
    pops: Counter[str] = field(default_factory=Counter)
    departements: Counter[str] = field(default_factory=Counter)
    peers: Counter[str] = field(default_factory=Counter)


def correlate(absences: Iterable[SiteOutage], census: SiteCounts) -> list[Incident]:
    """Every event, those that last first, then by when they began."""
    grouping = _Grouping(set(absences), census)
    grouping.take(Level.FLEET, _ours_or_silent, grouping.most_of_fleet)
    grouping.take(Level.FLEET, _ours, grouping.beyond_chance)
    grouping.take(Level.PEER, _of_peer, grouping.most_of_peer)
    grouping.take(Level.POP, _upstream, grouping.beyond_chance)
    grouping.take(Level.DEPARTEMENT, _upstream, grouping.beyond_chance)
    return sorted(grouping.found, key=_sort_key)


def needed(sites: int, span_us: int) -> int:
    """How many of so many sites have to begin within ``span_us`` to be more than chance; 3 at least.

    Were each away once a day by itself, as many others would begin with one by chance less than once in
    10,000 times (Poisson).
    """
    mean = max(0, sites - 1) * BEGINS_A_DAY * (span_us + LINK_US) / DAY_US
    if mean > 500:  # the sum's first term vanishes, and the sum is a normal distribution's
        return math.ceil(mean + 4 * math.sqrt(mean)) + 1
    others, term = 0, math.exp(-mean)
    tail = 1.0 - term
    while others + 1 < FEWEST_SITES - 1 or tail >= CHANCE:
        others += 1
        term *= mean / others
        tail -= term
    return others + 2


def _ours(each: SiteOutage) -> bool:
    return each.cause in OPERATOR_CAUSES


def _ours_or_silent(each: SiteOutage) -> bool:
    return each.cause is None or each.cause in OPERATOR_CAUSES


def _upstream(each: SiteOutage) -> bool:
    """What a failure upstream does to a site. An agent that was stopped, many at once too, was stopped."""
    return each.cause not in OPERATOR_CAUSES and each.cause is not Cause.AGENT and not each.unanswered


def _of_peer(each: SiteOutage) -> bool:
    return each.cause is Cause.PEER


def _count(found: Iterable[SiteOutage]) -> int:
    return len({each.site for each in found})


def _share(found: Sequence[SiteOutage], sites: int) -> float:
    count = _count(found)
    return count / max(sites, count) if count >= FEWEST_SITES else 0.0


class _Grouping:
    """What is in no event yet, and the incidents so far."""

    def __init__(self, absences: set[SiteOutage], census: SiteCounts) -> None:
        self.left = sorted(absences, key=SiteOutage.sort_key)
        self.found: list[Incident] = []
        self._census = census

    def take(self, level: Level, concerned: Callable[[SiteOutage], bool], enough: "Enough") -> None:
        """Make incidents of one level, of whatever is concerned, of one place, and enough."""
        by_place: dict[str, list[SiteOutage]] = defaultdict(list)
        for each in self.left:
            name = _name(level, each.place)
            if name is not None and concerned(each):
                by_place[name].append(each)
        taken: set[SiteOutage] = set()
        for name, absences in sorted(by_place.items()):
            founders = [chain for chain in _chains(absences) if enough(level, name, chain)]
            for members in _joined(founders, [each for each in absences if not each.datable]):
                self.found.append(Incident(level, name, _cause(level, members), tuple(members)))
                taken.update(members)
        self.left = [each for each in self.left if each not in taken]

    def beyond_chance(self, level: Level, name: str, found: Sequence[SiteOutage]) -> bool:
        """Whether so many of so many sites do not begin together by chance."""
        sites = {
            Level.FLEET: self._census.sites,
            Level.PEER: self._census.peers[name],
            Level.POP: self._census.pops[name],
            Level.DEPARTEMENT: self._census.departements[name],
        }[level]
        return _count(found) >= needed(sites, found[-1].middle_us - found[0].middle_us)

    def most_of_peer(self, _level: Level, name: str, found: Sequence[SiteOutage]) -> bool:
        """Whether the peer answers as good as nobody. Where it answers some, it lives."""
        return _share(found, self._census.peers[name]) >= MOST_OF_PEER

    def most_of_fleet(self, _level: Level, _name: str, found: Sequence[SiteOutage]) -> bool:
        """Of the sites that were there: who was silent before is silent for a reason of its own."""
        begin_us = found[0].middle_us
        before = _count(
            each
            for each in self.left
            if each.cause is None and each.end_us is None and each.datable and each.middle_us < begin_us
        )
        return _share(found, self._census.watched - before) >= MOST_OF_FLEET


Enough = Callable[[Level, str, Sequence[SiteOutage]], bool]


def _name(level: Level, place: SitePlace) -> str | None:
    """What the place is called at this level, or None where that is not known."""
    known = {Level.PEER: place.peer, Level.POP: place.pop, Level.DEPARTEMENT: place.departement}
    return "" if level is Level.FLEET else known[level] or None


def _chains(absences: Iterable[SiteOutage]) -> Iterator[list[SiteOutage]]:
    """Absences that began together, each within two minutes of the one before."""
    chain: list[SiteOutage] = []
    for each in absences:
        if not each.datable:
            continue
        if chain and each.middle_us - chain[-1].middle_us > LINK_US:
            yield chain
            chain = []
        chain.append(each)
    if chain:
        yield chain


def _joined(founders: list[list[SiteOutage]], vague: list[SiteOutage]) -> list[list[SiteOutage]]:
    """Each chain, with what may have begun with it; of several, the first has it."""
    groups = [list(chain) for chain in founders]
    for each in vague:
        ends = sorted((each.begin_us, each.begin_us + each.slack_us))
        for chain, group in zip(founders, groups, strict=True):
            if ends[0] - LINK_US <= chain[-1].middle_us and chain[0].middle_us <= ends[1] + LINK_US:
                group.append(each)
                break
    return groups


def _cause(level: Level, members: Iterable[SiteOutage]) -> Cause:
    """What most agents tell. Where none has told yet, a silent fleet says that it is not the sites."""
    told = Counter(each.cause for each in members if each.cause is not None)
    if not told:
        return Cause.BROKER if level is Level.FLEET else Cause.UNKNOWN
    return max(told, key=lambda cause: (told[cause], -_CAUSES[cause]))


def _sort_key(event: Incident) -> tuple[bool, int, str, str]:
    return event.end_us is not None, event.begin_us, event.level, event.place
