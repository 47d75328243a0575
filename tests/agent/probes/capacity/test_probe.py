"""The capacity probe: what it may cost, what it makes of failures, and one real search over loopback."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.configuration import SCHEDULE, SETTINGS
from agent.line.counters import NoSource
from agent.load.line_meter import LoadMeter
from agent.probes.capacity import probe as capacity
from agent.probes.capacity.byte_budget import ByteBudget
from agent.probes.capacity.probe import CapacityProbe
from agent.probes.capacity.settings import CapacitySettings
from agent.settings import hours
from agent.settings.sections import JournalSettings, PeerAccessSettings, ScheduleSettings
from agent.task.task import ProbeContext, Progress, Reading, Task
from host.units import BitRate, ByteSize, Seconds
from peer.admission import Admission
from peer.admission import AdmissionLimits as Room
from peer.udpstp import UdpstpServer
from tests.agent.fakes import FakeClock
from tests.agent.load.rules.test_capacity import report, series
from wire.records import Algorithm, Bound, CapacityValues, Direction, Failure, LatencyUnderLoad, Outcome
from wire.udpstp.load import Ending, LoadReport
from wire.udpstp.reception import Limits

DOWN = Task("capacity", 3600, Direction.DOWN)
CHOSEN = CapacitySettings(
    highest=BitRate(100_000_000), duration=Seconds(10), day_budget=ByteSize(300_000_000),
    month_budget=ByteSize(500_000_000),
)  # fmt: skip
WORST = 140_250_000
FOUND = replace(report(series((40, 20, 50))), bytes_sent=1_000_000, bytes_received=50_000_000)


class Searches:
    """Gives one report after the other, the last one again and again; keeps the limits it was given."""

    def __init__(self, *reports: LoadReport | BaseException) -> None:
        self._reports = list(reports)
        self.limits: list[int] = []

    async def __call__(
        self, direction: Direction, byte_limit: int, progress: Progress
    ) -> tuple[LoadReport, LatencyUnderLoad | None]:
        self.limits.append(byte_limit)
        found = self._reports.pop(0) if len(self._reports) > 1 else self._reports[0]
        if isinstance(found, BaseException):
            raise found
        return found, None


def probe(
    folder: Path, search: Searches, settings: CapacitySettings = CHOSEN
) -> tuple[CapacityProbe, ByteBudget, FakeClock]:
    clock = FakeClock()
    budget = ByteBudget(folder / "b.json", int(settings.day_budget), int(settings.month_budget))
    made = CapacityProbe(settings, 3600, LoadMeter(NoSource()), budget, clock.read, search)
    return made, budget, clock


def run(made: CapacityProbe) -> Reading:
    return asyncio.run(made.run(DOWN, lambda _: None))


def test_a_search_is_recorded_and_its_bytes_are_spent(tmp_path: Path) -> None:
    search = Searches(FOUND)
    made, budget, clock = probe(tmp_path, search)
    reading = run(made)
    assert (reading.outcome, reading.failure, reading.detail) == (Outcome.OK, None, "")
    assert isinstance(reading.values, CapacityValues)
    assert reading.values.maximum_bps == pytest.approx(20e6)
    assert (reading.bytes_sent, reading.bytes_received) == (1_000_000, 50_000_000)
    assert search.limits == [WORST] == [made.worst_case]
    assert budget.left(clock.read()).byte_count == 300_000_000 - 51_000_000


def test_what_is_left_limits_a_search_and_too_little_skips_it(tmp_path: Path) -> None:
    search = Searches(FOUND)
    made, budget, clock = probe(tmp_path, search)
    budget.book(250_000_000, clock.read())
    assert run(made).outcome is Outcome.OK
    assert search.limits == [50_000_000]
    reading = run(made)
    assert (reading.outcome, reading.failure) == (Outcome.SKIPPED, Failure.BUDGET_SPENT)
    assert reading.detail.startswith("byte budget: 0.30 of 0.30 GB spent today, 0.30 of 0.50 GB this month; ")
    assert (reading.values, reading.bytes_sent, len(search.limits)) == (None, 0, 1)


def test_a_search_that_was_cut_off_stays_booked(tmp_path: Path) -> None:
    made, budget, clock = probe(tmp_path, Searches(asyncio.CancelledError()))
    with pytest.raises(asyncio.CancelledError):
        run(made)
    assert budget.left(clock.read()).byte_count == 300_000_000 - WORST


def test_a_full_peer_and_a_lost_message_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "BUSY_PAUSE_S", 0)
    busy = replace(FOUND, ending=Ending.REFUSED, refusal=10, bytes_sent=84, bytes_received=84, intervals=())
    lost = replace(busy, ending=Ending.NO_ANSWER, refusal=None, bytes_received=0)
    search = Searches(busy, lost, FOUND)
    made, budget, clock = probe(tmp_path, search)
    reading = run(made)
    assert reading.outcome is Outcome.OK
    assert search.limits == [WORST, WORST - 168, WORST - 252]
    assert budget.left(clock.read()).byte_count == 300_000_000 - 51_000_252
    made, _, _ = probe(tmp_path, Searches(busy))
    reading = run(made)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.PEER_BUSY)


@pytest.mark.parametrize(("found", "outcome", "failure"), [
    (replace(FOUND, ending=Ending.WATCHDOG), Outcome.FAILED, Failure.CONNECTION_LOST),
    (replace(FOUND, ending=Ending.STOPPED, bytes_spent=True), Outcome.OK, None),
    (replace(FOUND, receiver_drops=10_000), Outcome.INVALID, Failure.RECEIVER_SLOW),
    (replace(FOUND, intervals=(), bytes_spent=True), Outcome.INVALID, Failure.BUDGET_SPENT),
])  # fmt: skip
def test_what_becomes_of_other_endings(
    found: LoadReport, outcome: Outcome, failure: Failure | None, tmp_path: Path
) -> None:
    made, _, _ = probe(tmp_path, Searches(found))
    reading = run(made)
    assert (reading.outcome, reading.failure) == (outcome, failure)


def surroundings(folder: Path, port: int = 1, schedule: ScheduleSettings | None = None) -> ProbeContext:
    settings = SETTINGS(
        site="lycee-1", peer=PeerAccessSettings(udpstp_port=port, stamp_port=port, key="secret"),
        journal=JournalSettings(str(folder / "journal.db")),
        schedule=schedule or SCHEDULE(),
        capacity=CapacitySettings(highest=BitRate(10_000_000), duration=Seconds(3), algorithm=Algorithm.C),
    )  # fmt: skip
    return ProbeContext(settings, b"secret", NoSource(), FakeClock().read)


def test_both_directions_in_their_hours_or_never(tmp_path: Path) -> None:
    asked: Sequence[Task] = CapacityProbe.of(surroundings(tmp_path)).tasks()
    assert [task.name for task in asked] == ["capacity down", "capacity up"]
    assert {task.hours for task in asked} == {hours.parse("01:00-05:00")}
    assert {task.interval_s for task in asked} == {30 * 86400.0}
    assert CapacityProbe.of(surroundings(tmp_path, schedule=SCHEDULE(capacity=None))).tasks() == []


def test_a_real_search_over_loopback(tmp_path: Path) -> None:
    async def scenario() -> tuple[Reading, list[str]]:
        room = Admission(Room(20_000_000, 20_000_000, 4))
        server = UdpstpServer("127.0.0.1", 0, {1: b"secret"}, room, Limits(10, 60))
        await server.start()
        lines: list[str] = []
        try:
            made = CapacityProbe.of(surroundings(tmp_path, server.port))
            return await made.run(DOWN, lines.append), lines
        finally:
            await server.stop()

    reading, lines = asyncio.run(scenario())
    assert (reading.outcome, reading.detail) == (Outcome.OK, "")
    assert isinstance(reading.values, CapacityValues)
    assert 5e6 < reading.values.maximum_bps < 10.2e6
    assert reading.values.bound in (Bound.REQUESTED_RATE, Bound.SENDER)
    assert reading.values.algorithm is Algorithm.C
    assert reading.values.under_load is None, "nothing answers STAMP there"
    assert lines[0] == "search down, up to 10.00 Mbit/s"
    assert any("of 3 s" in line for line in lines)
    spent = (tmp_path / "byte-budget.json").read_bytes()
    assert f'"day_bytes":{reading.bytes_sent + reading.bytes_received}'.encode() in spent
