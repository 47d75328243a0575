"""Runs probes, and is the only place that catches what they raise.

It owns deadline, duration and the line, and maps whatever happens to the closed vocabulary of failures, so
that every run leaves a measurement, whatever became of it.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from agent.schedule.line_lock import LineBusyError, LineLock
from agent.task.task import DropOrder, Probe, Progress, Reading, ResumingProbe, Task
from agent.task.watch import EmitEvent, Watch, WatchEvent
from host import load
from outbox.rows import Filing
from wire.records import ClockReading, Failure, HostLoad, Known, Outcome, Purpose

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

LINE_WAIT_S = 60.0
WATCH_AGAIN_S = 60.0  # a watch that met a bug would meet it again at once
MAX_DETAIL = 300

# What belongs to a line of the schedule, though only some of it uses up a slot.
_OF_SCHEDULE = frozenset({Purpose.SCHEDULED, Purpose.RETEST, Purpose.PASSIVE})

_ERRNO = {
    errno.ENETUNREACH: Failure.UNREACHABLE,
    errno.EHOSTUNREACH: Failure.UNREACHABLE,
    errno.ENETDOWN: Failure.UNREACHABLE,
    errno.EHOSTDOWN: Failure.UNREACHABLE,
    errno.ENODEV: Failure.UNREACHABLE,
    errno.ECONNREFUSED: Failure.PEER_REFUSED,  # the host is there, nothing listens on that port
    errno.ECONNRESET: Failure.CONNECTION_LOST,
    errno.ECONNABORTED: Failure.CONNECTION_LOST,
    errno.EPIPE: Failure.CONNECTION_LOST,
    errno.ETIMEDOUT: Failure.NO_ANSWER,
    errno.ENOBUFS: Failure.SEND_BLOCKED,
    errno.EAGAIN: Failure.SEND_BLOCKED,
    errno.EACCES: Failure.CONFIGURATION,  # a local firewall or a missing right
    errno.EPERM: Failure.CONFIGURATION,
    errno.EADDRNOTAVAIL: Failure.CONFIGURATION,
    errno.EADDRINUSE: Failure.CONFIGURATION,
    errno.EAFNOSUPPORT: Failure.CONFIGURATION,
}


class ProbeRun(Struct, frozen=True):
    """One attempt, whatever became of it; the journal gives it its identity.

    ``resumable``: the agent continues from it after a restart.
    """

    record: type[Known]
    task: Task
    purpose: Purpose
    peer: str
    start: ClockReading
    duration_us: int
    reading: Reading
    slot_us: int | None = None
    host: HostLoad | None = None
    drop_order: DropOrder = DropOrder.SELDOM
    resumable: bool = False

    @property
    def filing(self) -> Filing:
        """Values by which the journal files it. A slot cancelled with the agent may be measured again."""
        schedule = self.task.schedule if self.purpose in _OF_SCHEDULE else None
        cancelled = self.reading.failure is Failure.CANCELLED
        slot_us = None if self.slot_us is None or cancelled else _wall(self.slot_us, self.start)
        return Filing(self.drop_order, schedule, slot_us, schedule if self.resumable else None)

    def measurement(self, epoch: str, seq: int) -> Known:
        """The record that goes into the journal. ``slot_us`` moves from the boot clock to the wall clock."""
        reading, task = self.reading, self.task
        scheduled = self.purpose in _OF_SCHEDULE
        return self.record(
            epoch=epoch,
            seq=seq,
            purpose=self.purpose,
            peer=self.peer,
            start=self.start,
            duration_us=self.duration_us,
            outcome=reading.outcome,
            slot_us=None if self.slot_us is None else _wall(self.slot_us, self.start),
            interval_us=round(task.interval_s * 1e6) if scheduled else None,
            schedule=task.schedule if scheduled else None,
            session=reading.session,
            direction=task.direction,
            dscp=task.dscp,
            failure=reading.failure,
            detail=reading.detail[:MAX_DETAIL],
            bytes_sent=reading.bytes_sent,
            bytes_received=reading.bytes_received,
            host=self.host,
            values=reading.values,  # type: ignore[arg-type]  # a probe's values are those of its record
        )


class _Began(Struct, frozen=True):
    """When the line was ours, and how busy the machine had been until then."""

    clock: ClockReading
    busy: tuple[int, int] | None


def _wall(boot_us: int, now: ClockReading) -> int:
    """Whole seconds, as slots begin, so that a slewing clock does not give one slot two times."""
    wall_us = boot_us + now.wall_us - now.boot_us
    return max(0, round(wall_us / 1e6)) * 1_000_000


def quiet(_: str) -> None:
    """Progress for nobody."""


class Runner:
    """Runs one probe at a time or several, as they allow. ``peer`` is the peer's name in the records."""

    def __init__(
        self, peer: str, clock: Callable[[], ClockReading], *, line_wait_s: float = LINE_WAIT_S
    ) -> None:
        self._peer = peer
        self._clock = clock
        self._line_wait_s = line_wait_s
        self._line = LineLock()
        self._running: set[asyncio.Task[Reading]] = set()

    async def run(
        self,
        probe: Probe,
        task: Task,
        purpose: Purpose,
        *,
        slot_us: int | None = None,
        progress: Progress = quiet,
    ) -> ProbeRun:
        """Run ``task`` once, to its end or its deadline. Never raises, but for its own cancellation.

        ``slot_us`` is where the schedule's slot begins on CLOCK_BOOTTIME.
        """
        asked = self._clock()
        began: list[_Began] = []
        running = asyncio.ensure_future(self._measure(probe, task, progress, began))
        self._running.add(running)
        try:
            await asyncio.wait([running])
        finally:
            self._running.discard(running)
            running.cancel()
        start, ended = began[0].clock if began else asked, self._clock()
        reading = _outcome(running, task, probe.deadline_s, began=bool(began))
        return ProbeRun(
            record=probe.record,
            task=task,
            purpose=purpose,
            peer=self._peer,
            start=start,
            duration_us=max(0, ended.boot_us - start.boot_us),
            reading=reading,
            slot_us=slot_us,
            host=load.between(began[0].busy, load.read()) if began else None,
            drop_order=probe.drop_order,
            resumable=self._is_resumable(probe, task, reading),
        )

    def _is_resumable(self, probe: Probe, task: Task, reading: Reading) -> bool:
        if not isinstance(probe, ResumingProbe):
            return False
        resuming = probe
        return self.asked(task, lambda: resuming.can_resume(reading)) or False

    def asked(self, task: Task, question: Callable[[], Answer]) -> Answer | None:
        """What a probe answers besides its runs; None where it raises: a bug, which ends no agent."""
        try:
            return question()
        except Exception:
            log.exception("%s: a bug; please report it", task.name)
            return None

    def missed(self, probe: Probe, task: Task, slot_us: int) -> ProbeRun:
        """The record of a slot in which ``task`` was not started at all."""
        reading = Reading(Outcome.SKIPPED, failure=Failure.MISSED_SLOT)
        return self._without_a_run(probe, task, Purpose.SCHEDULED, slot_us, reading)

    def passive(self, probe: Probe, task: Task, slot_us: int, reading: Reading) -> ProbeRun:
        """The record of a slot that needs no run: the site's own traffic showed what a run would show."""
        return self._without_a_run(probe, task, Purpose.PASSIVE, slot_us, reading)

    def _without_a_run(
        self, probe: Probe, task: Task, purpose: Purpose, slot_us: int, reading: Reading
    ) -> ProbeRun:
        return ProbeRun(
            record=probe.record,
            task=task,
            purpose=purpose,
            peer=self._peer,
            start=self._clock(),
            duration_us=0,
            reading=reading,
            slot_us=slot_us,
            drop_order=probe.drop_order,
            resumable=self._is_resumable(probe, task, reading),
        )

    def event(self, event: WatchEvent) -> ProbeRun:
        """The record of something that changed: it belongs to no schedule, and nothing was run for it."""
        task = Task(str(event.record.__struct_config__.tag), 0.0)
        reading = Reading(Outcome.OK, event.values, detail=event.detail)
        return ProbeRun(event.record, task, Purpose.EVENT, self._peer, event.start, 0, reading)

    async def keep(self, watch: Watch, tell: EmitEvent) -> None:
        """Let ``watch`` run until cancelled. A bug in it ends no agent."""
        while True:
            try:
                return await watch.run(tell)
            except Exception:
                log.exception("%s: a bug ended this watch; please report it", watch.name)
            await asyncio.sleep(WATCH_AGAIN_S)

    def measures_alone(self) -> bool:
        """Whether a probe that has the line to itself is running now."""
        return self._line.held_alone

    def cancel(self) -> None:
        """End everything that runs or waits for the line; each leaves its measurement, cancelled."""
        for running in self._running:
            running.cancel()

    async def _measure(self, probe: Probe, task: Task, progress: Progress, began: list[_Began]) -> Reading:
        async with self._line.held(alone=probe.alone, wait_s=self._line_wait_s):
            began.append(_Began(self._clock(), load.read()))
            deadline = asyncio.timeout(probe.deadline_s)
            try:
                async with deadline:
                    return await probe.run(task, progress)
            except TimeoutError as error:
                if deadline.expired():
                    raise DeadlineExceededError from error
                raise


class DeadlineExceededError(Exception):
    """A probe took longer than it may."""


def _outcome(done: "asyncio.Task[Reading]", task: Task, deadline_s: float, *, began: bool) -> Reading:
    if done.cancelled() and not began:
        detail = "ended while it waited for the line"
        return Reading(Outcome.SKIPPED, failure=Failure.CANCELLED, detail=detail)
    if done.cancelled():
        return Reading(Outcome.FAILED, failure=Failure.CANCELLED, detail="ended before its time")
    error = done.exception()
    if error is None:
        return done.result()
    if isinstance(error, LineBusyError):
        return Reading(Outcome.SKIPPED, failure=Failure.LINE_BUSY, detail=str(error))
    if isinstance(error, DeadlineExceededError):
        detail = f"not done after {deadline_s:g} s"
        return Reading(Outcome.FAILED, failure=Failure.DEADLINE, detail=detail)
    failure = failure_of(error)
    if failure is Failure.INTERNAL:
        log.error("%s: a bug ended this run; please report it", task.name, exc_info=error)
    return Reading(Outcome.FAILED, failure=failure, detail=_words(error))


def failure_of(error: BaseException) -> Failure:
    """The failure that an exception stands for; what is not in the table is our own bug."""
    if isinstance(error, asyncio.CancelledError):
        return Failure.CANCELLED
    if isinstance(error, socket.gaierror):
        return Failure.NAME_UNKNOWN
    if isinstance(error, OSError) and error.errno in _ERRNO:
        return _ERRNO[error.errno]
    return Failure.NO_ANSWER if isinstance(error, TimeoutError) else Failure.INTERNAL


def _words(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
