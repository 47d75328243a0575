"""Meter of the line beside a load test: marks of its counters, and the site's own traffic in the test."""

import asyncio
import time
from collections.abc import Sequence

from agent.line.readings import CounterReading, LineCounterSource, Unavailable
from agent.load.rules import own_traffic
from agent.load.rules.own_traffic import CounterMark, OwnTraffic
from wire.records import Direction, LineCounters
from wire.udpstp.load import LoadInterval, LoadReport, LoadSoFar

# Longest reading of the counters that still has a time of its own.
PROMPT_S = 0.002

LOOK_S = 1.0

_READINGS_AT_MOST = 3


class LoadMeter:
    """Meter of one test at a time: reads the counters whenever ``mark`` is called.

    Counters that lag behind (SNMP) are asked before the test and after their lag. They show only how much the
    whole test added at most.
    """

    def __init__(self, counters: LineCounterSource) -> None:
        self._counters = counters
        self._before: tuple[float, CounterReading | Unavailable] = (0.0, Unavailable("not asked"))
        self.marks: list[CounterMark] = []

    @property
    def kind(self) -> LineCounters:
        """Kind of the counters, for the record of a measurement."""
        return self._counters.kind

    async def start(self) -> None:
        """Begin a test, before its set-up."""
        self.marks.clear()
        if self._counters.lag_s:
            self._before = (time.monotonic(), await self._counters.ask())

    def mark(self, so_far: LoadSoFar) -> None:
        """Take a mark while the load runs."""
        if self._counters.lag_s:
            return
        # A process that lost the processor during a reading reads again: its time would be wrong.
        for _ in range(_READINGS_AT_MOST):
            before, counters, after = time.monotonic(), self._counters.read(), time.monotonic()
            if after - before < PROMPT_S:
                break
        self.marks.append(CounterMark((before + after) / 2, counters, so_far))

    async def others_bps(self, direction: Direction) -> float:
        """Traffic of the line over a second without a test, bit/s; 0 where it cannot be seen."""
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
        """The site's own traffic in the direction of the test that has just ended.

        ``besides`` is another load of ours since ``start``. ``whole`` is the series of the test from its
        begin. Waits until counters that lag behind have caught up.
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
        own = sum(one.received_ip_bytes if down else one.sent_ip_bytes for one in (report, besides) if one)
        if (unproven := own_traffic.unproven(line_bytes, own)) is not None:
            return unproven
        for ours in (report, besides):
            if ours is not None:
                # The counters include our own load, and the trains beside it.
                line_bytes -= ours.bytes_received if down else ours.bytes_sent
        other_bits = max(0, line_bytes) * 8
        return OwnTraffic(
            other_bits / (asked - began), most_bps=other_bits * 1e6 / report.planned_duration_us
        )
