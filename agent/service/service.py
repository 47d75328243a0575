"""The resident agent: schedule -> probe -> journal -> uplink, until it is asked to stop."""

import asyncio
import logging
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path

import msgspec

from agent.line.passive_proof import LineWatch
from agent.report import measurement as report
from agent.schedule.runner import LINE_WAIT_S, ProbeRun, Runner
from agent.schedule.scheduler import Missed, Retest, Scheduler, Slot
from agent.service import memory, status_file
from agent.service.status_file import AgentStatus
from agent.service.wiring import drop_order
from agent.settings.sections import AgentSettings
from agent.task.task import Probe, ReactingProbe, Reading, RetestRequest, StatefulProbe, Task
from agent.task.watch import Watch, WatchEvent
from agent.uplink.uplink import Uplink
from host.clock import second_of_week
from host.notify import NOBODY, Notifier
from net.complaint import Complaint
from outbox.journal.journal import Journal
from outbox.journal.thread import JournalThread
from wire.messages import envelope as messages
from wire.messages.envelope import Fault
from wire.records import ClockReading, Failure, Outcome, Purpose, ReachabilityValues

log = logging.getLogger(__name__)

LONGEST_NAP_S = 5.0  # timers stand still while the machine is suspended; the boot clock does not
STATUS_EVERY_S = 1.0
STATUS_AT_LEAST_EVERY_US = 10_000_000
STOP_WITHIN_S = 2.0
_NOBODYS_FAULT = (None, Failure.CANCELLED)  # who asks the agent to stop is not to be warned of it
GIVE_BACK_S = (1.0, 5.0, 600.0)  # while it starts and connects; then now and then


class Resident:
    """Owns the program's running parts. ``run`` returns when ``stop`` is set and everything is recorded."""

    def __init__(
        self,
        settings: AgentSettings,
        version: str,
        tasks: Mapping[Task, Probe],
        journal: JournalThread,
        uplink: Uplink,
        clock: Callable[[], ClockReading],
        watch: LineWatch | None = None,
        watches: Sequence[Watch] = (),
        service: Notifier = NOBODY,
        outages: Callable[[], Sequence[ReachabilityValues]] = tuple,
        findings: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._settings = settings
        self._version = version
        self._tasks = tasks
        self._journal = journal
        self._uplink = uplink
        self._clock = clock
        self._watch = watch
        self._watches = watches
        self._outages = outages
        self._findings = findings
        self._events: asyncio.Queue[WatchEvent | None] = asyncio.Queue()
        self._service = service
        self._runner = Runner(settings.peer.name, clock, line_wait_s=_line_wait_s(tasks))
        self._running: dict[asyncio.Task[None], Task] = {}
        self._started = clock()
        self._complaint = Complaint()
        self._failing: dict[Task, Failure | None] = {}
        self._reacting = [probe for probe in _each_once(tasks.values()) if isinstance(probe, ReactingProbe)]

    async def run(self, stop: asyncio.Event) -> None:
        """Measure until ``stop``. Raises JournalError if there is no journal to work with."""
        await self._journal.open()
        try:
            scheduler = await self._schedule()
            async with asyncio.TaskGroup() as group:
                uplink = group.create_task(self._uplink.run())
                group.create_task(self._record_events())
                work = [
                    group.create_task(self._keep_schedule(scheduler, group)),
                    group.create_task(self._keep_status(scheduler)),
                    group.create_task(_keep_small()),
                    *(
                        group.create_task(self._runner.run_watch(w, self._events.put_nowait))
                        for w in self._watches
                    ),
                ]
                if self._watch:
                    work.append(group.create_task(self._watch.run(self._runner.measures_alone)))
                self._service.ready()
                await stop.wait()
                self._service.stopping()
                for task in work:
                    task.cancel()
                await self._end_runs()
                await asyncio.wait(work, timeout=STOP_WITHIN_S)  # a watch may tell something last
                self._events.put_nowait(None)
                uplink.cancel()
        finally:
            await self._journal.close(self._clock())
            status_file.remove(Path(self._settings.runtime_directory))

    def measures_alone(self) -> bool:
        """True while a test of ours has the line to itself."""
        return self._runner.measures_alone()

    async def _schedule(self) -> Scheduler:
        done = await self._journal.do(Journal.newest_slots)
        now = self._clock()
        scheduler = Scheduler(
            list(self._tasks),
            self._settings.site,
            random.Random(),
            now=now.boot_us,
            wall=now.wall_us,
            first_within_s=self._settings.schedule.first_within,
            done=done,
            second_of_week=second_of_week,
        )
        for task, probe in self._tasks.items():
            if isinstance(probe, StatefulProbe):
                await self._resume(scheduler, task, probe)
        return scheduler

    async def _resume(self, scheduler: Scheduler, task: Task, probe: StatefulProbe) -> None:
        """Let a probe continue from its newest record of before this start."""
        raw = await self._journal.do(lambda journal: journal.resumable(task.schedule))
        record = None if raw is None else messages.decode_measurement(raw)
        if record is not None and not isinstance(record, Fault):
            known = record
            request = self._runner.ask(task, lambda: probe.resume(task, known))
            scheduler.retest(task, request, self._clock().boot_us)

    async def _keep_schedule(self, scheduler: Scheduler, group: asyncio.TaskGroup) -> None:
        while True:
            self._service.working()  # only here: whoever hangs, if no more starts come, the agent is dead
            now = self._clock()
            for event in scheduler.poll(now.boot_us, now.wall_us):
                if isinstance(event, Missed):
                    await self._record_missed(event.slot)
                elif isinstance(event, Retest):
                    self._start(scheduler, event.task, None, group)
                else:
                    self._start(scheduler, event.slot.task, event.slot, group)
            now_us = self._clock().boot_us
            upcoming = scheduler.next_start(now_us)
            nap_s = LONGEST_NAP_S if upcoming is None else min(LONGEST_NAP_S, (upcoming - now_us) / 1e6)
            await asyncio.sleep(max(nap_s, 0.001))

    def _start(self, scheduler: Scheduler, task: Task, slot: Slot | None, group: asyncio.TaskGroup) -> None:
        """Run ``task`` for its slot, or a retest outside the schedule."""
        run = group.create_task(self._run(scheduler, task, slot))
        self._running[run] = task

        def ended(done: "asyncio.Task[None]") -> None:
            self._running.pop(done, None)
            scheduler.finished(task)

        run.add_done_callback(ended)

    async def _run(self, scheduler: Scheduler, task: Task, slot: Slot | None) -> None:
        probe = self._tasks[task]
        reading = self._instead(probe, task, slot.begin_us) if slot else None
        if slot and reading:
            attempt = self._runner.passive(probe, task, slot.begin_us, reading)
        elif slot:
            attempt = await self._runner.run(probe, task, Purpose.SCHEDULED, slot_us=slot.begin_us)
        else:
            attempt = await self._runner.run(probe, task, Purpose.RETEST)
        await self._record(attempt)
        if probe.alone:
            memory.give_back()  # a load test passes through code and buffers that nothing else uses
        # What could not be measured is no reason to forget a run that was asked for before it.
        if attempt.reading.retest or attempt.reading.outcome is Outcome.OK:
            scheduler.retest(task, attempt.reading.retest, self._clock().boot_us)
        self._offer(scheduler, attempt)

    def _offer(self, scheduler: Scheduler, attempt: ProbeRun) -> None:
        """Offer a reading to the probes that react to others' readings."""
        now_us = self._clock().boot_us
        for probe in self._reacting:
            due = self._reaction(probe, attempt, now_us)
            if due is not None:
                scheduler.retest(due, RetestRequest(0), now_us)

    def _reaction(self, probe: ReactingProbe, attempt: ProbeRun, now_us: int) -> Task | None:
        return self._runner.ask(attempt.task, lambda: probe.react(attempt.task, attempt.reading, now_us))

    def _instead(self, probe: Probe, task: Task, slot_us: int) -> Reading | None:
        if not isinstance(probe, StatefulProbe):
            return None
        continuing = probe
        return self._runner.ask(task, lambda: continuing.passive_reading(task, slot_us))

    async def _record_missed(self, slot: Slot) -> None:
        await self._record(self._runner.missed(self._tasks[slot.task], slot.task, slot.begin_us))

    async def _record_events(self) -> None:
        """Record every event of the watches."""
        while (event := await self._events.get()) is not None:
            await self._record(self._runner.event(event))

    async def _record(self, attempt: ProbeRun) -> None:
        order = drop_order(attempt.task)
        measurement = await self._journal.do(
            lambda journal: journal.commit(attempt.measurement, self._clock(), attempt.filing(order))
        )
        level = logging.WARNING if self._is_new_trouble(attempt) else logging.INFO
        log.log(level, "%s", report.sentence(measurement))
        self._uplink.committed()

    def _is_new_trouble(self, attempt: ProbeRun) -> bool:
        """Return false for a task that fails as it did before: a line may be out for days."""
        failure, before = attempt.reading.failure, self._failing.pop(attempt.task, None)
        if failure in _NOBODYS_FAULT:
            return False
        self._failing[attempt.task] = failure
        return failure != before

    async def _end_runs(self) -> None:
        """Cancel the runs that are left, and record their measurements."""
        self._runner.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_WITHIN_S)
        for run in list(self._running):
            run.cancel()

    async def _keep_status(self, scheduler: Scheduler) -> None:
        """Write what changed at once, and now and then that the agent is alive."""
        written = None
        while True:
            status = self._status(scheduler)
            if written is None or _is_news(written, status):
                self._write_status(status)
                written = status
            await asyncio.sleep(STATUS_EVERY_S)

    def _write_status(self, status: AgentStatus) -> None:
        self._service.set_status(f"site {status.site}, {status.broker_problem or 'connected to the broker'}")
        directory = Path(self._settings.runtime_directory)
        try:
            status_file.write(directory, status)  # a few hundred bytes, to memory where there is tmpfs
        except OSError as error:
            problem = f"runtime_directory: {directory}: {error.strerror}: the status file cannot be written"
            if self._complaint.is_news(problem):
                log.warning(problem)
        else:
            self._complaint.is_news("")

    def _status(self, scheduler: Scheduler) -> AgentStatus:
        now = self._clock()
        return AgentStatus(
            written=now,
            started=self._started,
            process=os.getpid(),
            version=self._version,
            site=self._settings.site,
            running=tuple(sorted(task.name for task in self._running.values())),
            next_starts={
                name: now.wall_us + boot_us - now.boot_us for name, boot_us in scheduler.starts().items()
            },
            broker_problem=self._uplink.problem,
            journal_problem=self._journal.trouble,
            last_receipt=self._uplink.receipts.newest,
            outages=tuple(self._outages()),
            findings=tuple(self._findings()),
        )


def _each_once(probes: Iterable[Probe]) -> list[Probe]:
    """A probe with several tasks is one probe."""
    return list({id(probe): probe for probe in probes}.values())


async def _keep_small() -> None:
    """Give back the memory that only starting and connecting needed."""
    pauses = chain(GIVE_BACK_S, repeat(GIVE_BACK_S[-1]))
    for pause_s in pauses:
        await asyncio.sleep(pause_s)
        memory.give_back()


def _line_wait_s(tasks: Mapping[Task, Probe]) -> float:
    """A probe that must be alone waits for the longest of those that share the line to end."""
    sharing = (probe.deadline_s for probe in tasks.values() if not probe.alone)
    return max([LINE_WAIT_S, *sharing])


def _is_news(before: AgentStatus, status: AgentStatus) -> bool:
    same_moment = msgspec.structs.replace(
        status, written=before.written, next_starts=before.next_starts, last_receipt=before.last_receipt
    )
    return (
        same_moment != before or status.written.boot_us - before.written.boot_us >= STATUS_AT_LEAST_EVERY_US
    )
