"""Live state: what is known of a site now, by measurement time, and what that amounts to.

Pure: observations, inventory and ``now`` (Unix microseconds) in, states out. Everything here can be thrown
away and rebuilt from the ledger; counters then begin again at 0, as a restarted program's do.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from collector.live.blackout import Blackouts
from collector.model.completeness import SiteCompleteness
from collector.model.freshness import STALE_INTERVALS, expires_us, interval_us, is_fresh, is_late
from collector.model.inventory import Site
from collector.model.observation import EVENTS, Observation, Series
from collector.model.outages import RecentOutages
from collector.model.peer_comparison import ComparedTest, ComparisonResult
from wire.messages.envelope import PresenceState
from wire.records import Direction, Failure, FloorValues, InterfaceValues, Outcome, Standing, Values, Verdict

DELIVERY_US = 120_000_000  # a batch leaves once a minute, and may have to be sent twice
SIDES_LATE_US = 86_400_000_000  # a comparison of tests older than a day speaks of a backlog
MAX_SERIES = 128  # of one site: names of probes come from outside
FLOOR_PROBE = "floor"
ValuesType = TypeVar("ValuesType", bound=Values)
OF_A_SITE = (
    ComparisonResult.AGREE,
    ComparisonResult.DISAGREE,
    ComparisonResult.AGENT_ONLY,
)  # whose a peer's lone test was, nobody knows
DECISIVE = frozenset({Verdict.PASS, Verdict.FAIL})


class SiteState(StrEnum):
    """What a site is in, worst first."""

    BELOW_FLOOR = "below-floor"
    SILENT = "silent"
    SUSPECT = "suspect"
    WAITING = "waiting"
    NOT_IN_INVENTORY = "not-in-inventory"
    OK = "ok"


class InterfaceLoss(StrEnum):
    """What an interface did not carry."""

    ERRORS = "errors"
    DROPS = "drops"


@dataclass(slots=True)
class SeriesState:
    """The newest of one series: of any outcome, with values, with a floor decision; and what decides it.

    ``deciding`` is the newest that tells a standing or, of an agent that tells none, a floor decision.
    """

    newest: Observation
    valued: Observation | None = None
    decisive: Observation | None = None
    deciding: Observation | None = None

    def learn(self, seen: Observation) -> None:
        """Take an observation in, wherever in time it belongs."""
        if _later(seen, self.newest):
            self.newest = seen
        if seen.outcome is Outcome.OK and seen.values is not None:
            if _later(seen, self.valued):
                self.valued = seen
            if isinstance(seen.values, FloorValues):
                self._learn_of_floor(seen, seen.values)

    def _learn_of_floor(self, seen: Observation, values: FloorValues) -> None:
        decides = values.verdict in DECISIVE
        if decides and _later(seen, self.decisive):
            self.decisive = seen
        if (decides or values.standing is not None) and _later(seen, self.deciding):
            self.deciding = seen


@dataclass(slots=True)
class LiveSite:
    """Everything live about one site. Counters count what came in time; ``late`` what did not."""

    site_id: str
    inventory: Site | None
    hearing: Blackouts = field(default_factory=Blackouts)
    series: dict[Series, SeriesState] = field(default_factory=dict)
    presence: PresenceState | None = None
    measurements: Counter[tuple[str, Outcome, Failure | None]] = field(default_factory=Counter)
    verdicts: Counter[tuple[Direction, Verdict]] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    bytes_spent: Counter[tuple[str, Direction]] = field(default_factory=Counter)
    refused: Counter[tuple[InterfaceLoss, Direction]] = field(default_factory=Counter)
    carrier_losses: int | None = None
    sides: Counter[ComparisonResult] = field(default_factory=Counter)
    disagreed: dict[Direction, ComparedTest] = field(default_factory=dict)
    lacks: SiteCompleteness | None = None  # what is wrong with what the ledger holds of it
    outages: RecentOutages = field(default_factory=RecentOutages)

    def learn(self, seen: Observation) -> None:
        """Take an observation into the series' state."""
        self.outages.see(seen)
        known = self.series.get(seen.series)
        if known is None:
            if len(self.series) >= MAX_SERIES:
                return
            known = self.series[seen.series] = SeriesState(seen)
        known.learn(seen)

    def count(self, seen: Observation) -> None:
        """Count an observation that has just been learnt. An outage's backlog has a counter of its own."""
        probe = seen.series.probe
        if probe not in {series.probe for series in self.series}:
            return
        if is_late(seen):
            self.late[probe] += 1
            return
        self.measurements[(probe, seen.outcome, seen.failure)] += 1
        if seen.bytes_sent or seen.bytes_received:  # reading counters costs the line nothing
            self.bytes_spent[(probe, Direction.UP)] += seen.bytes_sent
            self.bytes_spent[(probe, Direction.DOWN)] += seen.bytes_received
        if isinstance(seen.values, FloorValues) and seen.series.direction:
            self.verdicts[(seen.series.direction, seen.values.verdict)] += 1
        if isinstance(seen.values, InterfaceValues) and seen.outcome is Outcome.OK:
            self._count_interface(seen.values)
        self.outages.count(seen)

    def _count_interface(self, found: InterfaceValues) -> None:
        """Each record tells what its own minute added. What an interface does not count stays absent."""
        for direction, flow in ((Direction.DOWN, found.down), (Direction.UP, found.up)):
            for kind, count in ((InterfaceLoss.ERRORS, flow.errors), (InterfaceLoss.DROPS, flow.drops)):
                if count is not None:
                    self.refused[(kind, direction)] += count
        if found.carrier_losses is not None:
            self.carrier_losses = (self.carrier_losses or 0) + found.carrier_losses

    def learn_side(self, joined: ComparedTest) -> None:
        """Take in how the two sides of a load test compared, wherever in time it belongs."""
        known = self.disagreed.get(joined.direction)
        if joined.result is ComparisonResult.DISAGREE and (known is None or joined.time_us >= known.time_us):
            self.disagreed[joined.direction] = joined

    def count_side(self, joined: ComparedTest, now_us: int) -> None:
        """Count a comparison that has just been made; one of an outage's backlog alarms nobody."""
        for result in OF_A_SITE:
            self.sides.setdefault(result, 0)
        if now_us - joined.time_us < SIDES_LATE_US:
            self.sides[joined.result] += 1

    def floor(self, direction: Direction) -> int | None:
        """The contract's floor in bit/s, where the site is in the inventory."""
        if self.inventory is None:
            return None
        return self.inventory.floor_down if direction is Direction.DOWN else self.inventory.floor_up

    def of_floor(self, direction: Direction) -> SeriesState | None:
        """The floor series of one direction; if there are several (of DSCP classes), the newest."""
        found = (
            state
            for series, state in self.series.items()
            if series.probe == FLOOR_PROBE and series.direction is direction
        )
        return max(found, key=lambda state: state.newest.time_us, default=None)

    @property
    def newest_us(self) -> int | None:
        """The time of the newest measurement of a schedule. That something changed is no sign of life."""
        return max((state.newest.time_us for _, state in self.scheduled()), default=None)

    def scheduled(self) -> Iterator[tuple[Series, SeriesState]]:
        """The series that go on whether anything changes or not."""
        return ((series, state) for series, state in self.series.items() if series.probe not in EVENTS)


def current(site: LiveSite, kind: type[ValuesType], now_us: int) -> Iterator[tuple[Observation, ValuesType]]:
    """The newest values of one kind, of every series in which they still speak for the present."""
    for found in site.series.values():
        seen = found.valued
        if seen is not None and isinstance(seen.values, kind) and is_fresh(seen, now_us):
            yield seen, seen.values


def state_of(site: LiveSite, now_us: int) -> SiteState:
    """What the site is in.

    Below the floor is who stands condemned, until that is lifted; a suspect has failed and is tested again.
    ``ok`` needs a pass that still speaks for the present, in every direction that is measured. A site that
    measures, but without such verdicts, waits for them.
    """
    if site.inventory is None:
        return SiteState.NOT_IN_INVENTORY
    if site.newest_us is None:
        return SiteState.WAITING
    silent_us = silent_from_us(site)
    if silent_us is not None and now_us >= silent_us:
        return SiteState.SILENT
    floors = [series for direction in Direction if (series := site.of_floor(direction))]
    standings = {standing_of(series) for series in floors}
    if Standing.CONDEMNED in standings:
        return SiteState.BELOW_FLOOR
    if Standing.SUSPECT in standings:
        return SiteState.SUSPECT
    passed = [_passes(series, now_us) for series in floors if is_fresh(series.newest, now_us)]
    return SiteState.OK if passed and all(passed) else SiteState.WAITING


def standing_of(series: SeriesState) -> Standing | None:
    """How a direction stands against its floor, or None where nothing decides it.

    By the newest measurement that decides: an agent that tells a standing is believed; one that is too old to
    know any is judged by its verdict alone.
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
    """When the site becomes silent if nothing more comes, or None where nothing ever came.

    Three intervals of its densest schedule after its newest measurement, and the time that a batch may take:
    trains each minute tell of a dark site long before an hourly test does. A schedule that had stopped before
    the newest measurement was given up, and promises nothing. None also while the collector itself is deaf.
    """
    newest_us = site.newest_us
    if newest_us is None:
        return None
    due_us = newest_us + STALE_INTERVALS * densest_us(site, newest_us) + DELIVERY_US
    return site.hearing.waited_until(due_us)


def densest_us(site: LiveSite, newest_us: int) -> int:
    """The shortest interval of the schedules that were kept when the newest measurement was made."""
    found = (state.newest for _, state in site.scheduled())
    return min(interval_us(seen) for seen in found if is_fresh(seen, newest_us - DELIVERY_US))


def next_change_us(site: LiveSite, now_us: int) -> int | None:
    """When the site's state or gauges change next if nothing comes in, or None for never."""
    ends = [
        expires_us(seen)
        for series in site.series.values()
        for seen in (series.newest, series.valued, series.decisive, series.deciding)
        if seen is not None
    ]
    if (silent_us := silent_from_us(site)) is not None:
        ends.append(silent_us)
    return min((end for end in ends if end > now_us), default=None)


def _verdict(seen: Observation | None) -> Verdict | None:
    return seen.values.verdict if seen is not None and isinstance(seen.values, FloorValues) else None


def _later(seen: Observation, known: Observation | None) -> bool:
    return known is None or (seen.time_us, seen.order) > (known.time_us, known.order)
