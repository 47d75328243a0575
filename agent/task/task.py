"""What a probe is: a way of measuring that the scheduler starts and the runner catches.

A probe is one module with one class that fits :class:`Probe`, one line in ``PROBES`` and one test.
``run`` returns a :class:`Reading`, also for what went wrong on the line; an exception means a bug.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol

from msgspec import Struct

from agent.settings.hours import Hours
from agent.task.context import Surroundings as Surroundings
from agent.task.retest import Again as Again
from wire.records import Direction, Failure, Known, Outcome, Record, Values


class DropOrder(IntEnum):
    """Which records a full journal drops first, of those that the collector has not got."""

    EVERY_MINUTE = 0
    SELDOM = 1
    VERDICT = 2


class Task(Struct, frozen=True):
    """One line of the schedule: a probe with the direction or class it is to measure, and how often.

    ``hours``: start within these hours of local time only; a slot without any of them has no start.
    """

    probe: str
    interval_s: float
    direction: Direction | None = None
    dscp: int | None = None
    hours: Hours | None = None

    @property
    def name(self) -> str:
        """Names the task in logs and tables: ``floor down``, ``stamp dscp 46``."""
        parts = [self.probe, self.direction or "", "" if self.dscp is None else f"dscp {self.dscp}"]
        return " ".join(part for part in parts if part)

    @property
    def schedule(self) -> str:
        """The id of this line of the schedule in records: ``floor-down``, ``stamp-dscp-46``."""
        return self.name.replace(" ", "-")


class Reading(Struct, frozen=True):
    """What one run of a probe gave. ``values`` are absent where nothing could be measured.

    ``bytes_sent`` and ``bytes_received`` are what it cost the line at the IP layer. ``again`` asks for one
    more run of the task, with purpose ``retest``; it uses up no slot.
    """

    outcome: Outcome
    values: Values | None = None
    failure: Failure | None = None
    detail: str = ""
    session: str | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    again: Again | None = None


Progress = Callable[[str], None]


class Probe(Protocol):
    """One way of measuring. Built once from the agent's settings; ``run`` may be called again and again.

    ``record`` is the kind of measurement it leaves, ``alone`` whether nothing else may use the line while it
    runs. ``deadline_s`` is how long one run may take before the runner ends it. ``drop_order``: which of its
    records a full journal drops first.
    """

    record: type[Known]
    alone: bool
    drop_order: DropOrder
    deadline_s: float

    def tasks(self) -> Sequence[Task]:
        """What the settings ask of this probe."""
        ...

    async def run(self, task: Task, progress: Progress) -> Reading:
        """Measure once. ``progress`` takes a short line for a person who is waiting."""
        ...


class Watched:
    """What a probe also is that a watch stands for in the resident agent: no schedule starts it there."""


class Heeding(ABC):
    """What a probe also is that goes by the readings of others: a second base beside its own class."""

    @abstractmethod
    def heed(self, task: Task, reading: Reading, now_us: int) -> Task | None:
        """Take the reading of any probe's ``task`` at ``now_us`` on CLOCK_BOOTTIME.

        Returns the task of this probe that is to be run once more now, with purpose ``retest``, if any.
        """


class Continuing(ABC):
    """Mixin for a probe whose measurements continue earlier ones, also after a restart of the agent."""

    @abstractmethod
    def can_resume(self, reading: Reading) -> bool:
        """Whether the agent can continue from the record of this reading after a restart."""

    @abstractmethod
    def recall(self, task: Task, record: Record) -> Again | None:
        """Continue from ``record``, the newest of ``task`` that can be resumed from.

        The wish is for a run soon, where what was begun is not at its end.
        """

    @abstractmethod
    def instead(self, task: Task, slot_us: int) -> Reading | None:
        """What makes a run needless in the slot that began at ``slot_us`` on CLOCK_BOOTTIME, if anything."""
