"""The floor probe: fixed-rate RFC 9946 tests until the floor is proven, refuted or found undecidable.

What the tests mean is in ``agent.floor_rules``; here they are run one after the other, and what the site
itself received or sent meanwhile is read from the line's counters.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent import floor_rules
from agent.floor_rules import Conclusion, Step
from agent.line_counters import Unavailable
from agent.load_meter import LoadMeter
from agent.probes.base import Progress, Reading, Surroundings, Task
from agent.udpstp_client import run_load
from host.units import megabits
from wire.records import (
    Direction,
    Finding,
    FloorMeasurement,
    FloorTest,
    FloorValues,
    Known,
    LineCounters,
    Outcome,
    Verdict,
)
from wire.udpstp import rates
from wire.udpstp.load import Ending, LoadReport

SETUP_TRIES = 4  # a lost control message is never repeated by itself: the whole set-up is (RFC 9946 §6.1)
BUSY_PAUSE_S = 4.0
SETTLE_S = 0.3  # between tests, so that none begins in the other's queue

RunLoad = Callable[[Direction, float, int], Awaitable[LoadReport]]
"""Run one test of a direction at a rate (bit/s, IP layer) for whole seconds; never raises for the line."""


@dataclass(slots=True)
class _Run:
    """What one run has gathered so far."""

    tests: list[FloorTest] = field(default_factory=list)
    bytes_sent: int = 0
    bytes_received: int = 0
    counters_problem: str = ""


class FloorProbe:
    """Is this direction of the line at least as fast as the floor? One task a direction with a floor."""

    record: type[Known] = FloorMeasurement
    alone = True
    deadline_s = 120.0

    def __init__(
        self,
        floors: Mapping[Direction, float],
        interval_s: float,
        meter: LoadMeter,
        run_load: RunLoad,
    ) -> None:
        self._floors = floors
        self._interval_s = interval_s
        self._meter = meter
        self._run_load = run_load

    @classmethod
    def of(cls, surroundings: Surroundings) -> "FloorProbe":
        """The probe as the settings ask for it."""
        settings = surroundings.settings
        floors = {Direction.DOWN: settings.floor.down, Direction.UP: settings.floor.up}
        meter = LoadMeter(surroundings.line_counters)
        return cls(
            {direction: float(floor) for direction, floor in floors.items() if floor is not None},
            float(settings.schedule.floor),
            meter,
            _loader(surroundings, meter),
        )

    def tasks(self) -> Sequence[Task]:
        """One for each direction that has a floor."""
        return [Task("floor", self._interval_s, direction) for direction in self._floors]

    async def run(self, task: Task, progress: Progress) -> Reading:
        """Test until there is a verdict, or until it is clear why there can be none."""
        direction = task.direction or Direction.DOWN
        floor_bps = self._floors[direction]
        run = _Run()
        while isinstance(step := floor_rules.next_step(run.tests, floor_bps), Step):
            if run.tests:
                await asyncio.sleep(SETTLE_S)
            progress(f"{step.why}: {megabits(step.rate_bps)} Mbit/s for {step.seconds} s")
            report, other_bps = await self._test(direction, step, run)
            if report.ending is not Ending.COMPLETED:
                return _failed(report, run)
            run.tests.append(floor_rules.judge(report, floor_bps, other_bps, run.tests))
        return self._concluded(step, floor_bps, run)

    async def _test(self, direction: Direction, step: Step, run: _Run) -> tuple[LoadReport, float | None]:
        """One test, set up again where a control message was lost or the peer was full."""
        for _ in range(SETUP_TRIES):
            self._meter.start()
            report = await self._run_load(direction, step.rate_bps, step.seconds)
            other = self._meter.own_traffic(report)
            run.bytes_sent += report.bytes_sent
            run.bytes_received += report.bytes_received
            if report.ending is Ending.REFUSED and report.refusal in floor_rules.BUSY:
                await asyncio.sleep(BUSY_PAUSE_S)
            elif report.ending is not Ending.NO_ANSWER:
                break
        if isinstance(other, Unavailable):
            run.counters_problem = other.detail
            return report, None
        return report, other

    def _concluded(self, conclusion: Conclusion, floor_bps: float, run: _Run) -> Reading:
        verdict, detail = conclusion.verdict, ""
        knows_own_traffic = self._meter.kind is not LineCounters.NONE and not run.counters_problem
        if verdict is Verdict.FAIL and not knows_own_traffic:
            verdict = Verdict.UNCONFIRMED
            detail = run.counters_problem or "the site's own traffic during the test is not known"
        judged = [test for test in run.tests if test.finding is not Finding.INVALID]
        last = run.tests[-1]
        values = FloorValues(
            verdict=verdict,
            floor_bps=floor_bps,
            line_counters=LineCounters.INLINE if knows_own_traffic else LineCounters.NONE,
            tests=tuple(run.tests),
            at_least_bps=max((test.received_bps for test in judged), default=0.0),
            capacity_bps=last.capacity_bps,
            loss_ratio=judged[0].loss_ratio if judged else None,
        )
        return Reading(
            outcome=Outcome.INVALID if verdict is Verdict.INVALID else Outcome.OK,
            values=values,
            failure=conclusion.failure,
            detail=detail,
            session=last.session,
            bytes_sent=run.bytes_sent,
            bytes_received=run.bytes_received,
        )


def _loader(surroundings: Surroundings, meter: LoadMeter) -> RunLoad:
    peer = surroundings.settings.peer

    async def load(direction: Direction, rate_bps: float, seconds: int) -> LoadReport:
        return await run_load(
            peer.host,
            peer.udpstp_port,
            key_id=peer.key_id,
            secret=surroundings.peer_key,
            direction=direction,
            row=rates.row_for(rate_bps),
            duration_s=seconds,
            on_load=meter.mark,
        )

    return load


def _failed(report: LoadReport, run: _Run) -> Reading:
    return Reading(
        outcome=Outcome.FAILED,
        failure=floor_rules.failure_of(report),
        detail=report.detail[:300],
        session=report.session or None,
        bytes_sent=run.bytes_sent,
        bytes_received=run.bytes_received,
    )
