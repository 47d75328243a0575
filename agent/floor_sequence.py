"""The floor's measurements of one agent as a sequence: standing, retests, quiet windows, passive passes.

The standing itself is ``agent.floor_standing``'s; here is what it needs of the agent: the time between
verdicts, the search before a condemnation, and whether a fail may count although nobody sees the site's own
traffic: in the quiet hours, outside the site's, with the idle round-trip time at its baseline.
"""

from collections import deque
from collections.abc import Awaitable, Callable

from msgspec import Struct

from agent import hours
from agent.floor_standing import Course, recalled
from agent.hours import Hours
from agent.probes.base import Again
from agent.settings import Floor
from wire.records import ClockReading, Direction, FloorValues, Spread, Standing, Verdict

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


class Verdicts(Struct):
    """What a sequence makes of one measurement: where its direction stands now."""

    course: Course
    searched: Searched | None = None
    again: Again | None = None


class FloorSequence:
    """Where each direction stands, and what is known of the idle path. ``search`` is asked to agree."""

    def __init__(self, floor: Floor, second_of_week: Callable[[int], int], search: Search) -> None:
        self._spacing_s = float(floor.retest_after)
        self._quiet = quiet_hours(floor)
        self._second_of_week = second_of_week
        self._search = search
        self._courses: dict[Direction, Course] = {}
        self._unconfirmed: set[Direction] = set()
        self._idle: deque[int] = deque(maxlen=IDLE_KEPT)

    def course(self, direction: Direction) -> Course:
        """Where a direction stands."""
        return self._courses.get(direction, Course())

    def is_suspect(self, direction: Direction) -> bool:
        """Whether the next run of a direction is one that follows a fail."""
        return self.course(direction).standing is Standing.SUSPECT

    def is_quiet(self, now: ClockReading, idle: Spread | None) -> bool:
        """Whether the site's own traffic rests: by the hour, and by the round-trip time of the idle path.

        Every idle train is remembered, the newest hundred: a path that became longer for good is its own
        baseline some days later.
        """
        if idle is None:
            return False
        self._idle.append(idle.p50_us)
        near = len(self._idle) >= IDLE_LEAST and idle.p50_us <= min(self._idle) + NEAR_US
        return near and self._quiet.contains(self._second_of_week(now.wall_us))

    async def concluded(
        self, direction: Direction, verdict: Verdict, floor_bps: float, now: ClockReading
    ) -> Verdicts:
        """Count a verdict; searches where only that is missing for a condemnation."""
        course = self.course(direction).after(verdict, now.boot_us, round(self._spacing_s * 1e6))
        searched = None
        if verdict is Verdict.FAIL and course.awaits_search():
            searched = await self._search(direction, SEARCH_SHARE * floor_bps)
            if searched.maximum_bps is not None:
                course = course.searched(searched.maximum_bps, floor_bps)
        self._courses[direction] = course
        return Verdicts(course, searched, self._again(direction, verdict, course, now))

    def recall(self, direction: Direction, values: FloorValues) -> Again | None:
        """Go on from the newest record of a direction after a restart."""
        self._courses[direction] = course = recalled(values)
        if values.verdict is Verdict.UNCONFIRMED:
            self._unconfirmed.add(direction)
            return Again(self._spacing_s, self._quiet)
        return Again(self._spacing_s) if course.asks_again(values.verdict) else None

    def _again(
        self, direction: Direction, verdict: Verdict, course: Course, now: ClockReading
    ) -> Again | None:
        """A retest soon where the sequence asks for one, else one in the quiet hours for what waits for them.

        Where fails are confirmed only there, a retest at another time could only pass: a good line is cleared
        by the schedule as well.
        """
        if verdict in (Verdict.PASS, Verdict.FAIL):
            self._unconfirmed.discard(direction)
        if verdict is Verdict.UNCONFIRMED:
            self._unconfirmed.add(direction)
        if direction in self._unconfirmed:
            within = self._quiet.contains(self._second_of_week(now.wall_us))
            return Again(UNCONFIRMED_AGAIN_S if within else self._spacing_s, self._quiet)
        return Again(self._spacing_s) if course.asks_again(verdict) else None


def quiet_hours(floor: Floor) -> Hours:
    """When a fail may be confirmed without seeing the site's own traffic. The settings were checked."""
    return hours.parse(floor.quiet_hours).without(hours.parse(floor.site_hours))
