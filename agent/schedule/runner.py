"""Runner of probes, and the only place that catches their exceptions.

It has the deadline, the duration and the line. It maps whatever happens to the closed vocabulary of failures:
every run leaves a measurement.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from agent.schedule.line_lock import LineBusyError, LineLock
from agent.task.task import Probe, Progress, Reading, StatefulProbe, Task
from agent.task.watch import EmitEvent, Watch, WatchEvent
from host import load
from outbox.rows import Filing
from wire.records import ClockReading, Failure, HostLoad, Measurement, Outcome, Purpose

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# For commands; the resident agent waits as long as its probes may take.
LINE_WAIT_S = 60.0
WATCH_RESTART_S = 60.0  # a watch that ended by a bug would meet it again at once
MAX_DETAIL = 300

# Purposes of runs for a line of the schedule, although only some of them use up a slot.
_OF_SCHEDULE = frozenset({Purpose.SCHEDULED, Purpose.RETEST, Purpose.PASSIVE})

_ERRNO = {
    errno.ENETUNREACH: Failure.UNREACHABLE,
    errno.EHOSTUNREACH: Failure.UNREACHABLE,
    errno.ENETDOWN: Failure.UNREACHABLE,
    errno.EHOSTDOWN: Failure.UNREACHABLE,
    errno.ENODEV: Failure.UNREACHABLE,
    errno.ECONNREFUSED: Failure.PEER_REFUSED,  # the host answers that nothing listens on that port
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
    """One run of a probe, with any result. The journal gives its measurement an identity.

    ``resumable``: the agent continues from it after a restart.
    """

    record: type[Measurement]
    task: Task
    purpose: Purpose
    peer: str
    start: ClockReading
    duration_us: int
    reading: Reading
    slot_us: int | None = None
    host: HostLoad | None = None
    resumable: bool = False

    def filing(self, drop_order: int) -> Filing:
        """Values by which the journal files it. A slot cancelled with the agent may be measured again."""
        schedule = self.task.schedule if self.purpose in _OF_SCHEDULE else None
        cancelled = self.reading.failure is Failure.CANCELLED
        slot_us = None if self.slot_us is None or cancelled else _wall(self.slot_us, self.start)
        return Filing(drop_order, schedule, slot_us, schedule if self.resumable else None)

    def measurement(self, epoch: str, seq: int) -> Measurement:
        """Measurement for the journal. ``slot_us`` is converted from the boot clock to the wall clock."""
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
            values=reading.values,
        )


class _Began(Struct):
    """Moment at which the line was ours, None before it, and the processor time of the machine until then."""

    clock: ClockReading | None = None
    busy: tuple[int, int] | None = None


def _wall(boot_us: int, now: ClockReading) -> int:
    # Whole seconds, as slots begin: a slewing clock must not give one slot two times.
    wall_us = boot_us + now.wall_us - now.boot_us
    return max(0, round(wall_us / 1e6)) * 1_000_000


def quiet(_: str) -> None:
    """Discard progress."""


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
        """Run ``task`` once, to its end or its deadline. Raises nothing except its own cancellation.

        ``slot_us`` is the begin of the schedule's slot on CLOCK_BOOTTIME.
        """
        asked, began = self._clock(), _Began()
        # A task of its own, so that ``cancel`` ends the probe and not the caller, which still needs its
        # result.
        running = asyncio.ensure_future(self._measure(probe, task, progress, began))
        self._running.add(running)
        try:
            await asyncio.wait([running])
        finally:
            self._running.discard(running)
            running.cancel()
        start, ended = began.clock or asked, self._clock()
        reading = _outcome(running, task, probe.deadline_s, began=began.clock is not None)
        return ProbeRun(
            record=probe.record,
            task=task,
            purpose=purpose,
            peer=self._peer,
            start=start,
            duration_us=max(0, ended.boot_us - start.boot_us),
            reading=reading,
            slot_us=slot_us,
            host=load.between(began.busy, load.read()) if began.clock else None,
            resumable=self._is_resumable(probe, task, reading),
        )

    def _is_resumable(self, probe: Probe, task: Task, reading: Reading) -> bool:
        if not isinstance(probe, StatefulProbe):
            return False
        resuming = probe
        return self.ask(task, lambda: resuming.can_resume(reading)) or False

    def ask(self, task: Task, question: Callable[[], Answer]) -> Answer | None:
        """Ask a probe something besides its runs; None if it raises, since a bug must not end the agent."""
        try:
            return question()
        except Exception:
            log.exception("%s: error in a probe (a bug, please report it): measuring on", task.name)
            return None

    def missed(self, probe: Probe, task: Task, slot_us: int) -> ProbeRun:
        """Run of a slot in which ``task`` was not started."""
        reading = Reading(Outcome.SKIPPED, failure=Failure.MISSED_SLOT)
        return self._without_a_run(probe, task, Purpose.SCHEDULED, slot_us, reading)

    def passive(self, probe: Probe, task: Task, slot_us: int, reading: Reading) -> ProbeRun:
        """Run of a slot that needs no test: the site's own traffic showed the same."""
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
            resumable=self._is_resumable(probe, task, reading),
        )

    def event(self, event: WatchEvent) -> ProbeRun:
        """Run for a watch's event: it belongs to no schedule."""
        task = Task(str(event.record.__struct_config__.tag), 0.0)
        reading = Reading(Outcome.OK, event.values, detail=event.detail)
        return ProbeRun(event.record, task, Purpose.EVENT, self._peer, event.start, 0, reading)

    async def run_watch(self, watch: Watch, emit: EmitEvent) -> None:
        """Run ``watch`` until cancelled, and start it again after a bug."""
        while True:
            try:
                return await watch.run(emit)
            except Exception:
                log.exception(
                    "watch %s ended by an error (a bug, please report it): restart in 60 s", watch.name
                )
            await asyncio.sleep(WATCH_RESTART_S)

    def measures_alone(self) -> bool:
        """True if a probe that has the line alone is running."""
        return self._line.held_alone

    def cancel(self) -> None:
        """Cancel every run; each leaves its measurement."""
        for running in self._running:
            running.cancel()

    async def _measure(self, probe: Probe, task: Task, progress: Progress, began: _Began) -> Reading:
        async with self._line.use(alone=probe.alone, wait_s=self._line_wait_s):
            began.clock, began.busy = self._clock(), load.read()
            deadline = asyncio.timeout(probe.deadline_s)
            try:
                async with deadline:
                    return await probe.run(task, progress)
            except TimeoutError as error:
                # A time-out of the probe itself is an answer that did not come, not our deadline.
                if deadline.expired():
                    raise DeadlineExceededError from error
                raise


class DeadlineExceededError(Exception):
    """Error: a probe did not end before its deadline."""


def _outcome(done: "asyncio.Task[Reading]", task: Task, deadline_s: float, *, began: bool) -> Reading:
    if done.cancelled() and not began:
        detail = "cancelled while it waited for the line"
        return Reading(Outcome.SKIPPED, failure=Failure.CANCELLED, detail=detail)
    if done.cancelled():
        return Reading(Outcome.FAILED, failure=Failure.CANCELLED, detail="cancelled before its end")
    error = done.exception()
    if error is None:
        return done.result()
    if isinstance(error, LineBusyError):
        return Reading(Outcome.SKIPPED, failure=Failure.LINE_BUSY, detail=str(error))
    if isinstance(error, DeadlineExceededError):
        detail = f"no end after {deadline_s:g} s"
        return Reading(Outcome.FAILED, failure=Failure.DEADLINE, detail=detail)
    failure = failure_of(error)
    if failure is Failure.INTERNAL:
        log.error("%s: run ended by an error (a bug, please report it)", task.name, exc_info=error)
    return Reading(Outcome.FAILED, failure=failure, detail=_words(error))


def failure_of(error: BaseException) -> Failure:
    """Failure that an exception means; one that is not in the table is a bug of ours."""
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
