"""Floor probe: fixed-rate RFC 9946 tests until the floor is proven, refuted or found undecidable.

``rules.signs`` judges a test, ``rules.decision`` names the next one, ``fixed_rate`` runs it. This module runs
them one after the other and makes a reading of their verdict.
"""

import asyncio
import math
import secrets
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct, field, structs

from agent.line.readings import Unavailable
from agent.load.latency_under_load import beside_load
from agent.load.line_meter import PATIENCE_S, LoadMeter, NotAwaited
from agent.load.packet_size import SIZES, PacketSize
from agent.load.rules import series as series_rules
from agent.load.rules import validity
from agent.load.rules.own_traffic import OwnTraffic
from agent.load.udpstp_client import run_load
from agent.probes.floor import fixed_rate
from agent.probes.floor.contract import Contract, contracts
from agent.probes.floor.fixed_rate import FixedRateResult, RunLoad
from agent.probes.floor.rules import decision, signs
from agent.probes.floor.rules.decision import Conclusion, Step
from agent.probes.floor.rules.sequence import FloorSequence
from agent.probes.floor.search import search_of
from agent.task.task import ProbeContext, Progress, Reading, RetestRequest, StatefulProbe, Task
from host.clock import second_of_week
from host.units import megabits
from wire.ip_layer import FULL_PACKET_BYTES
from wire.records import (
    Direction,
    Failure,
    Finding,
    FloorMeasurement,
    FloorTest,
    FloorValues,
    LatencyUnderLoad,
    LineCounters,
    LoadSample,
    Measurement,
    Outcome,
    Record,
    Spread,
    Verdict,
)
from wire.udpstp import rates
from wire.udpstp.load import Ending, LoadReport, LoadSoFar

SETUP_TRIES = 4  # a lost control message is not repeated: the caller repeats the set-up (RFC 9946 §6.1)
BUSY_PAUSE_S = 4.0
LEAST_SHARE = 0.25  # of the floor: less fills no queue to speak of, and elastic traffic makes room for it
LEAST_PACKETS = 400  # a test
SETTLE_S = 0.3  # between tests, so that none begins in the other's queue

# Runs a load test of a rate (bit/s) with the round-trip time measured beside it.
Beside = Callable[
    [float, Callable[[], Awaitable[LoadReport]]], Awaitable[tuple[LoadReport, LatencyUnderLoad | None]]
]


class _Run(Struct):
    """Tests and costs of one run so far. ``pre_drain`` is the bytes to send fast before each of its tests."""

    direction: Direction
    contract: Contract
    pre_drain: int = 0
    tests: list[FloorTest] = field(default_factory=list)
    series: list[tuple[LoadSample, ...]] = field(default_factory=list)
    latency: LatencyUnderLoad | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    counters_problem: str = ""
    packet_bytes: float = FULL_PACKET_BYTES

    @property
    def floor_bps(self) -> float:
        """Floor at the IP layer for the packets that are sent."""
        return self.contract.floor_for(self.packet_bytes)

    def take_size_of(self, report: LoadReport) -> None:
        """Note the size of the packets that a test really sent."""
        if report.sent_packets:
            self.packet_bytes = report.sent_ip_bytes / report.sent_packets

    def count(self, *reports: LoadReport | None) -> None:
        """Add the cost of these tests on the line."""
        for report in reports:
            self.bytes_sent += report.bytes_sent if report else 0
            self.bytes_received += report.bytes_received if report else 0

    def recorded_tests(self, verdict: Verdict) -> tuple[FloorTest, ...]:
        """Tests for the record, with their raw series unless the verdict is a pass."""
        # A pass needs no evidence to argue about, and series are nine tenths of a record's bytes.
        if verdict is Verdict.PASS:
            return tuple(self.tests)
        pairs = zip(self.tests, self.series, strict=True)
        return tuple(structs.replace(test, series=series) for test, series in pairs)


class FloorProbe(StatefulProbe):
    """Proves or refutes that a direction of the line reaches the floor; one task a direction with a floor.

    ``sequence`` turns verdicts into a standing. ``quiet`` decides by the idle round-trip time before the test
    if the site's own traffic rests; a fail then counts without line counters. ``suspect`` decides if a
    direction has an open fail.
    """

    record: type[Measurement] = FloorMeasurement
    alone = True
    deadline_s = 180.0

    def __init__(
        self,
        contracts: Mapping[Direction, Contract],
        interval_s: float,
        meter: LoadMeter,
        run_load: RunLoad,
        beside: Beside,
        sequence: FloorSequence,
        pre_drain: int = 0,
        pre_drain_every: int = 1,
        packet_size: PacketSize | None = None,
    ) -> None:
        self._packet_size = packet_size or PacketSize()
        self._contracts = contracts
        self._interval_s = interval_s
        self._meter = meter
        self._run_load = run_load
        self._beside = beside
        self._pre_drain, self._pre_drain_every = pre_drain, pre_drain_every
        # Random, so that a fleet that was started together does not drain together, and a daily restart does
        # not keep the count from ever reaching its end.
        self._runs = {direction: secrets.randbelow(pre_drain_every) for direction in contracts}
        self._sequence = sequence
        self.quiet: Callable[[Spread | None], bool] = sequence.is_quiet
        self.suspect: Callable[[Direction], bool] = sequence.is_suspect

    @classmethod
    def of(cls, context: ProbeContext) -> "FloorProbe":
        """Build the probe that the settings ask for."""
        settings, packet_size = context.settings, PacketSize()

        async def beside(
            load_bps: float, run: Callable[[], Awaitable[LoadReport]]
        ) -> tuple[LoadReport, LatencyUnderLoad | None]:
            return await beside_load(context, load_bps, run)

        return cls(
            contracts(settings.floor),
            settings.every_s("floor") or 0.0,
            LoadMeter(context.line_counters),
            _loader(context, packet_size),
            beside,
            FloorSequence(
                settings.floor,
                context.clock,
                second_of_week,
                search_of(context, packet_size),
                context.line_watch,
            ),
            int(settings.floor.pre_drain),
            settings.floor.pre_drain_every,
            packet_size,
        )

    def tasks(self) -> Sequence[Task]:
        """One task for each direction that has a floor."""
        return [Task("floor", self._interval_s, direction) for direction in self._contracts]

    async def run(self, task: Task, progress: Progress) -> Reading:
        """Test until there is a verdict, or a reason why there can be none."""
        direction = task.direction or Direction.DOWN
        run = _Run(direction, self._contracts[direction], self._bytes_to_drain(direction))
        self._meter.patience_s = PATIENCE_S
        conclusion = await self._climb(run, progress)
        if isinstance(conclusion, Reading):
            return conclusion
        values, failure, detail = self._concluded(conclusion, run)
        sequenced = await self._sequence.add(direction, values)
        return Reading(
            outcome=Outcome.INVALID if values.verdict is Verdict.INVALID else Outcome.OK,
            values=sequenced.values,
            failure=failure,
            detail=detail,
            session=run.tests[-1].session,
            bytes_sent=run.bytes_sent + sequenced.searched.bytes_sent,
            bytes_received=run.bytes_received + sequenced.searched.bytes_received,
            retest=sequenced.retest,
        )

    def can_resume(self, reading: Reading) -> bool:
        """True for a reading that has the standing of its direction."""
        return isinstance(reading.values, FloorValues) and reading.values.standing is not None

    def resume(self, task: Task, record: Record) -> RetestRequest | None:
        """Continue from the standing of the newest record of the direction."""
        values = record.values if isinstance(record, FloorMeasurement) else None
        return self._sequence.resume(task.direction or Direction.DOWN, values) if values else None

    def passive_reading(self, task: Task, slot_us: int) -> Reading | None:
        """Passive pass, if the site itself received enough to prove the floor."""
        direction = task.direction or Direction.DOWN
        contract = self._contracts[direction]
        proven = FloorValues(
            verdict=Verdict.PASS,
            floor_bps=contract.floor_bps,
            layer=contract.layer,
            contract_bps=contract.bps,
            line_counters=self._meter.kind,
            tests=(),
            at_least_bps=contract.floor_bps,
        )
        sequenced = self._sequence.passive(direction, slot_us, proven)
        return Reading(Outcome.OK, sequenced.values, retest=sequenced.retest) if sequenced else None

    def _bytes_to_drain(self, direction: Direction) -> int:
        """Bytes of the pre-drain: now and then, and always while the direction is suspect."""
        self._runs[direction] += 1
        due = self._runs[direction] % self._pre_drain_every == 0
        return self._pre_drain if due or self.suspect(direction) else 0

    async def _climb(self, run: _Run, progress: Progress) -> Conclusion | Reading:
        """Run one test after the other, as the rules ask for them."""
        while isinstance(step := decision.next_step(run.tests, run.floor_bps, run.direction), Step):
            if run.tests:
                await asyncio.sleep(SETTLE_S)
            if step.beside_site:
                step = await self._beside_site(step, run.direction)
            step = structs.replace(step, seconds=max(step.seconds, _seconds_of(step.rate_bps)))
            progress(f"{step.why}: {megabits(step.rate_bps)} Mbit/s for {step.seconds} s")
            tested = await self._test(step, run)
            if not tested.completed:
                return _not_completed(tested.report, run)
            self._judge(tested, run)
        return step

    async def _beside_site(self, step: Step, direction: Direction) -> Step:
        """Step at its rate minus the site's own traffic of this moment."""
        other_bps = await self._meter.others_bps(direction)
        return structs.replace(step, rate_bps=max(step.rate_bps - other_bps, LEAST_SHARE * step.rate_bps))

    async def _test(self, step: Step, run: _Run) -> FixedRateResult:
        """Run one test; set it up again if a control message was lost or the peer was full."""
        for _ in range(SETUP_TRIES):
            tested = await self._once(step, run)
            run.count(tested.report, tested.drained)
            if tested.report.ending is Ending.REFUSED and tested.report.refusal in validity.BUSY:
                await asyncio.sleep(BUSY_PAUSE_S)
            elif self._packet_size.shrinks_after(tested.report):
                continue
            # Only a lost control message is worth another try: any other failure would repeat itself.
            elif tested.report.ending not in validity.RETRIED:
                break
        return tested

    async def _once(self, step: Step, run: _Run) -> FixedRateResult:
        """Make one attempt; the first test of a run has the round-trip time measured beside it."""
        self._meter.watch()
        plan = fixed_rate.FixedRatePlan(
            run.direction, run.floor_bps, step.rate_bps, step.seconds, run.pre_drain
        )
        if run.tests:
            return await fixed_rate.run_test(plan, self._meter, self._run_load)
        gathered: list[FixedRateResult] = []

        async def load() -> LoadReport:
            gathered.append(await fixed_rate.run_test(plan, self._meter, self._run_load))
            return gathered[0].report

        report, latency = await self._beside(step.rate_bps, load)
        # Packets that waited in the queue of the pre-drain say nothing of the test.
        run.latency = (
            structs.replace(latency, loaded=None, loss_ratio=None) if latency and run.pre_drain else latency
        )
        return structs.replace(gathered[0], report=report)

    def _judge(self, tested: FixedRateResult, run: _Run) -> None:
        own = tested.own
        if isinstance(own, Unavailable) and not isinstance(own, NotAwaited):
            run.counters_problem = run.counters_problem or own.detail
        known = own if isinstance(own, OwnTraffic) else None
        run.take_size_of(tested.report)
        test = signs.judge(
            tested.report,
            run.floor_bps,
            known,
            run.tests,
            ended_early=tested.ended_early,
            pre_drained=tested.drained is not None,
        )
        predrain_bytes = tested.drained.sent_ip_bytes if tested.drained else 0
        run.tests.append(structs.replace(test, predrain_bytes=predrain_bytes))
        run.series.append(series_rules.samples(tested.report.intervals))

    def _concluded(self, conclusion: Conclusion, run: _Run) -> tuple[FloorValues, Failure | None, str]:
        verdict, detail = conclusion.verdict, _DETAILS.get(conclusion.verdict, "")
        known = self._meter.kind is not LineCounters.NONE and not run.counters_problem
        quiet = self.quiet(run.latency.idle if run.latency else None)
        # The site itself may have used the line, and nothing shows it.
        if verdict is Verdict.FAIL and not known and not quiet:
            verdict = Verdict.UNCONFIRMED
            detail = run.counters_problem or "the site's own traffic during the test is not known"
        capacity_bps = run.tests[-1].capacity_bps
        if verdict is Verdict.FAIL and not run.contract.surely_missed(capacity_bps or 0.0, run.packet_bytes):
            verdict = Verdict.UNDETERMINED
            detail = (
                f"the peer sends packets of {run.packet_bytes:.0f} B: the line's headers may explain the lack"
            )
        if conclusion.failure is Failure.SITE_IN_USE:
            detail = "the test was stopped early: the site was using the line"
        judged = [test for test in run.tests if test.finding is not Finding.INVALID]
        values = FloorValues(
            verdict=verdict,
            floor_bps=run.contract.floor_bps,
            layer=run.contract.layer,
            contract_bps=run.contract.bps,
            line_counters=self._meter.kind_unless(run.counters_problem),
            tests=run.recorded_tests(verdict),
            at_least_bps=max((test.received_bps for test in judged), default=0.0),
            capacity_bps=run.tests[-1].capacity_bps,
            loss_ratio=judged[0].loss_ratio if judged else None,
            under_load=run.latency,
            quiet=quiet,
        )
        return values, conclusion.failure, detail


_DETAILS = {Verdict.UNCONFIRMED: "the site was using the line: its own traffic may explain what is missing"}


def _seconds_of(rate_bps: float) -> int:
    """Seconds that a rate takes for enough packets: of few, two lost ones are more than 1 %."""
    row_bps = rates.bits_per_second(rates.sending_rate(rates.row_for(rate_bps)))
    return math.ceil(LEAST_PACKETS * 8 * SIZES[0] / row_bps)


def _loader(context: ProbeContext, packet_size: PacketSize) -> RunLoad:
    peer = context.settings.peer

    async def load(
        direction: Direction,
        rate_bps: float,
        seconds: int,
        *,
        on_load: Callable[[LoadSoFar], None],
        cancel: threading.Event,
    ) -> LoadReport:
        return await run_load(
            await context.peer_host(),
            peer.udpstp_port,
            key_id=peer.key_id,
            secret=context.peer_key,
            direction=direction,
            row=rates.row_for(rate_bps),
            duration_s=seconds,
            packet_bytes=packet_size.of(direction),
            auth_offset_s=context.peer_ahead_s,
            on_load=on_load,
            cancel=cancel,
        )

    return load


def _not_completed(report: LoadReport, run: _Run) -> Reading:
    return Reading(
        outcome=Outcome.FAILED,
        failure=validity.failure_of(report),
        detail=report.detail[:300],
        session=report.session or None,
        bytes_sent=run.bytes_sent,
        bytes_received=run.bytes_received,
    )
