"""Meter of the line beside a load test: marks of its counters, and the site's own traffic in the test."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence

from agent.line.readings import LineCounterSource, Unavailable
from agent.load.rules import counter_proof, own_traffic
from agent.load.rules.counter_proof import LaggingCounts
from agent.load.rules.own_traffic import CounterMark, OwnTraffic
from wire.records import Direction, LineCounters
from wire.udpstp.load import LoadInterval, LoadReport, LoadSoFar

# Longest reading of the counters that still has a time of its own.
PROMPT_S = 0.002

LOOK_S = 1.0

WATCH_S = 0.1

# Longest wait for counters to contain a test. Routers that refresh them once a minute exist.
PATIENCE_S = 75.0

# Counters without news since a test, and with so little besides it, are those of an idle line.
MOST_IDLE_SHARE = 1.05

_READINGS_AT_MOST = 3
_LOOKS_AT_MOST = 600


class NotAwaited(Unavailable, frozen=True):
    """Counters that had not caught up with a test whose verdict they cannot change."""


class LoadMeter:
    """Meter of one test at a time: reads the counters whenever ``mark`` is called, and meanwhile by itself.

    Counters that lag behind (SNMP) are asked from before the test until they contain it. They show only how
    much the whole test added at most. ``distrust`` is the reason not to believe counters that did not rise
    and fall with our load the last time.
    """

    def __init__(self, counters: LineCounterSource) -> None:
        self._counters = counters
        self._lagging = LaggingCounts(counters.lag_s)
        self._looks: deque[CounterMark] = deque(maxlen=_LOOKS_AT_MOST)
        self._watching: asyncio.Task[None] | None = None
        self.distrust: Unavailable | None = None
        self.patience_s = PATIENCE_S
        self.marks: list[CounterMark] = []

    @property
    def kind(self) -> LineCounters:
        """Kind of the counters, for the record of a measurement."""
        return self._counters.kind

    def kind_unless(self, problem: str) -> LineCounters:
        """Kind of the counters, or that they are unusable because of a ``problem``."""
        return LineCounters.UNUSABLE if problem and self.kind is not LineCounters.NONE else self.kind

    def watch(self) -> None:
        """Read the counters from now on, until ``stop``."""
        if self._watching is None and self.kind is not LineCounters.NONE:
            self._looks.clear()
            self._watching = asyncio.create_task(self._watch())

    def stop(self) -> None:
        """Read no more."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _watch(self) -> None:
        while not self._counters.lag_s:
            self._looks.append(CounterMark(time.monotonic(), self._counters.read(), LoadSoFar()))
            await asyncio.sleep(WATCH_S)
        while True:
            await self._ask()
            await asyncio.sleep(self._counters.lag_s / 5)

    async def _ask(self) -> None:
        asked_s = asyncio.get_running_loop().time()
        self._lagging.take(asked_s, await self._counters.ask())

    async def start(self) -> None:
        """Begin a test, before its set-up."""
        self.marks.clear()
        if self._counters.lag_s:
            self.stop()
            self._lagging = LaggingCounts(self._counters.lag_s)
            await self._ask()
        self.watch()

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
        self,
        report: LoadReport,
        besides: LoadReport | None = None,
        whole: Sequence[LoadInterval] = (),
        *,
        needed: bool = True,
    ) -> OwnTraffic | Unavailable:
        """The site's own traffic in the direction of the test that has just ended.

        ``besides`` is another load of ours since ``start``. ``whole`` is the series of the test from its
        begin. Waits until counters that lag behind have caught up; no longer than their lag if the answer is
        not ``needed``.
        """
        try:
            if self._counters.lag_s:
                return await self._lagging_traffic(report, besides, needed=needed)
        finally:
            self.stop()
        loaded, down = own_traffic.under_load(self.marks), report.direction is Direction.DOWN
        hold = None if besides else counter_proof.steps_hold(self._looks, loaded, report, down=down)
        if hold is not None:
            self.distrust = None if hold else _NO_STEP
        return self.distrust or own_traffic.between(self.marks, report, whole)

    async def _lagging_traffic(
        self, report: LoadReport, besides: LoadReport | None, *, needed: bool
    ) -> OwnTraffic | Unavailable:
        down = report.direction is Direction.DOWN
        own = sum(one.received_ip_bytes if down else one.sent_ip_bytes for one in (report, besides) if one)
        settled = await self._caught_up(own, down=down, needed=needed)
        grown = self._lagging.added()
        if isinstance(grown, Unavailable):
            return grown
        added, seconds = grown
        line_bytes = added.received_ip_bytes if down else added.sent_ip_bytes
        unproven = own_traffic.unproven(line_bytes, own)
        if unproven is not None or not (settled or line_bytes <= MOST_IDLE_SHARE * own or not needed):
            unproven = unproven or _TOO_SELDOM
            return unproven if needed else NotAwaited(unproven.detail)
        for ours in (report, besides):
            if ours is not None:
                # The counters include our own load, and the trains beside it.
                line_bytes -= ours.bytes_received if down else ours.bytes_sent
        other_bits = max(0, line_bytes) * 8
        return OwnTraffic(other_bits / seconds, most_bps=other_bits * 1e6 / report.planned_duration_us)

    async def _caught_up(self, own: int, *, down: bool, needed: bool) -> bool:
        """Wait until the counters contain the load; False if they did not while there was patience."""
        loop = asyncio.get_running_loop()
        lag_s, ended_s = self._counters.lag_s, loop.time()
        await asyncio.sleep(lag_s)
        await self._ask()
        until_s = ended_s + (min(self.patience_s, 15 * lag_s) if needed else 0.0)
        settled = self._lagging.is_settled(ended_s, own, down=down)
        while not settled and loop.time() < until_s:
            await asyncio.sleep(lag_s / 5)
            settled = self._lagging.is_settled(ended_s, own, down=down)
        self.patience_s = max(0.0, self.patience_s - (loop.time() - ended_s - lag_s))
        return settled


_TOO_SELDOM = Unavailable(
    "the counters are refreshed too seldom to tell what else crossed the line in the test"
)
_NO_STEP = Unavailable(
    "the counters do not rise and fall with the agent's own load: they count another line or interface"
)
