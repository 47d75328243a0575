import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from agent.configuration import SCHEDULE, SETTINGS
from agent.line.counters import NoSource
from agent.line.readings import CounterReading, LineCounterSource, Unavailable
from agent.probes.interface.probe import InterfaceProbe
from agent.schedule.runner import Runner
from agent.schedule.scheduler import Scheduler, Start
from agent.settings.sections import AgentSettings, PeerAccessSettings
from agent.task.slots import offset_us
from agent.task.task import ProbeContext, Reading, Task
from host.units import Seconds
from tests.agent.fakes import FakeClock
from wire.records import Failure, InterfaceValues, LineCounters, Outcome, Purpose

SITE = "lycee-1"
MINUTE_US = 60_000_000
RATE_BPS = 80_000


class Timeline:
    """A clock that moves only when it is told to, and wakes who sleeps by it, one after the other."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []
        self._settle = asyncio.sleep

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.clock.boot_us + round(max(0.0, seconds) * 1e6), woken))
        await woken

    async def until(self, boot_us: int) -> None:
        await self.settle()
        while due := [entry for entry in self._sleepers if entry[0] <= boot_us]:
            entry = min(due, key=lambda one: one[0])
            self._sleepers.remove(entry)
            self.clock.advance(max(0, entry[0] - self.clock.boot_us) / 1e6)
            if not entry[1].done():
                entry[1].set_result(None)
            await self.settle()
        self.clock.advance((boot_us - self.clock.boot_us) / 1e6)

    async def settle(self) -> None:
        for _ in range(10):
            await self._settle(0)


class Line(NoSource):
    """Counters of a line that carries RATE_BPS down, until they are told otherwise."""

    kind = LineCounters.INLINE
    interface = "wan0"
    least_interval_s = 0.1

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.problem: str | BaseException | None = None
        self.asked = 0

    async def ask(self) -> CounterReading | Unavailable:
        self.asked += 1
        if isinstance(self.problem, BaseException):
            raise self.problem
        if self.problem:
            return Unavailable(self.problem)
        octets = self._clock.boot_us * RATE_BPS // 8_000_000
        return CounterReading(octets, octets // 1000, 0, 0, frame_bytes=0)


@pytest.fixture
def timeline(monkeypatch: pytest.MonkeyPatch) -> Timeline:
    timeline = Timeline()
    monkeypatch.setattr("agent.probes.interface.probe.asyncio.sleep", timeline.sleep)
    return timeline


def settings(interval: float | None = 60.0) -> AgentSettings:
    schedule = SCHEDULE(interface=None if interval is None else Seconds(interval))
    return SETTINGS(site=SITE, peer=PeerAccessSettings(key="x"), schedule=schedule)


def probe_of(
    source: LineCounterSource, clock: FakeClock, chosen: AgentSettings | None = None
) -> InterfaceProbe:
    return InterfaceProbe(ProbeContext(chosen or settings(), b"x", source, clock.read))


Run = Callable[[], Awaitable[Reading]]


def driven(
    timeline: Timeline, story: Callable[[Line, InterfaceProbe, Run], Coroutine[Any, Any, None]]
) -> None:
    """Let the story happen; its third argument runs the probe once, time passing as it needs."""

    async def whole() -> None:
        line = Line(timeline.clock)
        probe = probe_of(line, timeline.clock)
        [task] = probe.tasks()

        async def run() -> Reading:
            running = asyncio.create_task(probe.run(task, lambda _: None))
            await timeline.settle()
            while not running.done():
                await timeline.until(timeline.clock.boot_us + 1_000_000)
            return running.result()

        await story(line, probe, run)

    asyncio.run(whole())


def of(reading: Reading) -> InterfaceValues:
    assert reading.outcome is Outcome.OK, reading.detail
    assert isinstance(reading.values, InterfaceValues)
    return reading.values


def slot_begin(clock: FakeClock) -> int:
    """Begin of the present slot on CLOCK_BOOTTIME."""
    return clock.boot_us - (clock.wall_us - offset_us(SITE, MINUTE_US)) % MINUTE_US


def test_the_first_run_takes_two_readings_of_its_own(timeline: Timeline) -> None:
    async def story(line: Line, probe: InterfaceProbe, run: Run) -> None:
        first = of(await run())
        assert (first.readings, first.span_us) == (2, 10_000_000)
        assert first.down.mean_bps == pytest.approx(RATE_BPS, rel=1e-3)

    driven(timeline, story)


def test_whenever_a_run_starts_in_its_slot_it_reports_the_minute_before(timeline: Timeline) -> None:
    async def story(line: Line, probe: InterfaceProbe, run: Run) -> None:
        told = [of(await run())]
        begin = slot_begin(timeline.clock)
        for number, into_slot in enumerate((3, 59, 0, 30, 58, 1), start=1):
            await timeline.until(begin + number * MINUTE_US + into_slot * 1_000_000)
            told.append(of(await run()))
        assert [values.span_us for values in told[2:]] == [MINUTE_US] * 5
        ends = [values.end_boot_us for values in told]
        assert ends[1:] == [begin + number * MINUTE_US for number in range(1, 7)]
        assert all(
            later.end_boot_us - later.span_us == end for later, end in zip(told[1:], ends, strict=False)
        )
        assert told[-1].readings == 6

    driven(timeline, story)


def test_what_a_late_run_left_is_in_the_next_records(timeline: Timeline) -> None:
    async def story(line: Line, probe: InterfaceProbe, run: Run) -> None:
        first = of(await run())
        begin = slot_begin(timeline.clock)
        await timeline.until(begin + 3 * MINUTE_US + 5_000_000)  # two slots passed without a run
        second, third = of(await run()), of(await run())
        assert first.end_boot_us == second.end_boot_us - second.span_us
        assert second.end_boot_us == begin + MINUTE_US
        assert third.end_boot_us - third.span_us == second.end_boot_us
        assert third.span_us >= 2 * MINUTE_US

    driven(timeline, story)


def test_counters_that_cannot_be_read_fail_with_the_reason_and_are_tried_again(timeline: Timeline) -> None:
    async def story(line: Line, probe: InterfaceProbe, run: Run) -> None:
        line.problem = "this machine has no interface wan0: correct line_counters.interface"
        failed = await run()
        assert (failed.outcome, failed.failure, failed.detail, failed.values) == (
            Outcome.FAILED,
            Failure.COUNTERS,
            "this machine has no interface wan0: correct line_counters.interface",
            None,
        )
        line.problem = None
        assert of(await run()).span_us == 10_000_000
        line.problem = "no answer"
        begin = slot_begin(timeline.clock)
        await timeline.until(begin + MINUTE_US + 1_000_000)
        await run()
        await timeline.until(begin + 2 * MINUTE_US + 1_000_000)
        assert (await run()).detail == "no answer"
        line.problem = None
        await timeline.until(begin + 3 * MINUTE_US + 1_000_000)
        assert of(await run()).span_us > MINUTE_US

    driven(timeline, story)


def test_a_bug_while_reading_reaches_the_runner(timeline: Timeline) -> None:
    async def story(line: Line, probe: InterfaceProbe, run: Run) -> None:
        await run()
        line.problem = RuntimeError("broken")
        await timeline.until(timeline.clock.boot_us + 15_000_000)
        with pytest.raises(RuntimeError, match="broken"):
            await run()
        line.problem = None
        assert of(await run()).span_us >= 10_000_000

    driven(timeline, story)


def test_between_runs_it_reads_as_often_as_asked(timeline: Timeline) -> None:
    async def story(line: Line, probe: InterfaceProbe, run: Run) -> None:
        await run()
        before = line.asked
        await timeline.until(timeline.clock.boot_us + 10 * MINUTE_US)
        assert 58 <= line.asked - before <= 61

    driven(timeline, story)


@pytest.mark.parametrize("chosen", [settings(), settings(None)])
def test_without_counters_or_interval_there_is_no_task(chosen: AgentSettings) -> None:
    clock = FakeClock()
    source = NoSource() if chosen.schedule.interface else Line(clock)
    assert probe_of(source, clock, chosen).tasks() == []


def test_a_slow_source_is_read_no_more_often_than_it_has_news() -> None:
    clock = FakeClock()
    line = Line(clock)
    line.least_interval_s = 20.0
    assert probe_of(line, clock)._read_s == 20.0


def test_through_runner_and_scheduler_it_leaves_a_record(timeline: Timeline) -> None:
    """The scheduler's slots are the ones at which records are cut."""

    async def story(line: Line, probe: InterfaceProbe, run: Run) -> None:
        clock = timeline.clock
        [task] = probe.tasks()
        scheduler = Scheduler([task], SITE, random.Random(1), now=clock.boot_us, wall=clock.wall_us)
        runner = Runner("peer", clock.read)
        ends = []
        while len(ends) < 5:
            await timeline.until(scheduler.next_start(clock.boot_us) or 0)
            for event in scheduler.poll(clock.boot_us):
                assert isinstance(event, Start)
                attempt = asyncio.create_task(
                    runner.run(probe, task, Purpose.SCHEDULED, slot_us=event.slot.begin_us)
                )
                await timeline.settle()
                while not attempt.done():
                    await timeline.until(clock.boot_us + 1_000_000)
                scheduler.finished(task)
                measurement = attempt.result().measurement("0" * 16, 1)
                assert isinstance(measurement.values, InterfaceValues)
                ends.append(
                    (measurement.values.end_boot_us - event.slot.begin_us, measurement.values.span_us)
                )
        assert ends[2:] == [(0, MINUTE_US)] * 3

    driven(timeline, story)


def test_its_name_is_that_of_its_task() -> None:
    clock = FakeClock()
    assert probe_of(Line(clock), clock).tasks() == [Task("interface", 60.0)]
