"""Capacity probe: a search for the Maximum IP-Layer Capacity (RFC 9097, RFC 9946), within a byte budget.

``agent.load.rules.capacity`` has the result of a search, ``byte_budget`` its cost.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from msgspec import structs

from agent.line.readings import Unavailable
from agent.load.latency_under_load import beside_load
from agent.load.line_meter import LoadMeter
from agent.load.packet_size import PacketSize
from agent.load.rules import validity
from agent.load.rules.own_traffic import OwnTraffic
from agent.load.udpstp_client import run_search
from agent.probes.capacity.byte_budget import ByteBudget
from agent.probes.capacity.settings import CapacitySettings
from agent.settings import hours
from agent.settings.hours import Hours
from agent.task.task import ProbeContext, Progress, Reading, Task
from host.units import megabits
from wire.records import (
    CapacityMeasurement,
    ClockReading,
    Direction,
    Failure,
    LatencyUnderLoad,
    Measurement,
    Outcome,
)
from wire.udpstp.load import Ending, LoadReport

SETUP_TRIES = 4  # a lost control message is not repeated: the caller repeats the set-up (RFC 9946 §6.1)
BUSY_PAUSE_S = 4.0
# Factor for feedback, set-up and trains beside the load: 1 % at 8 Mbit/s, less above.
OVERHEAD = 1.02

# Time of load at the highest rate that still arrives after a stop.
DRAIN_S = 1.0

# Ten seconds of a line of twice the usual floor. A search with fewer bytes shows nothing.
LEAST_BYTES = 20_000_000

# Highest cost of the trains beside a search: 600 packets and their replies.
TRAINS_BYTES = 100_000

BUDGET_FILE = "byte-budget.json"

# Searches a direction within a limit of bytes; never raises for the line.
RunSearch = Callable[[Direction, int, Progress], Awaitable[tuple[LoadReport, LatencyUnderLoad | None]]]


class CapacityProbe:
    """Probe of the capacity within the byte ``budget``, with one task a direction."""

    record: type[Measurement] = CapacityMeasurement
    alone = True

    def __init__(
        self,
        settings: CapacitySettings,
        interval_s: float | None,
        meter: LoadMeter,
        budget: ByteBudget,
        clock: Callable[[], ClockReading],
        run_search: RunSearch,
    ) -> None:
        self._settings = settings
        self._interval_s = interval_s
        self._hours: Hours = hours.parse(settings.hours)
        self._meter = meter
        self.budget = budget
        self._clock = clock
        self._run_search = run_search
        self.deadline_s = SETUP_TRIES * (float(settings.duration) + BUSY_PAUSE_S + 10.0)

    @classmethod
    def of(cls, context: ProbeContext) -> "CapacityProbe":
        """Build the probe that the settings ask for."""
        chosen = context.settings
        meter = LoadMeter(context.line_counters)
        return cls(
            chosen.section(CapacitySettings),
            chosen.every_s("capacity"),
            meter,
            budget_of(context),
            context.clock,
            _searcher(context, meter),
        )

    def tasks(self) -> Sequence[Task]:
        """Tasks of both directions, in their hours; none where the schedule says never."""
        if self._interval_s is None:
            return []
        return [Task("capacity", self._interval_s, direction, hours=self._hours) for direction in Direction]

    @property
    def worst_case(self) -> int:
        """Bytes of a search that climbs to the highest rate at once."""
        seconds = float(self._settings.duration) + DRAIN_S
        return round(float(self._settings.highest) / 8 * seconds * OVERHEAD)

    async def run(self, task: Task, progress: Progress) -> Reading:
        """Search once, within the budget."""
        left = self.budget.left(self._clock())
        allowed = min(left.byte_count, self.worst_case)
        # A search that has to end at once finds no maximum, and its bytes would be wasted.
        if allowed < min(LEAST_BYTES, self.worst_case):
            return Reading(Outcome.SKIPPED, failure=Failure.BUDGET_SPENT, detail=left.words)
        # Before the search: after a crash in its middle the bytes stay booked.
        self.budget.book(allowed, self._clock())
        spent, reading = 0, None
        try:
            reading = await self._search(task.direction or Direction.DOWN, allowed, progress)
            spent = reading.bytes_sent + reading.bytes_received
        finally:
            # A search that was cut off stays booked, because its cost is not known.
            if reading is not None:
                self.budget.book(spent - allowed, self._clock())
        return reading

    async def _search(self, direction: Direction, allowed: int, progress: Progress) -> Reading:
        """Search once; set up again if a control message was lost or the peer was full."""
        sent = received = 0
        for _ in range(SETUP_TRIES):
            await self._meter.start()
            report, latency = await self._run_search(direction, allowed - sent - received, progress)
            sent, received = sent + report.bytes_sent, received + report.bytes_received
            if report.ending is Ending.REFUSED and report.refusal in validity.BUSY:
                progress("the peer is full: another try in 4 s")
                await asyncio.sleep(BUSY_PAUSE_S)
            elif report.ending not in validity.RETRIED:
                break
        return await self._read(report, latency, sent, received)

    async def _read(
        self, report: LoadReport, latency: LatencyUnderLoad | None, sent: int, received: int
    ) -> Reading:
        from agent.load.rules import capacity as capacity_rules  # seldom needed: kept out of memory

        session = report.session or None
        if not capacity_rules.is_usable(report):
            failure = validity.failure_of(report)
            return Reading(
                Outcome.FAILED, failure=failure, detail=report.detail[:300], session=session,
                bytes_sent=sent, bytes_received=received,
            )  # fmt: skip
        failure_found = capacity_rules.why_invalid(report)
        own = await self._meter.own_traffic(report, needed=False)
        problem = own.detail if isinstance(own, Unavailable) else ""
        values = None
        if capacity_rules.sub_intervals(report.intervals):
            values = capacity_rules.values(
                report,
                self._meter.kind_unless(problem),
                other_bps=own.bps if isinstance(own, OwnTraffic) else None,
                under_load=latency,
            )
        return Reading(
            Outcome.OK if failure_found is None else Outcome.INVALID, values=values, failure=failure_found,
            detail=report.detail[:300], session=session, bytes_sent=sent, bytes_received=received,
        )  # fmt: skip


def budget_of(context: ProbeContext) -> ByteBudget:
    """Budget of this agent's line; its file is beside the journal."""
    chosen = context.settings
    path = Path(chosen.journal.path).with_name(BUDGET_FILE)
    capacity = chosen.section(CapacitySettings)
    return ByteBudget(path, int(capacity.day_budget), int(capacity.month_budget))


def _searcher(context: ProbeContext, meter: LoadMeter) -> RunSearch:
    peer = context.settings.peer
    capacity, packet_size = context.settings.section(CapacitySettings), PacketSize()

    async def search(
        direction: Direction, byte_limit: int, progress: Progress
    ) -> tuple[LoadReport, LatencyUnderLoad | None]:
        async def load() -> LoadReport:
            return await run_search(
                await context.peer_host(),
                peer.udpstp_port,
                key_id=peer.key_id,
                secret=context.peer_key,
                direction=direction,
                highest_bps=float(capacity.highest),
                duration_s=round(capacity.duration),
                algorithm=capacity.algorithm,
                packet_bytes=packet_size.of(direction),
                byte_limit=byte_limit - TRAINS_BYTES,
                auth_offset_s=context.peer_ahead_s,
                progress=progress,
                on_load=meter.mark,
            )

        progress(f"search {direction}, up to {megabits(capacity.highest)} Mbit/s")
        report, latency = await beside_load(context, float(capacity.highest), load)
        while packet_size.shrinks_after(report):
            report, latency = await beside_load(context, float(capacity.highest), load)
        return report, latency and structs.replace(latency, load_bps=report.sent_bps)

    return search
