"""Nights of an agent that cannot count the site's own traffic, until it condemns a bad line.

The real probe measures over a real link; its clock skips the time between two verdicts. By day a missed floor
is unconfirmed. In the quiet hours it is confirmed, once enough idle trains have measured the idle path.
"""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, structs

from agent import configuration
from agent.probes.floor.probe import FloorProbe
from agent.probes.floor.rules.sequence import quiet_hours
from agent.service import wiring
from agent.settings import sections
from agent.task.retest import RetestRequest
from agent.task.task import Reading
from host.clock import Clock, second_of_week
from lab.netns.requirements import KernelLinkError
from wire.records import ClockReading, Direction, FloorValues, Standing, Verdict

MOST_RUNS = 60
HOUR_S, DAY_S, STEP_S = 3600, 86_400, 60
# Second of the day: after the site's hours, some hours before the quiet ones.
BEGIN_S = 19 * HOUR_S + HOUR_S // 2


class Night(Struct, frozen=True):
    """Verdicts so far.

    ``unconfirmed`` and ``fails`` are of the quiet hours; ``hours`` is the simulated time.
    """

    standing: str = ""
    by_day: int = 0
    unconfirmed: int = 0
    fails: int = 0
    invalid: int = 0
    hours: float = 0.0
    search_bps: float | None = None

    @property
    def words(self) -> str:
        """Summary for the terminal."""
        return (
            f"{self.standing} after {self.by_day} verdicts by day, {self.unconfirmed} unconfirmed and "
            f"{self.fails} fails at night, {self.hours:.1f} h"
        )

    def after(self, values: FloorValues, *, at_night: bool, hours: float) -> "Night":
        """Return the counts with one more verdict."""
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
    """Clock of this machine plus the skipped time."""

    def __init__(self) -> None:
        self._clock = Clock()
        self.ahead_s = 0.0

    def read(self) -> ClockReading:
        """Read wall clock and CLOCK_BOOTTIME, both with the skipped time."""
        now, ahead_us = self._clock.read(), round(self.ahead_s * 1e6)
        return structs.replace(now, wall_us=now.wall_us + ahead_us, boot_us=now.boot_us + ahead_us)

    def second(self) -> int:
        """Return the second of the local week."""
        return second_of_week(self.read().wall_us)

    def leap_to(self, second_of_day: int) -> None:
        """Skip to the next occurrence of a second of the day."""
        self.ahead_s += (second_of_day - self.second()) % DAY_S

    def leap(self, again: RetestRequest | None, interval_s: float) -> None:
        """Skip to the next run: the requested retest or the schedule's next, the earlier of both."""
        scheduled = self.ahead_s + interval_s
        self.ahead_s += again.after_s if again else interval_s
        while again and again.hours and not again.hours.contains(self.second()):
            self.ahead_s += STEP_S
        self.ahead_s = min(self.ahead_s, scheduled)


def until_condemned(agent_file: Path, direction: Direction, most_runs: int = MOST_RUNS) -> Night:
    """Run the probe until the direction is condemned, at most ``most_runs`` times; called inside the site's
    namespace.

    Raises KernelLinkError when a run measures nothing.
    """
    chosen = structs.replace(configuration.load(agent_file), line_counters=sections.LineCountersSettings())
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
    probe = FloorProbe.of(wiring.probe_context(chosen, clock.read))
    task = next(task for task in probe.tasks() if task.direction is direction)
    while True:
        reading: Reading = asyncio.run(probe.run(task, lambda _: None))
        if not isinstance(reading.values, FloorValues):
            raise KernelLinkError(f"the floor probe measured nothing: {reading.failure} {reading.detail}")
        yield reading.values
        clock.leap(reading.retest, chosen.every_s("floor") or 0.0)
