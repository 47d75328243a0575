"""Task, reading and probe: the contract between a way of measuring and the program that runs it.

A probe is one module with one class that fits :class:`Probe`, one line in ``PROBES`` and one test. The
scheduler starts it, and the runner catches its exceptions. ``run`` returns a :class:`Reading`, also for
failures of the line; an exception means a bug.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from agent.settings.hours import Hours
from agent.task.context import ProbeContext as ProbeContext
from agent.task.retest import RetestRequest as RetestRequest
from wire.records import Direction, Failure, Measurement, Outcome, Record, Values


class Task(Struct, frozen=True):
    """One line of the schedule: a probe, its direction or DSCP class, and its interval.

    With ``hours``, a run starts within these hours of local time only. A slot that has none of them has no
    start.
    """

    probe: str
    interval_s: float
    direction: Direction | None = None
    dscp: int | None = None
    hours: Hours | None = None

    @property
    def name(self) -> str:
        """Name in logs and tables: ``floor down``, ``stamp dscp 46``."""
        parts = [self.probe, self.direction or "", "" if self.dscp is None else f"dscp {self.dscp}"]
        return " ".join(part for part in parts if part)

    @property
    def schedule(self) -> str:
        """Id of this line of the schedule in records: ``floor-down``, ``stamp-dscp-46``."""
        return self.name.replace(" ", "-")


class Reading(Struct, frozen=True):
    """Result of one run of a probe. ``values`` is None where nothing could be measured.

    ``bytes_sent`` and ``bytes_received`` are the cost on the line at the IP layer. ``retest`` requests one
    more run of the task, with purpose ``retest``; that run uses up no slot.
    """

    outcome: Outcome
    values: Values | None = None
    failure: Failure | None = None
    detail: str = ""
    session: str | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    retest: RetestRequest | None = None


Progress = Callable[[str], None]


class Probe(Protocol):
    """One way of measuring, built once from the agent's settings and run many times.

    ``record`` is the kind of its measurements. ``alone`` reserves the line for the time of a run. The runner
    ends a run after ``deadline_s`` seconds.
    """

    record: type[Measurement]
    alone: bool
    deadline_s: float

    def tasks(self) -> Sequence[Task]:
        """Tasks that the settings ask of this probe."""
        ...

    async def run(self, task: Task, progress: Progress) -> Reading:
        """Measure once. ``progress`` takes a short line of text for a person who waits."""
        ...


class UnscheduledProbe:
    """Mixin for a probe that the resident agent does not schedule, because a watch measures in its place."""


class ReactingProbe(ABC):
    """Mixin for a probe that reacts to other probes' readings."""

    @abstractmethod
    def react(self, task: Task, reading: Reading, now_us: int) -> Task | None:
        """Take the reading of any probe's ``task``, at ``now_us`` on CLOCK_BOOTTIME.

        Returns the task of this probe that is to be run now with purpose ``retest``, or None.
        """


class StatefulProbe(ABC):
    """Mixin for a probe whose measurements continue earlier ones, also over a restart of the agent."""

    @abstractmethod
    def can_resume(self, reading: Reading) -> bool:
        """True if the agent can continue from the record of this reading after a restart."""

    @abstractmethod
    def resume(self, task: Task, record: Record) -> RetestRequest | None:
        """Continue from ``record``, the newest of ``task`` from before the start that can be resumed from.

        Returns a request for an early run where the earlier measurements were not at their end.
        """

    @abstractmethod
    def passive_reading(self, task: Task, slot_us: int) -> Reading | None:
        """Reading that replaces a run in the slot that began at ``slot_us`` on CLOCK_BOOTTIME, or None."""
