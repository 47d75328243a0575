"""An agent that does not see the site's own traffic, until it condemns: days of its schedule in minutes.

The real probe and its standing over a real link; only the clock of schedule and hours leaps from one verdict
to the next. By day a missed floor is not confirmed; in the quiet hours it is, once enough idle trains have
told what the idle path is like.
"""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, structs

from agent.probes.floor.probe import FloorProbe
from agent.probes.floor.rules.sequence import quiet_hours
from agent.service import wiring as assembly
from agent.settings import file as agent_settings
from agent.settings import sections
from agent.task.retest import Again
from agent.task.task import Reading
from host.clock import Clock, second_of_week
from lab.netns.requirements import KernelLinkError
from wire.records import ClockReading, Direction, FloorValues, Standing, Verdict

MOST_RUNS = 60
HOUR_S, DAY_S, STEP_S = 3600, 86_400, 60
BEGIN_S = 19 * HOUR_S + HOUR_S // 2
"""Of a day: late enough that the site's hours are over, hours before the quiet ones."""


class Night(Struct, frozen=True):
    """What came of it. ``unconfirmed`` and ``fails`` are of the quiet hours; ``hours`` until the end."""

    standing: str = ""
    by_day: int = 0
    unconfirmed: int = 0
    fails: int = 0
    invalid: int = 0
    hours: float = 0.0
    search_bps: float | None = None

    @property
    def words(self) -> str:
        """For a person."""
        return (
            f"{self.standing} after {self.by_day} verdicts by day, {self.unconfirmed} unconfirmed and "
            f"{self.fails} fails at night, {self.hours:.1f} h"
        )

    def after(self, values: FloorValues, *, at_night: bool, hours: float) -> "Night":
        """With one more verdict."""
        verdict = values.verdict
        return Night(
            standing=str(values.standing or ""),
            by_day=self.by_day + (not at_night),
            unconfirmed=self.unconfirmed + (at_night and verdict is Verdict.UNCONFIRMED),
            fails=self.fails + (verdict is Verdict.FAIL),
            invalid=self.invalid + (verdict is Verdict.INVALID),
            hours=hours,
            search_bps=values.search_bps or self.search_bps,
        )


class LeapingClock:
    """The machine's clock, ahead by what was leapt."""

    def __init__(self) -> None:
        self._clock = Clock()
        self.ahead_s = 0.0

    def read(self) -> ClockReading:
        """One moment, on wall clock and CLOCK_BOOTTIME alike."""
        now, ahead_us = self._clock.read(), round(self.ahead_s * 1e6)
        return structs.replace(now, wall_us=now.wall_us + ahead_us, boot_us=now.boot_us + ahead_us)

    def second(self) -> int:
        """Of the local week."""
        return second_of_week(self.read().wall_us)

    def leap_to(self, second_of_day: int) -> None:
        """The next time that it is so late."""
        self.ahead_s += (second_of_day - self.second()) % DAY_S

    def leap(self, again: Again | None, interval_s: float) -> None:
        """To the next run: what the last one wished for, or the schedule's next, whichever is sooner."""
        scheduled = self.ahead_s + interval_s
        self.ahead_s += again.after_s if again else interval_s
        while again and again.hours and not again.hours.contains(self.second()):
            self.ahead_s += STEP_S
        self.ahead_s = min(self.ahead_s, scheduled)


def until_condemned(agent_file: Path, direction: Direction, most_runs: int = MOST_RUNS) -> Night:
    """Runs until the direction is condemned, ``most_runs`` at most; to be called inside the site.

    Raises KernelLinkError when a run measures nothing.
    """
    chosen = structs.replace(agent_settings.load(agent_file), line_counters=sections.LineCounters())
    quiet, clock, found = quiet_hours(chosen.floor), LeapingClock(), Night()
    clock.leap_to(BEGIN_S)
    begin_s = clock.ahead_s
    for values in itertools.islice(_runs(chosen, clock, direction), most_runs):
        at_night = quiet.contains(clock.second())
        found = found.after(values, at_night=at_night, hours=(clock.ahead_s - begin_s) / HOUR_S)
        if values.standing is Standing.CONDEMNED:
            break
    return found  # fmt: skip


def _runs(chosen: sections.AgentSettings, clock: LeapingClock, direction: Direction) -> Iterator[FloorValues]:
    probe = FloorProbe.of(assembly.surroundings(chosen, clock.read))
    task = next(task for task in probe.tasks() if task.direction is direction)
    while True:
        reading: Reading = asyncio.run(probe.run(task, lambda _: None))
        if not isinstance(reading.values, FloorValues):
            raise KernelLinkError(f"a run measured nothing: {reading.failure} {reading.detail}")
        yield reading.values
        clock.leap(reading.again, float(chosen.schedule.floor))
