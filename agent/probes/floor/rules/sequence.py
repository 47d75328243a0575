"""The floor's measurements of one agent as a sequence: standing, retests, quiet windows, passive passes.

The standing itself is ``agent.probes.floor.rules.sequential_test``'s; here is what it needs of the agent: the
time between verdicts, the search before a condemnation, and whether a fail may count although nobody sees the
site's own traffic: in the quiet hours, outside the site's, with the idle round-trip time at its baseline.
"""

import math
from collections import deque
from collections.abc import Awaitable, Callable

from msgspec import Struct, structs

from agent.line.passive_proof import LineWatch
from agent.probes.floor.rules.sequential_test import Course, recalled
from agent.settings import hours
from agent.settings.hours import Hours
from agent.settings.sections import Floor
from agent.task.retest import Again
from wire import ip_layer
from wire.records import ClockReading, Direction, FloorValues, LineCounters, Spread, Standing, Verdict

IDLE_KEPT, IDLE_LEAST = 100, 5
"""How many idle round-trip times are remembered, and how few tell a baseline."""
NEAR_US = 3_000
"""Above the baseline, still idle: two full-size packets in the queue of a line of 8 Mbit/s."""
UNCONFIRMED_AGAIN_S = 3600.0
"""Within the quiet hours, after a fail that could not be confirmed there."""
SEARCH_SHARE = 2.0
"""How far above the floor the search before a condemnation goes: far enough to refute it, no further."""


class Searched(Struct, frozen=True):
    """What a search gave, bit/s (IP layer), None where it gave nothing; and what it cost the line."""

    maximum_bps: float | None
    bytes_sent: int = 0
    bytes_received: int = 0


Search = Callable[[Direction, float], Awaitable[Searched]]
"""Search the capacity of a direction up to a rate, bit/s; never raises for the line."""


class Told(Struct, frozen=True):
    """A run as part of the sequence: its values with the standing, the next wish, and the search made."""

    values: FloorValues
    again: Again | None = None
    searched: Searched = Searched(None)


class FloorSequence:
    """Where each direction stands, and what is known of the idle path.

    ``search`` is asked to agree before a condemnation; without a ``watch`` there is no passive pass.
    """

    def __init__(
        self,
        floor: Floor,
        clock: Callable[[], ClockReading],
        second_of_week: Callable[[int], int],
        search: Search,
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
        self._courses: dict[Direction, Course] = {}
        self._unconfirmed: set[Direction] = set()
        self._idle: deque[int] = deque(maxlen=IDLE_KEPT)

    def course(self, direction: Direction) -> Course:
        """Where a direction stands."""
        return self._courses.get(direction, Course())

    def is_suspect(self, direction: Direction) -> bool:
        """Whether the next run of a direction follows a fail that was not taken back yet.

        A condemned direction, too: a token bucket that is not emptied first would pass test after test.
        """
        return self.course(direction).standing is not Standing.CLEAR or direction in self._unconfirmed

    def is_quiet(self, idle: Spread | None) -> bool:
        """Whether the site's own traffic rests: by the hour, and by the round-trip time of the idle path.

        Every idle train is remembered, the newest hundred: a path that became longer for good is its own
        baseline some days later.
        """
        if idle is None:
            return False
        self._idle.append(idle.p50_us)
        near = len(self._idle) >= IDLE_LEAST and idle.p50_us <= min(self._idle) + NEAR_US
        return near and self._quiet.contains(self._second_of_week(self._clock().wall_us))

    async def told(self, direction: Direction, values: FloorValues) -> Told:
        """Count the verdict of one run; searches where only that is missing for a condemnation."""
        now = self._clock()
        course = self._counted(direction, values.verdict, now)
        searched = Searched(None)
        if values.verdict is Verdict.FAIL and course.awaits_search():
            searched = await self._search(direction, SEARCH_SHARE * values.floor_bps)
            if searched.maximum_bps is not None:
                course = course.searched(searched.maximum_bps, values.floor_bps)
        values = structs.replace(values, search_bps=searched.maximum_bps)
        return self._stands(direction, values, course, now, searched)

    def passive(self, direction: Direction, slot_us: int, proven: FloorValues) -> Told | None:
        """A pass by what the site itself received since the slot began; ``proven`` holds the floor.

        None of a direction under suspicion: a token bucket lets through two seconds at the floor as well.
        """
        known = direction is Direction.DOWN and not self.is_suspect(direction)
        proof = self._watch.since(slot_us) if self._watch and known else None
        if self._watch is None or proof is None:
            return None
        now = self._clock()
        values = structs.replace(
            proven, line_counters=self._watch.kind, at_least_bps=proof.bps, passive_us=proof.lasted_us
        )
        course = self._counted(direction, values.verdict, now)
        return self._stands(direction, values, course, now, Searched(None))

    def _stands(
        self,
        direction: Direction,
        values: FloorValues,
        course: Course,
        now: ClockReading,
        searched: Searched,
    ) -> Told:
        self._courses[direction] = course
        again = self._again(direction, values, course, now)
        values = structs.replace(values, standing=course.standing, evidence=course.evidence)
        return Told(values, again, searched)

    def _counted(self, direction: Direction, verdict: Verdict, now: ClockReading) -> Course:
        return self.course(direction).after(verdict, now.boot_us, round(self._spacing_s * 1e6))

    def recall(self, direction: Direction, values: FloorValues) -> Again | None:
        """Go on from the newest record of a direction after a restart, if it was of the present floor.

        Its idle train is remembered, too: five after a restart beside a backup would make that the baseline.
        """
        if values.under_load:
            self._idle.append(values.under_load.idle.p50_us)
        if not math.isclose(values.floor_bps, self._floors_bps.get(direction, 0.0), rel_tol=1e-6):
            return None
        self._courses[direction] = course = recalled(values)
        if _is_blind(values):
            self._unconfirmed.add(direction)
            return Again(self._spacing_s, self._quiet)
        return Again(self._spacing_s) if course.asks_again(values.verdict) else None

    def _again(
        self, direction: Direction, values: FloorValues, course: Course, now: ClockReading
    ) -> Again | None:
        """A retest soon where the course asks for one, else one in the quiet hours for what waits for them.

        Where fails are confirmed only there, a retest at another time could only pass: a good line is cleared
        by the schedule as well. Where the site's traffic is seen, another hour may simply be better.
        """
        if values.verdict in (Verdict.PASS, Verdict.FAIL):
            self._unconfirmed.discard(direction)
        if _is_blind(values):
            self._unconfirmed.add(direction)
        if direction in self._unconfirmed:
            within = self._quiet.contains(self._second_of_week(now.wall_us))
            return Again(UNCONFIRMED_AGAIN_S if within else self._spacing_s, self._quiet)
        return Again(self._spacing_s) if course.asks_again(values.verdict) else None


def _is_blind(values: FloorValues) -> bool:
    """Whether a fail is unconfirmed because nobody sees the site's own traffic."""
    return values.verdict is Verdict.UNCONFIRMED and values.line_counters is LineCounters.NONE


def quiet_hours(floor: Floor) -> Hours:
    """When a fail may be confirmed without seeing the site's own traffic. The settings were checked."""
    return hours.parse(floor.quiet_hours).without(hours.parse(floor.site_hours))
