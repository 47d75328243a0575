"""Sequence of the floor measurements of one agent: standings, retests, quiet windows, passive passes. Pure.

``sequential_test`` turns verdicts into a standing. This module gives it what it needs of the agent: the time
between verdicts, the search before a condemnation, and the retests.

A fail without a view of the site's own traffic is *unconfirmed*, because the site itself may have used the
line. It counts only in a quiet window: within ``floor.quiet_hours``, outside ``floor.site_hours``, and with
the round-trip time of the idle path near its baseline.

| newest verdict | retest |
|---|---|
| unconfirmed, without line counters | in the quiet hours; an hour later, if it is one of these already |
| pass or fail | the wait for quiet hours is over; else as the sequential test wants |
| anything else | in the quiet hours while a fail waits for them, else as the sequential test wants |
"""

import math
from collections import deque
from collections.abc import Awaitable, Callable

from msgspec import Struct, structs

from agent.line.passive_proof import LineWatch
from agent.probes.floor.rules.sequential_test import SequentialState, resumed
from agent.settings import hours
from agent.settings.hours import Hours
from agent.settings.sections import FloorSettings
from agent.task.retest import RetestRequest
from wire import ip_layer
from wire.records import ClockReading, Direction, FloorValues, LineCounters, Spread, Standing, Verdict

# Idle round-trip times that are remembered, and the fewest of them that make a baseline.
IDLE_KEPT, IDLE_LEAST = 100, 5
# Distance from the baseline that is still idle: two full-size packets in the queue of a line of 8 Mbit/s.
NEAR_US = 3_000
# Time to the next retest after a fail that could not be confirmed within the quiet hours.
UNCONFIRMED_RETEST_S = 3600.0
# Upper end of the search, as a share of the floor: far enough to refute a condemnation, and no further.
SEARCH_SHARE = 2.0
# What shows nothing of the site's own traffic.
UNSEEN = (LineCounters.NONE, LineCounters.UNUSABLE)


class SearchResult(Struct, frozen=True):
    """Maximum that a search found, bit/s (IP layer), None where it found none; and its cost on the line."""

    maximum_bps: float | None
    bytes_sent: int = 0
    bytes_received: int = 0


# Search the capacity of a direction up to a rate, bit/s; never raises for the line.
CapacitySearch = Callable[[Direction, float], Awaitable[SearchResult]]


class SequencedVerdict(Struct, frozen=True):
    """Values of one run with its standing, its retest request, and the search that was made."""

    values: FloorValues
    retest: RetestRequest | None = None
    searched: SearchResult = SearchResult(None)


class FloorSequence:
    """Standing of each direction, and the baseline of the idle path.

    ``search`` has to agree before a condemnation. Without a ``watch`` there is no passive pass.
    """

    def __init__(
        self,
        floor: FloorSettings,
        clock: Callable[[], ClockReading],
        second_of_week: Callable[[int], int],
        search: CapacitySearch,
        watch: LineWatch | None = None,
    ) -> None:
        self._floors_bps = {
            direction: ip_layer.ip_rate(float(rate), floor.layer)
            for direction, rate in ((Direction.DOWN, floor.down), (Direction.UP, floor.up))
            if rate is not None
        }
        self._spacing_s = float(floor.retest_after)
        self._quiet = quiet_hours(floor)
        self._clock = clock
        self._second_of_week = second_of_week
        self._search = search
        self._watch = watch
        self._states: dict[Direction, SequentialState] = {}
        self._unconfirmed: set[Direction] = set()
        self._idle: deque[int] = deque(maxlen=IDLE_KEPT)

    def state(self, direction: Direction) -> SequentialState:
        """State of the sequential test of a direction."""
        return self._states.get(direction, SequentialState())

    def is_suspect(self, direction: Direction) -> bool:
        """True if a fail of a direction is not refuted yet, so that its next test needs a pre-drain.

        That includes a condemned direction: a token bucket that is not emptied first passes test after test.
        """
        return self.state(direction).standing is not Standing.CLEAR or direction in self._unconfirmed

    def is_quiet(self, idle: Spread | None) -> bool:
        """True if the site's own traffic rests, by the hour and by the round-trip time of the idle path.

        Every idle train is remembered, the newest hundred. A path that became longer for good is therefore
        its own baseline some days later.
        """
        if idle is None:
            return False
        self._idle.append(idle.p50_us)
        near = len(self._idle) >= IDLE_LEAST and idle.p50_us <= min(self._idle) + NEAR_US
        return near and self._is_in_quiet_hours(self._clock())

    async def add(self, direction: Direction, values: FloorValues) -> SequencedVerdict:
        """Count the verdict of one run, and search where only that is missing for a condemnation."""
        now = self._clock()
        state = self._counted(direction, values.verdict, now)
        searched = SearchResult(None)
        if values.verdict is Verdict.FAIL and state.awaits_search():
            searched = await self._search(direction, SEARCH_SHARE * values.floor_bps)
            if searched.maximum_bps is not None:
                state = state.after_search(searched.maximum_bps, values.floor_bps)
        values = structs.replace(values, search_bps=searched.maximum_bps)
        return self._sequenced(direction, values, state, now, searched)

    def passive(self, direction: Direction, slot_us: int, proven: FloorValues) -> SequencedVerdict | None:
        """Pass by what the site itself received since the slot began; ``proven`` has the floor's values.

        None for a direction under suspicion: a token bucket lets two seconds at the floor through as well.
        """
        may_pass = direction is Direction.DOWN and not self.is_suspect(direction)
        proof = self._watch.since(slot_us) if self._watch and may_pass else None
        if self._watch is None or proof is None:
            return None
        now = self._clock()
        values = structs.replace(
            proven, line_counters=self._watch.kind, at_least_bps=proof.bps, passive_us=proof.lasted_us
        )
        state = self._counted(direction, values.verdict, now)
        return self._sequenced(direction, values, state, now, SearchResult(None))

    def resume(self, direction: Direction, values: FloorValues) -> RetestRequest | None:
        """Continue from the newest record of a direction after a restart, if the floor is still the same."""
        if values.under_load:
            # Five idle trains after a restart beside a backup would make its queue the baseline.
            self._idle.append(values.under_load.idle.p50_us)
        if not math.isclose(values.floor_bps, self._floors_bps.get(direction, 0.0), rel_tol=1e-6):
            return None
        self._states[direction] = state = resumed(values)
        if _is_blind(values):
            self._unconfirmed.add(direction)
            return RetestRequest(self._spacing_s, self._quiet)
        return RetestRequest(self._spacing_s) if state.wants_retest(values.verdict) else None

    def _sequenced(
        self,
        direction: Direction,
        values: FloorValues,
        state: SequentialState,
        now: ClockReading,
        searched: SearchResult,
    ) -> SequencedVerdict:
        self._states[direction] = state
        retest = self._retest(direction, values, state, now)
        values = structs.replace(values, standing=state.standing, evidence=state.evidence)
        return SequencedVerdict(values, retest, searched)

    def _counted(self, direction: Direction, verdict: Verdict, now: ClockReading) -> SequentialState:
        return self.state(direction).after(verdict, now.boot_us, round(self._spacing_s * 1e6))

    def _retest(
        self, direction: Direction, values: FloorValues, state: SequentialState, now: ClockReading
    ) -> RetestRequest | None:
        """Retest by the table of this module."""
        if values.verdict in (Verdict.PASS, Verdict.FAIL):
            self._unconfirmed.discard(direction)
        if _is_blind(values):
            self._unconfirmed.add(direction)
        # Where fails count in quiet hours only, an earlier retest could only pass, and the schedule does
        # that.
        if direction in self._unconfirmed:
            after_s = UNCONFIRMED_RETEST_S if self._is_in_quiet_hours(now) else self._spacing_s
            return RetestRequest(after_s, self._quiet)
        return RetestRequest(self._spacing_s) if state.wants_retest(values.verdict) else None

    def _is_in_quiet_hours(self, now: ClockReading) -> bool:
        return self._quiet.contains(self._second_of_week(now.wall_us))


def _is_blind(values: FloorValues) -> bool:
    """True if a fail is unconfirmed because no counters show the site's own traffic."""
    return values.verdict is Verdict.UNCONFIRMED and values.line_counters in UNSEEN


def quiet_hours(floor: FloorSettings) -> Hours:
    """Hours in which a fail may count without a view of the site's own traffic. The settings were checked."""
    return hours.parse(floor.quiet_hours).without(hours.parse(floor.site_hours))
