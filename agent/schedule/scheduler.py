"""When each task starts: once a slot, at a uniformly random moment within it (RFC 2330 §11).

A core without clock: microseconds of CLOCK_BOOTTIME come in, starts and missed slots come out, so that a step
of the wall clock moves no slot and a suspension is seen as what it is. Slots are aligned to their interval,
each site with an offset of its own, so that 6,000 sites do not begin their hour together. A task that has
hours starts within them only: they alone follow the wall clock, wherever it is set to.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from agent.settings.hours import ALWAYS, DAY_S, WEEK_S, Hours
from agent.task.slots import offset_us
from agent.task.task import RetestRequest, Task

MARGIN_US = 1_000_000  # no start in the last second of a slot: a late wake-up must not push it into the next
MISSED_AT_ONCE = 1_000  # a machine that slept for weeks leaves the newest missed slots, not 100,000
STEP_US = (
    60_000_000  # a wall clock that moves by more was set: what was planned for some hours is planned anew
)
AGAIN_SPREAD_US = 3_600_000_000  # sites that wait for the same hours do not all run as these begin
NEVER_US = 2**62
_MONDAY_US = 4 * DAY_S * 1_000_000  # the Unix epoch began on a Thursday

SecondOfWeek = Callable[[int], int]


def utc_second_of_week(wall_us: int) -> int:
    """The second of the week (Monday 00:00 is 0) of a wall time, in UTC."""
    return (wall_us - _MONDAY_US) // 1_000_000 % WEEK_S


class Slot(Struct, frozen=True):
    """One interval of one task. ``begin_us`` is on CLOCK_BOOTTIME."""

    task: Task
    begin_us: int


class Start(Struct, frozen=True):
    """This task is to be run now, for this slot."""

    slot: Slot


class Missed(Struct, frozen=True):
    """This slot ended without a start: the machine slept, or the run before it took that long."""

    slot: Slot


class Retest(Struct, frozen=True):
    """This task is to be run now because its run before asked for it: no slot is used up."""

    task: Task


ScheduleEvent = Start | Missed | Retest


class _Plan(Struct):
    """The next slot with its start; ``free_us`` is the first slot that no start and no miss has used up.

    Where a slot's hours are over without a start, ``start_us`` is the slot's end. A wish is for no moment
    before ``again_from_us``, whatever becomes of the hours.
    """

    task: Task
    interval_us: int
    slot_us: int
    start_us: int
    free_us: int
    running: bool = False
    again_us: int = NEVER_US
    again_from_us: int = 0
    again_hours: Hours = ALWAYS

    @property
    def end_us(self) -> int:
        """Where the slot ends."""
        return self.slot_us + self.interval_us


class Scheduler:
    """Decides every start of every task.

    ``now`` and ``wall`` are the same moment on both clocks, in microseconds; ``second_of_week`` tells the
    local time of a wall time. ``first_within_s`` bounds how long the first start is put off; of a task with
    hours it comes in the first of them. ``done`` holds, by schedule id, the wall time of the newest slot that
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
        second_of_week: SecondOfWeek = utc_second_of_week,
    ) -> None:
        self._chance = chance
        self._second_of_week = second_of_week
        self._ahead_us = wall - now
        first_us = round(first_within_s * 1e6)
        self._plans = {
            task: self._first_plan(task, site, now, wall, first_us, (done or {}).get(task.schedule))
            for task in tasks
        }

    def poll(self, now: int, wall: int | None = None) -> list[ScheduleEvent]:
        """Everything that is due or was missed by ``now``, oldest first for each task.

        ``wall`` is the same moment on the wall clock; without it, that clock is taken not to have been set.
        """
        self._follow(now, now + self._ahead_us if wall is None else wall)
        events: list[ScheduleEvent] = []
        for plan in self._plans.values():
            events += self._missed(plan, now)
            if not plan.running:
                events += self._due(plan, now) or self._due_again(plan, now)
        return events

    def finished(self, task: Task) -> None:
        """The run of ``task`` is over: its next slot may start."""
        self._plans[task].running = False

    def retest(self, task: Task, wish: RetestRequest | None, now: int) -> None:
        """Run ``task`` once more as ``wish`` says, counted from ``now``; None withdraws an earlier wish."""
        plan = self._plans[task]
        plan.again_us = NEVER_US
        if wish is not None:
            plan.again_hours = wish.hours or ALWAYS
            plan.again_from_us = now + round(wish.after_s * 1e6)
            self._put_off(plan, plan.again_from_us)

    def next_start(self, now: int) -> int | None:
        """When ``poll`` will next have something to say, never before ``now``; None without tasks."""
        moments = [
            plan.end_us if plan.running else min(plan.start_us, plan.again_us)
            for plan in self._plans.values()
        ]
        return max(now, min(moments)) if moments else None

    def starts(self) -> dict[str, int]:
        """The planned next start of each task by its name, on CLOCK_BOOTTIME; none that never starts."""
        soonest = {plan.task.name: min(plan.start_us, plan.again_us) for plan in self._plans.values()}
        return {name: start_us for name, start_us in soonest.items() if start_us < NEVER_US}

    def _first_plan(
        self, task: Task, site: str, now: int, wall: int, first_us: int, done: int | None
    ) -> _Plan:
        interval = round(task.interval_s * 1e6)
        into_slot = (wall - offset_us(site, interval)) % interval
        begin = now - into_slot
        plan = _Plan(task, interval, begin, 0, begin)
        spans = self._spans(task, now, plan.end_us - MARGIN_US)
        first = next(spans, None)
        if first is None or _is_done(wall - into_slot, done, interval):
            self._advance(plan, plan.end_us, now)
        else:
            latest = min(first[1], now + first_us) if first[0] == now else first[1]
            plan.start_us = self._chance.randint(first[0], latest)
        return plan

    def _missed(self, plan: _Plan, now: int) -> list[ScheduleEvent]:
        count = (now - plan.slot_us) // plan.interval_us
        if count < 1:
            return []
        first = max(0, count - MISSED_AT_ONCE)
        begins = [plan.slot_us + index * plan.interval_us for index in range(first, count)]
        missed: list[ScheduleEvent] = [
            Missed(Slot(plan.task, begin)) for begin in begins if self._has_hours(plan, begin)
        ]
        self._advance(plan, plan.slot_us + count * plan.interval_us, now)
        return missed

    def _due(self, plan: _Plan, now: int) -> list[ScheduleEvent]:
        if plan.start_us > now:
            return []
        if not self._within(plan.task.hours, now):  # the wall clock was set, or summer time began
            plan.start_us = self._draw(plan, now) or plan.end_us
            return []
        plan.running = True
        event = Start(Slot(plan.task, plan.slot_us))
        self._advance(plan, plan.end_us, now)
        return [event]

    def _due_again(self, plan: _Plan, now: int) -> list[ScheduleEvent]:
        if plan.again_us > now:
            return []
        if not self._within(plan.again_hours, now):
            self._put_off(plan, now)
            return []
        plan.running, plan.again_us = True, NEVER_US
        return [Retest(plan.task)]

    def _put_off(self, plan: _Plan, due_us: int) -> None:
        begin, end = next(
            self._windows(plan.again_hours, due_us, due_us + WEEK_S * 1_000_000), (NEVER_US,) * 2
        )
        late_us = 0 if begin == due_us else min(AGAIN_SPREAD_US, max(0, end - begin - MARGIN_US))
        plan.again_us = begin + self._chance.randint(0, late_us)

    def _advance(self, plan: _Plan, slot_us: int, now: int) -> None:
        """Plan the slot that begins at ``slot_us``, or the first after it that has any of the task's hours.

        A slot that is under way already is drawn from what is left of it: not all at the moment of waking.
        """
        plan.free_us = plan.slot_us = slot_us
        if plan.task.hours is not None and not self._has_hours(plan, slot_us):
            begin, _ = next(
                self._windows(plan.task.hours, plan.end_us, plan.end_us + 8 * DAY_S * 10**6), (0, 0)
            )
            if not begin:
                plan.slot_us = plan.start_us = NEVER_US
                return
            plan.slot_us += (begin - plan.slot_us) // plan.interval_us * plan.interval_us
        plan.start_us = self._draw(plan, max(now, plan.slot_us)) or plan.end_us

    def _draw(self, plan: _Plan, earliest: int) -> int | None:
        """A uniformly random moment of what is left of the slot, None where its hours are over."""
        spans = list(self._spans(plan.task, earliest, max(earliest, plan.end_us - MARGIN_US)))
        into = self._chance.randint(0, max(0, sum(end - begin for begin, end in spans)))
        for begin, end in spans:
            if begin + into <= end:
                return begin + into
            into -= end - begin
        return None

    def _follow(self, now: int, wall: int) -> None:
        """A wall clock that was set brings other hours."""
        was, self._ahead_us = self._ahead_us, wall - now
        if abs(self._ahead_us - was) > STEP_US:
            for plan in self._plans.values():
                if plan.task.hours is not None:
                    self._advance(plan, plan.free_us, now)
                if plan.again_us < NEVER_US and plan.again_hours != ALWAYS:
                    self._put_off(plan, max(now, plan.again_from_us))

    def _has_hours(self, plan: _Plan, slot_us: int) -> bool:
        return next(self._spans(plan.task, slot_us, slot_us + plan.interval_us - MARGIN_US), None) is not None

    def _spans(self, task: Task, first: int, last: int) -> Iterator[tuple[int, int]]:
        """When ``task`` may start, from ``first`` to ``last`` inclusive."""
        if task.hours is not None:
            yield from self._windows(task.hours, first, last)
        elif first <= last:
            yield first, last

    def _windows(self, hours: Hours, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The parts of ``first`` to ``last`` within ``hours``, one after the other.

        Local time is asked anew at each border: summer time moves what comes after it.
        """
        at = first
        while at <= last:
            wait_s = hours.until_begin_s(self._local(at))
            if wait_s is None:
                return
            into_second = (at + self._ahead_us) % 1_000_000
            if wait_s:
                at += wait_s * 1_000_000 - into_second
                continue
            end = at - into_second + self._lasting_s(at, hours) * 1_000_000
            yield at, min(end - 1, last)
            at = end

    def _lasting_s(self, at: int, hours: Hours) -> int:
        """How long ``hours`` last from ``at``, within them: less where summer time begins meanwhile."""
        left_s = hours.left_s(self._local(at))
        skipped_s = (self._local(at + left_s * 1_000_000) - self._local(at) - left_s) % WEEK_S
        return max(60, left_s - skipped_s) if 0 < skipped_s < DAY_S else left_s

    def _within(self, hours: Hours | None, now: int) -> bool:
        return hours is None or hours.contains(self._local(now))

    def _local(self, at: int) -> int:
        return self._second_of_week(at + self._ahead_us)


def _is_done(slot_wall_us: int, done: int | None, interval_us: int) -> bool:
    """Half an interval of tolerance, because a wall clock is corrected between one start and the next."""
    return done is not None and abs(slot_wall_us - done) * 2 < interval_us
