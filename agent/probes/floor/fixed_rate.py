"""One fixed-rate test of the floor probe: its load, the counters read meanwhile, and its pre-drain.

``agent.probes.floor.rules.signs`` judges the test.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from msgspec import Struct

from agent.line.readings import Unavailable
from agent.load.line_meter import LoadMeter
from agent.load.rules import series
from agent.load.rules.own_traffic import OwnTraffic, should_give_way
from agent.probes.floor.rules import decision, signs
from agent.probes.floor.rules.decision import FASTEST_BPS
from wire.records import Direction, Verdict
from wire.udpstp.load import Ending, LoadReport, LoadSoFar

# Rate of a pre-drain, as a multiple of the floor: the bucket refills by a small part of it meanwhile.
DRAIN_RATIO = 6.0

LEAST_DRAIN_RATIO = 2.0
LONGEST_DRAIN_S = 10
LONGEST_QUEUE_S = 5.0
# Planned length of a test with a pre-drain in it; it is ended when its own seconds are over.
DRAINED_TEST_S = 25


class RunLoad(Protocol):
    """Runner of one fixed-rate test; it never raises for what the line or the peer do."""

    async def __call__(
        self,
        direction: Direction,
        rate_bps: float,
        seconds: int,
        *,
        on_load: Callable[[LoadSoFar], None],
        cancel: threading.Event,
    ) -> LoadReport:
        """Run a test; ``rate_bps`` is at the IP layer, the rest as in ``agent.load.udpstp_client``."""
        ...


class FixedRatePlan(Struct, frozen=True):
    """Plan of one test: direction, floor and rate (bit/s), and the bytes of its pre-drain (0 for none)."""

    direction: Direction
    floor_bps: float
    rate_bps: float
    seconds: int
    pre_drain: int = 0


class FixedRateResult(Struct, frozen=True):
    """Result of a test.

    ``report`` is cut to the part to judge; ``drained`` is the report of the pre-drain.
    """

    report: LoadReport
    own: OwnTraffic | Unavailable
    completed: bool
    ended_early: bool = False
    drained: LoadReport | None = None


async def run_test(plan: FixedRatePlan, meter: LoadMeter, run_load: RunLoad) -> FixedRateResult:
    """Run the test. It ends early if the site needs the line."""
    await meter.start()
    load, drained = _Load(plan, meter), None
    try:
        if plan.pre_drain:
            report, drained = await _with_pre_drain(load, run_load)
        else:
            load.judge_from_now()
            report = await run_load(
                plan.direction, plan.rate_bps, plan.seconds, on_load=load.on_load, cancel=load.cancel
            )
        return await _tested(load, report, drained)
    finally:
        meter.stop()


class _Load:
    """One running test: takes marks of the counters, and ends the test when it gives way."""

    def __init__(self, plan: FixedRatePlan, meter: LoadMeter) -> None:
        self.plan, self.meter = plan, meter
        self.cancel = threading.Event()
        self.began = asyncio.Event()
        self._newest = LoadSoFar()
        self._passed = asyncio.Event()
        self._passed_s: float | None = None
        self._passed_packets: int | None = None
        self.gave_way = False
        self.began_s = 0.0
        self.judged_s: float | None = None

    def judge_from_now(self) -> None:
        self.judged_s = time.monotonic()

    async def burst_to_pass(self, drained: LoadReport) -> None:
        """Wait until the last bytes of a burst that has ended have left the queue."""
        if self.plan.direction is Direction.DOWN:
            # The peer stopped it within a round trip: a packet of this test that was sent later is behind it.
            self._passed_s = time.monotonic() + (drained.rtt_min_us or 0) / 1e6
        else:
            # Packets of this test that were sent before the burst ended wait no longer than the burst.
            self._passed_packets = self._newest.sent_packets
        with suppress(TimeoutError):
            await asyncio.wait_for(self._passed.wait(), LONGEST_QUEUE_S)

    def _note_passing(self, so_far: LoadSoFar) -> None:
        if self._passed_packets is not None:
            is_over = so_far.packets + so_far.lost_packets >= self._passed_packets
        else:
            sent_s = time.monotonic() - so_far.delay_us / 1e6
            is_over = self._passed_s is not None and sent_s >= self._passed_s
        if is_over:
            self._passed.set()

    def on_load(self, so_far: LoadSoFar) -> None:
        now, plan = time.monotonic(), self.plan
        self._newest = so_far
        self._note_passing(so_far)
        if not self.began.is_set():
            self.began_s = now
            self.began.set()
        if self.judged_s is None:
            return
        self.meter.mark(so_far)
        if should_give_way(self.meter.marks, plan.direction, plan.floor_bps):
            self.gave_way = True
            self.cancel.set()
        elif plan.pre_drain and now >= self.judged_s + plan.seconds:
            self.cancel.set()

    def part_to_judge(self, report: LoadReport) -> LoadReport:
        """Report of the seconds after a pre-drain or before the test gave way; the whole without either."""
        if not self.cancel.is_set() or self.judged_s is None or not report.intervals:
            return report
        begin_us = max(0, round((self.judged_s - self.began_s) * 1e6))
        part = series.part_of(report, begin_us, report.intervals[-1].offset_us)
        return report if part is None else part


async def _tested(load: _Load, report: LoadReport, drained: LoadReport | None) -> FixedRateResult:
    judged = load.part_to_judge(report)
    stopped_by_us = report.ending is Ending.STOPPED and load.cancel.is_set()
    completed = report.ending is Ending.COMPLETED or stopped_by_us
    own: OwnTraffic | Unavailable = Unavailable("the test was not completed")
    if completed:
        alone = signs.judge(judged, load.plan.floor_bps, None, pre_drained=drained is not None)
        passes = decision.verdict_of(alone, load.plan.floor_bps) is Verdict.PASS
        own = await load.meter.own_traffic(judged, drained, report.intervals, needed=not passes)
    return FixedRateResult(judged, own, completed, load.gave_way, drained)


async def _with_pre_drain(load: _Load, run_load: RunLoad) -> tuple[LoadReport, LoadReport | None]:
    """Run the test and, while its load is on, the pre-drain.

    In a pause between them the bucket would refill.
    """
    plan = load.plan
    running = asyncio.ensure_future(
        run_load(plan.direction, plan.rate_bps, DRAINED_TEST_S, on_load=load.on_load, cancel=load.cancel)
    )
    try:
        began = asyncio.ensure_future(load.began.wait())
        await asyncio.wait({running, began}, return_when=asyncio.FIRST_COMPLETED)
        began.cancel()
        drained = None if running.done() else await _pre_drain(plan, run_load)
        if drained is not None:
            passing = asyncio.ensure_future(load.burst_to_pass(drained))
            await asyncio.wait({running, passing}, return_when=asyncio.FIRST_COMPLETED)
            passing.cancel()
        load.judge_from_now()
        return await running, drained
    finally:
        if not running.done():
            running.cancel()
            await asyncio.wait({running})


async def _pre_drain(plan: FixedRatePlan, run_load: RunLoad) -> LoadReport | None:
    """Send the bytes as fast as the peer allows; None if it allows nothing much faster than the floor."""
    rate_bps = min(DRAIN_RATIO * plan.floor_bps, FASTEST_BPS)
    while rate_bps >= min(LEAST_DRAIN_RATIO * plan.floor_bps, FASTEST_BPS):
        burst = _Burst(plan.pre_drain * 8 / rate_bps)
        seconds = min(int(burst.seconds) + 2, LONGEST_DRAIN_S)
        report = await run_load(plan.direction, rate_bps, seconds, on_load=burst.on_load, cancel=burst.enough)
        if report.ending not in (Ending.REFUSED, Ending.COERCED):
            return report
        rate_bps /= 2
    return None


class _Burst:
    """Load that ends a fraction of a second after it began; the protocol knows whole seconds only."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.enough = threading.Event()
        self._begun = False

    def on_load(self, _: LoadSoFar) -> None:
        if not self._begun:
            self._begun = True
            asyncio.get_running_loop().call_later(self.seconds, self.enough.set)
