"""When each task starts: once a slot, at a uniformly random moment within it (RFC 2330 §11).

A core without clock: microseconds of CLOCK_BOOTTIME come in, starts and missed slots come out, so that a step
of the wall clock moves nothing and a suspension is seen as what it is. Slots are aligned to their interval,
each site with an offset of its own, so that 6,000 sites do not begin their hour together.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.probes.base import Task

MARGIN_US = 1_000_000  # no start in the last second of a slot: a late wake-up must not push it into the next
MISSED_AT_ONCE = 1_000  # a machine that slept for weeks leaves the newest missed slots, not 100,000


@dataclass(frozen=True, slots=True)
class Slot:
    """One interval of one task. ``begin_us`` is on CLOCK_BOOTTIME."""

    task: Task
    begin_us: int


@dataclass(frozen=True, slots=True)
class Start:
    """This task is to be run now, for this slot."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Missed:
    """This slot ended without a start: the machine slept, or the run before it took that long."""

    slot: Slot


@dataclass(slots=True)
class _Plan:
    task: Task
    interval_us: int
    slot_us: int
    start_us: int
    running: bool = False


class Scheduler:
    """Decides every start of every task.

    ``now`` and ``wall`` are the same moment on both clocks, in microseconds. ``first_within_s`` bounds how
    long the first start is put off. ``done`` holds, by schedule id, the wall time of the newest slot that
    already has its measurement, so that an agent that is restarted does not measure a slot twice.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        site: str,
        chance: random.Random,
        *,
        now: int,
        wall: int,
        first_within_s: float = 300.0,
        done: Mapping[str, int] | None = None,
    ) -> None:
        self._chance = chance
        first_us = round(first_within_s * 1e6)
        self._plans = {
            task: self._first_plan(task, site, now, wall, first_us, (done or {}).get(task.schedule))
            for task in tasks
        }

    def poll(self, now: int) -> list[Start | Missed]:
        """Everything that is due or was missed by ``now``, oldest first for each task."""
        events: list[Start | Missed] = []
        for plan in self._plans.values():
            events += self._missed(plan, now)
            if plan.start_us <= now and not plan.running:
                events.append(Start(Slot(plan.task, plan.slot_us)))
                plan.running = True
                self._advance(plan, plan.slot_us + plan.interval_us)
        return events

    def finished(self, task: Task) -> None:
        """The run of ``task`` is over: its next slot may start."""
        self._plans[task].running = False

    def next_start(self, now: int) -> int | None:
        """When ``poll`` will next have something to say, never before ``now``; None without tasks."""
        moments = [
            plan.slot_us + plan.interval_us if plan.running else plan.start_us
            for plan in self._plans.values()
        ]
        return max(now, min(moments)) if moments else None

    def starts(self) -> dict[str, int]:
        """The planned next start of each task by its name, on CLOCK_BOOTTIME."""
        return {plan.task.name: plan.start_us for plan in self._plans.values()}

    def _first_plan(
        self, task: Task, site: str, now: int, wall: int, first_us: int, done: int | None
    ) -> _Plan:
        interval = round(task.interval_s * 1e6)
        into_slot = (wall - offset_us(site, interval)) % interval
        plan = _Plan(task, interval, now - into_slot, 0)
        latest = min(plan.slot_us + interval - MARGIN_US, now + first_us)
        if latest < now or _is_done(wall - into_slot, done, interval):
            self._advance(plan, plan.slot_us + interval)
        else:
            plan.start_us = self._chance.randint(now, latest)
        return plan

    def _missed(self, plan: _Plan, now: int) -> list[Start | Missed]:
        count = (now - plan.slot_us) // plan.interval_us
        if count < 1:
            return []
        first = max(0, count - MISSED_AT_ONCE)
        begins = (plan.slot_us + index * plan.interval_us for index in range(first, count))
        missed: list[Start | Missed] = [Missed(Slot(plan.task, begin)) for begin in begins]
        self._advance(plan, plan.slot_us + count * plan.interval_us)
        self._redraw(plan, now)
        return missed

    def _redraw(self, plan: _Plan, now: int) -> None:
        """After a gap the start is drawn from what is left of the slot: not all at the moment of waking."""
        latest = max(now, plan.slot_us + plan.interval_us - MARGIN_US)
        plan.start_us = self._chance.randint(now, latest)

    def _advance(self, plan: _Plan, slot_us: int) -> None:
        plan.slot_us = slot_us
        plan.start_us = slot_us + self._chance.randint(0, max(0, plan.interval_us - MARGIN_US))


def offset_us(site: str, interval_us: int) -> int:
    """Where this site's slots begin within the interval: whole seconds, the same after every restart."""
    spread = int.from_bytes(hashlib.sha256(site.encode()).digest()[:8])
    return spread % interval_us // 1_000_000 * 1_000_000


def _is_done(slot_wall_us: int, done: int | None, interval_us: int) -> bool:
    """Half an interval of tolerance, because a wall clock is corrected between one start and the next."""
    return done is not None and abs(slot_wall_us - done) * 2 < interval_us
