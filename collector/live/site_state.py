"""Live state of one site: the newest measurements by measurement time, and the state that follows from them.

Pure: observations, inventory and ``now`` (Unix microseconds) in, states out. All of it can be rebuilt from
the ledger; its counters then begin at 0 again, as those of a restarted program do.

A site is in the state of the first row that applies:

| state            | condition                                                                            |
|------------------|--------------------------------------------------------------------------------------|
| not-in-inventory | the inventory does not list it                                                       |
| waiting          | no scheduled measurement has ever arrived                                            |
| silent           | its next measurement is overdue; blackouts of the collector postpone that            |
| below-floor      | a direction's standing is *condemned*                                                |
| suspect          | a direction's standing is *suspect*                                                  |
| ok               | of the directions that are still measured, each has a *pass* that is fresh           |
| waiting          | otherwise: it measures, and no verdict is fresh                                      |

A measurement is *fresh* for three intervals of its schedule (:mod:`collector.kinds.views`). A standing
has no such limit: a condemned site stays below its floor until its agent clears it, even if tests fail for
hours.

Each series of measurements keeps its newest observation of four kinds:

| kind     | newest observation           | decides                                         |
|----------|------------------------------|-------------------------------------------------|
| newest   | of any outcome               | silence, and if the direction is still measured |
| valued   | with values                  | the figures shown                               |
| decisive | with verdict pass or fail    | ok                                              |
| deciding | decisive, or with a standing | the standing; without one, fail means condemned |

What must never happen:

- a late record replaces a newer one;
- a record from the future replaces the present;
- a record of a change (``EVENTS``, on no schedule) makes a silent site look alive.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from collector.kinds import BY_VALUES, EVENTS
from collector.kinds.floor import DECISIVE
from collector.kinds.kind import STALE_INTERVALS
from collector.kinds.views import expires_us, interval_us, is_fresh, is_late
from collector.live.blackout import Blackouts
from collector.model.completeness import SiteCompleteness
from collector.model.inventory import Site
from collector.model.observation import Observation, Series
from collector.model.outages import Outage, RecentOutages, outage_of
from collector.model.peer_comparison import ComparedTest, ComparisonResult
from wire.messages.envelope import PresenceState
from wire.records import Direction, Failure, FloorValues, Outcome, Standing, Values, Verdict

DELIVERY_US = 120_000_000  # a batch leaves once a minute, and may have to be sent twice
MAX_SERIES = 128  # of one site: any agent may invent names of probes
FLOOR_PROBE = "floor"
COMPARISON_LATE_US = 86_400_000_000  # comparisons of tests older than a day belong to a backlog
# A test of which only the peer has a record names no site.
RESULTS_OF_A_SITE = (ComparisonResult.AGREE, ComparisonResult.DISAGREE, ComparisonResult.AGENT_ONLY)
ValuesType = TypeVar("ValuesType", bound=Values)


class SiteState(StrEnum):
    """State of a site, worst first."""

    BELOW_FLOOR = "below-floor"
    SILENT = "silent"
    SUSPECT = "suspect"
    WAITING = "waiting"
    NOT_IN_INVENTORY = "not-in-inventory"
    OK = "ok"


@dataclass(slots=True)
class SeriesState:
    """Newest observations of one series, by measurement time; the module's second table has their use."""

    newest: Observation
    valued: Observation | None = None
    decisive: Observation | None = None
    deciding: Observation | None = None

    def learn(self, seen: Observation) -> None:
        """Learn an observation, in whatever order they arrive."""
        if _is_later(seen, self.newest):
            self.newest = seen
        if seen.outcome is Outcome.OK and seen.values is not None:
            if _is_later(seen, self.valued):
                self.valued = seen
            if isinstance(seen.values, FloorValues):
                self._learn_floor(seen, seen.values)

    def _learn_floor(self, seen: Observation, values: FloorValues) -> None:
        is_decisive = values.verdict in DECISIVE
        if is_decisive and _is_later(seen, self.decisive):
            self.decisive = seen
        if (is_decisive or values.standing is not None) and _is_later(seen, self.deciding):
            self.deciding = seen


@dataclass(slots=True)
class SiteCounters:
    """Counts of measurements that arrived in time; ``late`` counts the others, by probe."""

    measurements: Counter[tuple[str, Outcome, Failure | None]] = field(default_factory=Counter)
    totals: dict[str, Counter[str]] = field(default_factory=dict)  # by metric, then labels
    late: Counter[str] = field(default_factory=Counter)
    bytes_spent: Counter[tuple[str, Direction]] = field(default_factory=Counter)

    def count(self, seen: Observation) -> None:
        """Count an observation: under its outcome, or as late."""
        probe = seen.series.probe
        if is_late(seen):
            self.late[probe] += 1
            return
        self.measurements[(probe, seen.outcome, seen.failure)] += 1
        if seen.bytes_sent or seen.bytes_received:  # reading counters spends no bytes: no series for that
            self.bytes_spent[(probe, Direction.UP)] += seen.bytes_sent
            self.bytes_spent[(probe, Direction.DOWN)] += seen.bytes_received
        if seen.values is not None and (kind := BY_VALUES.get(type(seen.values))) is not None:
            for total in kind.totals:
                counted = self.totals.setdefault(total.name, Counter())
                for labels, addition in total.additions(seen, seen.values):
                    # Thousands of sites share the few texts.
                    counted[sys.intern(labels)] += addition


@dataclass(slots=True)
class SiteComparisons:
    """Peer comparisons of a site: their results, and the newest disagreement or claim of each direction.

    ``ambiguous`` are tests that another site claims, too.
    """

    results: Counter[ComparisonResult] = field(default_factory=Counter)
    disagreements: dict[Direction, ComparedTest] = field(default_factory=dict)
    ambiguous: dict[Direction, ComparedTest] = field(default_factory=dict)

    def learn(self, compared: ComparedTest) -> None:
        """Keep the newest disagreement, and the newest test of several claims, of each direction."""
        disagreed = self.disagreements.get(compared.direction)
        if compared.result is ComparisonResult.DISAGREE:
            _keep_newest(self.disagreements, compared)
        elif compared.result is ComparisonResult.AMBIGUOUS:
            _keep_newest(self.ambiguous, compared)
            # The test may have been compared before the second claim came.
            if disagreed is not None and disagreed.time_us == compared.time_us:
                del self.disagreements[compared.direction]

    def count(self, compared: ComparedTest, now_us: int) -> None:
        """Count a comparison that was just made, unless its test belongs to a backlog."""
        for result in RESULTS_OF_A_SITE:
            self.results.setdefault(result, 0)
        if now_us - compared.time_us < COMPARISON_LATE_US:
            self.results[compared.result] += 1


def _keep_newest(known: dict[Direction, ComparedTest], compared: ComparedTest) -> None:
    if compared.direction not in known or compared.time_us >= known[compared.direction].time_us:
        known[compared.direction] = compared


@dataclass(slots=True)
class LiveSite:
    """Live state and counters of one site.

    ``defects`` is the site's completeness in the ledger, or None if it is complete.
    """

    site_id: str
    inventory: Site | None
    blackouts: Blackouts = field(default_factory=Blackouts)
    series: dict[Series, SeriesState] = field(default_factory=dict)
    presence: PresenceState | None = None
    counters: SiteCounters = field(default_factory=SiteCounters)
    comparisons: SiteComparisons = field(default_factory=SiteComparisons)
    defects: SiteCompleteness | None = None
    outages: RecentOutages = field(default_factory=RecentOutages)

    def learn(self, seen: Observation) -> None:
        """Learn an observation, in whatever order they arrive."""
        # Only a record of a change reports an outage.
        if seen.series.probe in EVENTS and (outage := outage_of(seen)) is not None:
            self.outages.learn(outage)
        known = self.series.get(seen.series)
        if known is None:
            if len(self.series) >= MAX_SERIES:
                return
            known = self.series[seen.series] = SeriesState(seen)
        known.learn(seen)

    def relearn(self, observations: Sequence[Observation], outages: Iterable[Outage]) -> None:
        """Replace the newest observations of these series, and all outages."""
        for seen in observations:
            self.series.pop(seen.series, None)
        # An outage may have been re-dated to before the last day.
        self.outages = RecentOutages()
        for seen in observations:
            self.learn(seen)
        for outage in outages:
            self.outages.learn(outage)

    def count(self, seen: Observation) -> None:
        """Count an observation that was just learned."""
        # A probe beyond MAX_SERIES is not counted: its name would make new time series of Prometheus.
        if seen.series.probe in {series.probe for series in self.series}:
            self.counters.count(seen)

    def floor(self, direction: Direction) -> int | None:
        """Contract's floor in bit/s, or None for a site outside the inventory."""
        if self.inventory is None:
            return None
        return self.inventory.floor_down if direction is Direction.DOWN else self.inventory.floor_up

    def floor_series(self, direction: Direction) -> SeriesState | None:
        """Floor tests of one direction; of several DSCP classes, the one measured last."""
        found = (
            state
            for series, state in self.series.items()
            if series.probe == FLOOR_PROBE and series.direction is direction
        )
        return max(found, key=lambda state: state.newest.time_us, default=None)

    @property
    def newest_us(self) -> int | None:
        """Time of the newest scheduled measurement; the record of a change is no sign of life."""
        return max((state.newest.time_us for _, state in self.scheduled()), default=None)

    def scheduled(self) -> Iterator[tuple[Series, SeriesState]]:
        """Series measured on a schedule, without the records of changes."""
        return ((series, state) for series, state in self.series.items() if series.probe not in EVENTS)


def current(site: LiveSite, kind: type[ValuesType], now_us: int) -> Iterator[tuple[Observation, ValuesType]]:
    """Newest values of one kind, from every series in which they are fresh."""
    for found in site.series.values():
        seen = found.valued
        if seen is not None and isinstance(seen.values, kind) and is_fresh(seen, now_us):
            yield seen, seen.values


def state_of(site: LiveSite, now_us: int) -> SiteState:
    """State of a site: the first row of the module's table that applies."""
    if site.inventory is None:
        return SiteState.NOT_IN_INVENTORY
    # Nothing is due from a site that never sent: it waits to be installed.
    if site.newest_us is None:
        return SiteState.WAITING
    silent_us = silent_from_us(site)
    if silent_us is not None and now_us >= silent_us:
        return SiteState.SILENT
    floors = [series for direction in Direction if (series := site.floor_series(direction))]
    # Before the fresh verdicts: a condemned direction stays so while its tests fail.
    standings = {standing_of(series) for series in floors}
    if Standing.CONDEMNED in standings:
        return SiteState.BELOW_FLOOR
    if Standing.SUSPECT in standings:
        return SiteState.SUSPECT
    passed = [_passes(series, now_us) for series in floors if is_fresh(series.newest, now_us)]
    return SiteState.OK if passed and all(passed) else SiteState.WAITING


def standing_of(series: SeriesState) -> Standing | None:
    """Standing of a direction against its floor, or None without anything that decides it.

    Agents from before the sequential test report no standing. They are judged by the newest verdict alone.
    """
    seen = series.deciding
    if seen is None or not isinstance(seen.values, FloorValues):
        return None
    if seen.values.standing is not None:
        return seen.values.standing
    return Standing.CONDEMNED if seen.values.verdict is Verdict.FAIL else Standing.CLEAR


def _passes(series: SeriesState, now_us: int) -> bool:
    return is_fresh(series.decisive, now_us) and _verdict(series.decisive) is Verdict.PASS


def silent_from_us(site: LiveSite) -> int | None:
    """Time from which the site is silent if nothing more arrives.

    A measurement is due three intervals of the densest schedule after the newest one, plus the delivery time.
    The result is None during a blackout, and for a site that never sent anything.
    """
    newest_us = site.newest_us
    if newest_us is None:
        return None
    due_us = newest_us + STALE_INTERVALS * densest_us(site, newest_us) + DELIVERY_US
    return site.blackouts.deadline_us(due_us)


def densest_us(site: LiveSite, newest_us: int) -> int:
    """Shortest interval of the schedules that were in use when the newest measurement was made.

    A schedule that had stopped by then was removed from the agent's settings, and nothing is due by it.
    """
    found = (state.newest for _, state in site.scheduled())
    return min(interval_us(seen) for seen in found if is_fresh(seen, newest_us - DELIVERY_US))


def next_change_us(site: LiveSite, now_us: int) -> int | None:
    """Time of the next change of the site's state or gauges if nothing arrives, or None for never."""
    ends = [
        expires_us(seen)
        for series in site.series.values()
        for seen in (series.newest, series.valued, series.decisive, series.deciding)
        if seen is not None
    ]
    # Silence is the only change that does not come from a single observation.
    if (silent_us := silent_from_us(site)) is not None:
        ends.append(silent_us)
    return min((end for end in ends if end > now_us), default=None)


def _verdict(seen: Observation | None) -> Verdict | None:
    return seen.values.verdict if seen is not None and isinstance(seen.values, FloorValues) else None


def _is_later(seen: Observation, known: Observation | None) -> bool:
    return known is None or (seen.time_us, seen.order) > (known.time_us, known.order)
