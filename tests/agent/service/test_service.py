"""The resident agent with fake probes, a real journal, and no broker."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace as changed

from agent.configuration import SCHEDULE, SETTINGS
from agent.schedule.runner import LINE_WAIT_S
from agent.service import service as agent_resident
from agent.service import status_file
from agent.service.service import Resident
from agent.settings.hours import NEVER
from agent.settings.sections import AgentSettings, JournalSettings, PeerAccessSettings
from agent.task.task import ReactingProbe, Reading, RetestRequest, StatefulProbe, Task
from agent.task.watch import EmitEvent, Watch, WatchEvent
from agent.uplink.uplink import Uplink
from host.clock import Clock
from host.units import Seconds
from net.mqtt import Broker
from outbox.journal import file as journal_file
from outbox.journal.journal import Journal
from outbox.journal.thread import JournalThread
from tests.agent.fakes import DAILY, GOOD, FakeProbe
from tests.processes import free_port
from wire.messages import envelope as messages
from wire.messages.envelope import Fault
from wire.records import (
    ClockChange,
    ClockMeasurement,
    ClockValues,
    Failure,
    Outcome,
    Purpose,
    Record,
    StampMeasurement,
)

WITHIN_S = 20.0
HOURLY = Task("stamp", 3600, dscp=46)
TRACE = Task("stamp", 3600, dscp=10, hours=NEVER)


def settings(directory: Path) -> AgentSettings:
    return SETTINGS(
        site="0631234A",
        peer=PeerAccessSettings(key="k"),
        schedule=SCHEDULE(first_within=Seconds(0)),
        journal=JournalSettings(path=str(directory / "state" / "journal.db")),
        broker=Broker(port=free_port()),
        runtime_directory=str(directory / "run"),
    )


class Heeder(FakeProbe, ReactingProbe):
    """Wants its second task, which the schedule never starts, run after its first."""

    def __init__(self) -> None:
        super().__init__(asked=[HOURLY, TRACE])
        self.heeded: list[tuple[Task, Reading]] = []

    def react(self, task: Task, reading: Reading, now_us: int) -> Task | None:
        assert now_us > 0
        self.heeded.append((task, reading))
        return TRACE if task == HOURLY else None


class Learner(FakeProbe, StatefulProbe):
    """Asks once to be run again, and remembers what it is told."""

    def __init__(self, wish: RetestRequest | None = None, passive: Reading | None = None) -> None:
        super().__init__(asked=[HOURLY])
        self.wish, self.passive = wish, passive
        self.recalled: list[Record] = []
        self.slots: list[int] = []

    def can_resume(self, reading: Reading) -> bool:
        return reading.outcome is Outcome.OK

    def resume(self, task: Task, record: Record) -> RetestRequest | None:
        self.recalled.append(record)
        return self.wish

    def passive_reading(self, task: Task, slot_us: int) -> Reading | None:
        self.slots.append(slot_us)
        return self.passive


class Watcher:
    """Meets a bug, tells one change when it is begun anew, and another when it is stopped."""

    name = "watcher"

    def __init__(self) -> None:
        self.begun = 0

    async def run(self, emit: EmitEvent) -> None:
        self.begun += 1
        if self.begun == 1:
            raise ValueError("a bug in a watch")
        emit(clock_set(1))
        try:
            await asyncio.Event().wait()
        finally:
            emit(clock_set(2))


def clock_set(offset_us: int) -> WatchEvent:
    values = ClockValues(change=ClockChange.STEPPED, offset_us=offset_us)
    return WatchEvent(ClockMeasurement, Clock().read(), values)


def resident(chosen: AgentSettings, probe: FakeProbe, *watches: Watch) -> Resident:
    clock = Clock()
    path = Path(chosen.journal.path)
    journal = JournalThread(lambda: Journal(path, 10**8, clock.read()))
    uplink = Uplink(chosen.site, "0.1.0", chosen.broker, chosen.uplink, journal, clock.read)
    tasks = dict.fromkeys(probe.tasks(), probe)
    return Resident(chosen, "0.1.0", tasks, journal, uplink, clock.read, watches=watches)


def live(
    chosen: AgentSettings, probe: FakeProbe, until: Callable[[], Awaitable[bool]], *watches: Watch
) -> float:
    """Run until the condition holds, then stop; returns how many seconds the stop took."""

    async def whole() -> float:
        stop = asyncio.Event()
        running = asyncio.create_task(resident(chosen, probe, *watches).run(stop))
        try:
            async with asyncio.timeout(WITHIN_S):
                while not await until() and not running.done():
                    await asyncio.sleep(0.01)
        finally:
            stop.set()
            began = asyncio.get_running_loop().time()
            await running
        return asyncio.get_running_loop().time() - began

    return asyncio.run(whole())


def records(chosen: AgentSettings) -> list[Record]:
    connection = journal_file.read_only(Path(chosen.journal.path))
    rows = connection.execute("SELECT record FROM record ORDER BY position DESC").fetchall()
    decoded = [messages.decode_measurement(raw) for (raw,) in rows]
    connection.close()
    assert not any(isinstance(one, Fault) for one in decoded)
    return [one for one in decoded if not isinstance(one, Fault)]


def test_a_task_is_run_in_its_slot_and_journalled(tmp_path: Path) -> None:
    chosen, probe = settings(tmp_path), FakeProbe(asked=[DAILY])

    async def journalled() -> bool:
        return bool(probe.started) and probe.at_once == 0

    live(chosen, probe, journalled)
    [record] = records(chosen)
    assert (record.purpose, record.schedule, record.dscp) == (Purpose.SCHEDULED, "stamp-dscp-46", 46)
    assert record.slot_us is not None
    assert record.slot_us % 1_000_000 == 0
    assert record.slot_us <= record.start.wall_us < record.slot_us + DAILY.interval_s * 1_000_000


def test_a_stop_cancels_and_records_what_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    chosen, probe = settings(tmp_path), FakeProbe(None, deadline_s=60, asked=[DAILY])

    async def started() -> bool:
        return bool(probe.started)

    took_s = live(chosen, probe, started)
    assert took_s < 5
    assert [record.failure for record in records(chosen)] == [Failure.CANCELLED]
    [told] = [entry for entry in caplog.records if "the agent was stopped while measuring" in entry.message]
    assert told.levelname == "INFO"


def test_a_restart_does_not_measure_a_slot_twice(tmp_path: Path) -> None:
    chosen = settings(tmp_path)

    async def done(probe: FakeProbe) -> bool:
        return bool(probe.started) and probe.at_once == 0

    first, second = FakeProbe(asked=[DAILY]), FakeProbe(asked=[DAILY])
    live(chosen, first, lambda: done(first))
    other = changed(DAILY, dscp=0)
    second.asked = [DAILY, other]
    live(chosen, second, lambda: done(second))
    assert second.started == [other]


def test_a_slot_whose_run_was_stopped_is_measured_after_a_restart(tmp_path: Path) -> None:
    chosen = settings(tmp_path)

    async def started(probe: FakeProbe) -> bool:
        return bool(probe.started)

    for answer in (None, GOOD):
        probe = FakeProbe(answer, asked=[DAILY])
        live(chosen, probe, partial(started, probe))
        assert probe.started == [DAILY]
    assert [one.failure for one in records(chosen)] == [None, Failure.CANCELLED]


def test_a_run_that_asks_is_run_again_as_a_retest(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    probe = FakeProbe(changed(GOOD, retest=RetestRequest(0.05)), asked=[HOURLY])

    async def twice() -> bool:
        if len(probe.started) == 2:
            probe.answer = GOOD
        return len(probe.started) > 2 and probe.at_once == 0

    live(chosen, probe, twice)
    purposes = [(one.purpose, one.slot_us is None) for one in reversed(records(chosen))]  # type: ignore[union-attr]
    assert purposes == [(Purpose.SCHEDULED, False), (Purpose.RETEST, True), (Purpose.RETEST, True)]


def test_a_reading_may_call_for_a_run_of_another_task(tmp_path: Path) -> None:
    chosen, probe = settings(tmp_path), Heeder()

    async def called_for() -> bool:
        return len(probe.heeded) == 2

    live(chosen, probe, called_for)
    assert probe.heeded == [(HOURLY, GOOD), (TRACE, GOOD)]
    runs = [(one.dscp, one.purpose) for one in reversed(records(chosen))]  # type: ignore[union-attr]
    assert runs == [(46, Purpose.SCHEDULED), (10, Purpose.RETEST)]


def test_what_was_begun_goes_on_after_a_restart(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    first, second = Learner(), Learner(wish=RetestRequest(0.01))

    async def done(probe: Learner) -> bool:
        return bool(probe.started) and probe.at_once == 0

    for probe in (first, second):
        live(chosen, probe, partial(done, probe))
    assert (first.recalled, len(first.slots)) == ([], 1)
    [known] = second.recalled
    newest, oldest = records(chosen)
    assert known == oldest
    assert isinstance(newest, StampMeasurement)
    assert newest.purpose is Purpose.RETEST


def test_where_the_site_itself_proved_enough_nothing_is_run(tmp_path: Path) -> None:
    chosen, probe = settings(tmp_path), Learner(passive=GOOD)

    async def told() -> bool:
        return bool(probe.slots)

    live(chosen, probe, told)
    [record] = records(chosen)
    assert isinstance(record, StampMeasurement)
    assert (probe.started, record.purpose, record.values) == ([], Purpose.PASSIVE, GOOD.values)
    assert record.slot_us is not None


class Buggy(Heeder, StatefulProbe):
    """Measures well, and raises whatever else it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.bugs: list[str] = []

    def react(self, task: Task, reading: Reading, now_us: int) -> Task | None:
        self.bugs.append("heed")
        raise KeyError(task)

    def can_resume(self, reading: Reading) -> bool:
        return True

    def resume(self, task: Task, record: Record) -> RetestRequest | None:
        self.bugs.append("recall")
        raise KeyError(task)

    def passive_reading(self, task: Task, slot_us: int) -> Reading | None:
        self.bugs.append("instead")
        raise KeyError(task)


def test_a_bug_of_a_probe_besides_its_runs_does_not_end_the_agent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = settings(tmp_path)

    async def met(probe: Buggy, bug: str) -> bool:
        return bug in probe.bugs

    first, second = Buggy(), Buggy()
    live(chosen, first, partial(met, first, "heed"))
    live(chosen, second, partial(met, second, "recall"))
    assert (first.bugs, second.bugs[:1]) == (["instead", "heed"], ["recall"])
    assert [one.outcome for one in records(chosen)] == [Outcome.OK]
    assert "stamp dscp 46: error in a probe (a bug, please report it)" in caplog.text


def test_what_a_watch_tells_is_journalled_to_the_last_and_a_bug_in_it_ends_no_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.schedule.runner.WATCH_RESTART_S", 0.0)
    chosen, watcher = settings(tmp_path), Watcher()

    async def told() -> bool:
        return watcher.begun == 2

    live(chosen, FakeProbe(asked=[TRACE]), told, watcher)

    found = [one for one in records(chosen) if isinstance(one, ClockMeasurement)]
    assert {one.values.offset_us for one in found if one.values} == {1, 2}
    assert {(one.purpose, one.outcome, one.schedule) for one in found} == {(Purpose.EVENT, Outcome.OK, None)}
    assert "watch watcher ended by an error" in caplog.text


def test_status_is_told_while_it_runs_and_taken_back(tmp_path: Path) -> None:
    chosen, probe = settings(tmp_path), FakeProbe(None, deadline_s=60, asked=[DAILY])
    directory = Path(chosen.runtime_directory)
    now = Clock().read()

    async def told() -> bool:
        status = status_file.read(directory)
        if status is None:
            return False
        assert (status.site, status.version) == ("0631234A", "0.1.0")
        assert set(status.next_starts) == {"stamp dscp 46"}
        assert status_file.is_running(status, now)
        long_ago = changed(now, boot_us=status.written.boot_us + 31_000_000)
        assert not status_file.is_running(status, long_ago)
        assert not status_file.is_running(status, changed(now, boot_id="another"))
        return True

    live(chosen, probe, told)
    assert status_file.read(directory) is None
    assert not status_file.is_running(None, now)


def test_a_long_train_does_not_starve_a_probe_that_must_be_alone() -> None:
    train, floor = FakeProbe(deadline_s=512.0), FakeProbe(deadline_s=900.0, alone=True)
    tasks = {DAILY: train, Task("floor", 3600): floor}
    assert agent_resident._line_wait_s(tasks) == 512.0
    assert agent_resident._line_wait_s({DAILY: floor}) == LINE_WAIT_S
