"""Interface probe: traffic of the line's interface, its peaks, errors and drops (RFC 2863)."""

import asyncio
from collections.abc import Sequence

from agent.line.readings import Unavailable
from agent.probes.interface.rules import CountingWindow, LineTally, next_boundary, next_reading
from agent.probes.interface.settings import InterfaceSettings
from agent.task.slots import offset_us
from agent.task.task import ProbeContext, Progress, Reading, Task
from wire.records import Failure, InterfaceMeasurement, LineCounters, Measurement, Outcome

_SLACK_S = 30.0  # SNMP: three tries for each of several answers


class InterfaceProbe:
    """Reads the line's counters all the time; each run reports the sums since the run before.

    An asyncio task of its own reads between runs, because a run must be short. During a run no other probe
    may have the line alone. Records follow each other without gap or overlap. They are cut where the
    schedule's slots begin: whenever in its slot a run starts, the minute before is ready. The first run after
    a start of the agent takes two readings of its own.
    """

    record: type[Measurement] = InterfaceMeasurement
    alone = False

    def __init__(self, context: ProbeContext) -> None:
        settings = context.settings
        self._source = context.line_counters
        self._clock = context.clock
        self._site = settings.site
        off = self._source.kind is LineCounters.NONE
        self._interval_s = None if off else settings.every_s("interface")
        self._read_s = float(settings.section(InterfaceSettings).read_every)
        if self._interval_s is not None:
            self._read_s = max(self._read_s, self._source.least_interval_s)
        self._reading_us = round(self._read_s * 1e6)
        self._tally = LineTally(self._reading_us, round(self._source.lag_s * 1e6))
        self._ready: CountingWindow | None = None
        self._reader: asyncio.Task[None] | None = None
        self.deadline_s = self._read_s + _SLACK_S

    def tasks(self) -> Sequence[Task]:
        """One task, or none where the settings have no counters or no interval."""
        return [] if self._interval_s is None else [Task("interface", self._interval_s)]

    async def run(self, task: Task, progress: Progress) -> Reading:
        """Report the counts since the run before."""
        if self._reader is not None and self._reader.done():
            ended, self._reader = self._reader, None
            ended.result()  # it ends by a bug only: raises it, for the runner
        if self._reader is None:
            await self._begin(task, progress)
        window = self._ready or self._tally.cut()
        self._ready = None
        return self._reading(window)

    async def _begin(self, task: Task, progress: Progress) -> None:
        """Take two readings, and start the reader if there is something to read."""
        if isinstance(await self._take(), Unavailable):
            return
        progress(f"counting on {self._source.interface} for {self._read_s:g} s")
        await asyncio.sleep(self._read_s)
        await self._take()
        self._reader = asyncio.create_task(self._keep_reading(round(task.interval_s * 1e6)))

    async def _keep_reading(self, interval_us: int) -> None:
        boundary = self._first_boundary(interval_us)
        while True:
            now = self._clock().boot_us
            await asyncio.sleep((next_reading(now, boundary, self._reading_us) - now) / 1e6)
            await self._take()
            now = self._clock().boot_us
            if now >= boundary:
                boundary = next_boundary(now, boundary, interval_us)
                # A window that no run has fetched yet stays; the time since then goes into one longer window.
                self._ready = self._ready or self._tally.cut()

    def _first_boundary(self, interval_us: int) -> int:
        now = self._clock()
        # The first slot is aligned to the wall clock; later ones follow the boot clock, as the scheduler's
        # do.
        into_slot = (now.wall_us - offset_us(self._site, interval_us)) % interval_us
        return now.boot_us - into_slot + interval_us

    async def _take(self) -> object:
        reading = await self._source.ask()
        self._tally.add(reading, self._clock().boot_us)
        return reading

    def _reading(self, window: CountingWindow) -> Reading:
        # No cost on the line: a router that is asked by SNMP is on this side of it.
        values = window.values(self._source, self._reading_us)
        if isinstance(values, Unavailable):
            return Reading(Outcome.FAILED, failure=Failure.COUNTERS, detail=values.detail)
        return Reading(Outcome.OK, values)
