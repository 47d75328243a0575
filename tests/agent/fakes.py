"""A clock and a probe that do as they are told."""

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agent.task.task import Progress, Reading, Task
from wire.records import ClockReading, Measurement, Outcome, StampMeasurement, StampValues

Value = TypeVar("Value")
VALUES = StampValues(sent=20, received=20, timeout_us=2_000_000, loss_ratio=0.0)
GOOD = Reading(Outcome.OK, VALUES, bytes_sent=1440, bytes_received=1440)
TASK = Task("stamp", 60, dscp=46)
DAILY = Task("stamp", 86_400, dscp=46)
"""For a start at once, whatever the time: a minute's slot may be as good as over."""


def value_of(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """The result of a coroutine that waits for nothing: no event loop is needed."""
    with contextlib.closing(coroutine):
        try:
            coroutine.send(None)
        except StopIteration as ended:
            return ended.value
    raise AssertionError("the coroutine waits for something")


@dataclass
class FakeClock:
    boot_us: int = 1_000_000_000
    wall_us: int = 1_775_000_000_000_000
    synchronised: bool = True

    def read(self) -> ClockReading:
        return ClockReading(
            wall_us=self.wall_us, boot_us=self.boot_us, boot_id="boot", synchronised=self.synchronised
        )

    def advance(self, seconds: float) -> None:
        self.boot_us += round(seconds * 1e6)
        self.wall_us += round(seconds * 1e6)


@dataclass
class FakeProbe:
    """Gives ``answer``, raises it, or waits for ever where it is None."""

    answer: Reading | BaseException | None = GOOD
    alone: bool = False
    deadline_s: float = 5.0
    record: type[Measurement] = StampMeasurement
    clock: FakeClock | None = None
    started: list[Task] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    pause_s: float = 0.0
    asked: Sequence[Task] = (TASK,)

    def tasks(self) -> Sequence[Task]:
        return self.asked

    async def run(self, task: Task, progress: Progress) -> Reading:
        self.started.append(task)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            progress("measuring")
            if self.clock:
                self.clock.advance(10)
            await (asyncio.Event().wait() if self.answer is None else asyncio.sleep(self.pause_s))
        finally:
            self.at_once -= 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        assert isinstance(self.answer, Reading)
        return self.answer
