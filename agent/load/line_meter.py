"""Reads the line's counters beside a load test, so that the site's own traffic in it is known."""

import asyncio
import time
from collections.abc import Sequence

from agent.line.readings import CounterReading, LineCounterSource, Unavailable
from agent.load.rules import own_traffic
from agent.load.rules.own_traffic import CounterMark, OwnTraffic
from wire.records import Direction, LineCounters
from wire.udpstp.load import LoadInterval, LoadReport, LoadSoFar

PROMPT_S = 0.002
"""A reading that took longer says too little of when it was taken."""

LOOK_S = 1.0

_READINGS_AT_MOST = 3


class LoadMeter:
    """Marks one test at a time: the counters whenever ``mark`` is called.

    Of a source whose counters lag behind, only what a whole test added at most can be told: it is asked
    before the test, and again when somebody wants to know.
    """

    def __init__(self, counters: LineCounterSource) -> None:
        self._counters = counters
        self._before: tuple[float, CounterReading | Unavailable] = (0.0, Unavailable("not asked"))
        self.marks: list[CounterMark] = []

    @property
    def kind(self) -> LineCounters:
        """What a measurement says of how the site's own traffic was known."""
        return self._counters.kind

    async def start(self) -> None:
        """A test is about to be set up."""
        self.marks.clear()
        if self._counters.lag_s:
            self._before = (time.monotonic(), await self._counters.ask())

    def mark(self, so_far: LoadSoFar) -> None:
        """The load is running."""
        if self._counters.lag_s:
            return
        for _ in range(_READINGS_AT_MOST):
            before, counters, after = time.monotonic(), self._counters.read(), time.monotonic()
            if after - before < PROMPT_S:
                break
        self.marks.append(CounterMark((before + after) / 2, counters, so_far))

    async def others_bps(self, direction: Direction) -> float:
        """What the line carries while no test runs, over a second; 0 where that cannot be seen."""
        began, before = time.monotonic(), self._counters.read()
        await asyncio.sleep(LOOK_S)
        after = self._counters.read()
        if isinstance(before, Unavailable) or isinstance(after, Unavailable):
            return 0.0
        added = after.since(before)
        if isinstance(added, Unavailable):
            return 0.0
        line_bytes = added.received_ip_bytes if direction is Direction.DOWN else added.sent_ip_bytes
        return max(0.0, line_bytes * 8 / (time.monotonic() - began))

    async def own_traffic(
        self, report: LoadReport, besides: LoadReport | None = None, whole: Sequence[LoadInterval] = ()
    ) -> OwnTraffic | Unavailable:
        """The site's own traffic in the direction of the test that is now through.

        ``besides`` is another load of ours that ran since ``start``, ``whole`` the series of the test from
        its beginning. Waits until the counters have caught up, where they lag behind.
        """
        if not self._counters.lag_s:
            return own_traffic.between(self.marks, report, whole)
        await asyncio.sleep(self._counters.lag_s)
        began, before = self._before
        asked, after = time.monotonic(), await self._counters.ask()
        if isinstance(before, Unavailable):
            return before
        added = after if isinstance(after, Unavailable) else after.since(before)
        if isinstance(added, Unavailable):
            return added
        down = report.direction is Direction.DOWN
        line_bytes = added.received_ip_bytes if down else added.sent_ip_bytes
        for ours in (report, besides):
            if ours is not None:
                line_bytes -= ours.bytes_received if down else ours.bytes_sent
        other_bits = max(0, line_bytes) * 8
        return OwnTraffic(
            other_bits / (asked - began), most_bps=other_bits * 1e6 / report.planned_duration_us
        )
