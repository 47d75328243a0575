"""Scheduler: starts each task once a slot, at a uniformly random moment within it (RFC 2330 §11). Pure.

Times are microseconds of CLOCK_BOOTTIME. A step of the wall clock moves no slot, and a suspension shows as
missed slots. Slots are aligned to their interval, with an offset of its own for each site: 6,000 sites do not
begin their hour together. Only the hours of a task follow the wall clock, wherever it is set to.

Each task has one plan, with the next slot, a start in it, and perhaps a retest. ``poll`` decides:

| what is true of a plan, in this order | event | next |
|---|---|---|
| the slot is over, and has hours of the task | missed, for each such slot | the present slot |
| a run of the task is not finished | none | none |
| the start is due, but outside the hours | none | another start in the same slot, or its end |
| the start is due | start | the next slot |
| the retest is due, but outside its hours | none | the retest, when they begin |
| the retest is due | retest: no slot is used up | no retest |

Where the hours of a slot are over without a start, the start is put at the end of the slot.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from agent.settings.hours import ALWAYS, DAY_S, WEEK_S, Hours
from agent.task.slots import offset_us
from agent.task.task import RetestRequest, Task

MARGIN_US = 1_000_000  # no start in the last second of a slot: a late wake-up would move it into the next
MISSED_AT_ONCE = 1_000  # a machine that slept for weeks leaves the newest missed slots, not 100,000
# Step of the wall clock from which starts within hours are planned again.
# NTP slews smaller errors without a step, and a minute matters to no hours.
STEP_US = 60_000_000
RETEST_SPREAD_US = 3_600_000_000  # sites that wait for the same hours must not all start as these begin
NEVER_US = 2**62
_MONDAY_US = 4 * DAY_S * 1_000_000  # the Unix epoch began on a Thursday

SecondOfWeek = Callable[[int], int]


def utc_second_of_week(wall_us: int) -> int:
    """Second of the week (Monday 00:00 is 0) of a wall time, in UTC."""
    return (wall_us - _MONDAY_US) // 1_000_000 % WEEK_S


class Slot(Struct, frozen=True):
    """Interval of a task; ``begin_us`` is on CLOCK_BOOTTIME."""

    task: Task
    begin_us: int


class Start(Struct, frozen=True):
    """Event: the task is to be run now, for this slot."""

    slot: Slot


class Missed(Struct, frozen=True):
    """Event: the slot ended without a start. The machine slept, or the run before took that long."""

    slot: Slot


class Retest(Struct, frozen=True):
    """Event: the task is to be run now, because an earlier run requested it. It uses up no slot."""

    task: Task


ScheduleEvent = Start | Missed | Retest


class _Plan(Struct):
    """Next slot of a task with its start; ``free_us`` is the first slot without a start or a miss.

    A requested retest is not due before ``retest_from_us``, wherever the wall clock is set to.
    """

    task: Task
    interval_us: int
    slot_us: int
    start_us: int
    free_us: int
    running: bool = False
    retest_us: int = NEVER_US
    retest_from_us: int = 0
    retest_hours: Hours = ALWAYS

    @property
    def end_us(self) -> int:
        """End of the slot."""
        return self.slot_us + self.interval_us


class Scheduler:
    """Plans of all tasks.

    ``now`` and ``wall`` are the same moment on both clocks, in microseconds. ``second_of_week`` gives the
    local time of a wall time. ``first_within_s`` bounds the wait for a first start; a task with hours starts
    in the first of them. ``done`` has, by schedule id, the wall time of the newest slot with a measurement: a
    restarted agent measures no slot twice.
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
        """Events until ``now``, oldest first for each task.

        ``wall`` is the same moment on the wall clock; without it, that clock is assumed not to have been set.
        """
        self._follow(now, now + self._ahead_us if wall is None else wall)
        events: list[ScheduleEvent] = []
        for plan in self._plans.values():
            events += self._missed(plan, now)
            if not plan.running:
                events += self._due(plan, now) or self._due_retest(plan, now)
        return events

    def finished(self, task: Task) -> None:
        """Record that the run of ``task`` is over: its next slot may start."""
        self._plans[task].running = False

    def retest(self, task: Task, request: RetestRequest | None, now: int) -> None:
        """Plan the retest that is requested at ``now``; None withdraws an earlier request."""
        plan = self._plans[task]
        plan.retest_us = NEVER_US
        if request is not None:
            plan.retest_hours = request.hours or ALWAYS
            plan.retest_from_us = now + round(request.after_s * 1e6)
            self._put_off(plan, plan.retest_from_us)

    def next_start(self, now: int) -> int | None:
        """Time of the next event, never before ``now``; None without tasks."""
        moments = [
            plan.end_us if plan.running else min(plan.start_us, plan.retest_us)
            for plan in self._plans.values()
        ]
        return max(now, min(moments)) if moments else None

    def starts(self) -> dict[str, int]:
        """Planned next start of each task by its name, on CLOCK_BOOTTIME, without tasks that never start."""
        soonest = {plan.task.name: min(plan.start_us, plan.retest_us) for plan in self._plans.values()}
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

    def _due_retest(self, plan: _Plan, now: int) -> list[ScheduleEvent]:
        if plan.retest_us > now:
            return []
        if not self._within(plan.retest_hours, now):
            self._put_off(plan, now)
            return []
        plan.running, plan.retest_us = True, NEVER_US
        return [Retest(plan.task)]

    def _put_off(self, plan: _Plan, due_us: int) -> None:
        begin, end = next(
            self._windows(plan.retest_hours, due_us, due_us + WEEK_S * 1_000_000), (NEVER_US,) * 2
        )
        late_us = 0 if begin == due_us else min(RETEST_SPREAD_US, max(0, end - begin - MARGIN_US))
        plan.retest_us = begin + self._chance.randint(0, late_us)

    def _advance(self, plan: _Plan, slot_us: int, now: int) -> None:
        """Plan the slot that begins at ``slot_us``, or the first after it with any of the task's hours.

        The start is drawn from the rest of a slot that has begun: after a suspension not all tasks start at
        once.
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
        """Uniformly random moment in the rest of the slot, None if its hours are over."""
        spans = list(self._spans(plan.task, earliest, max(earliest, plan.end_us - MARGIN_US)))
        into = self._chance.randint(0, max(0, sum(end - begin for begin, end in spans)))
        for begin, end in spans:
            if begin + into <= end:
                return begin + into
            into -= end - begin
        return None

    def _follow(self, now: int, wall: int) -> None:
        """Plan again what depends on hours, if the wall clock was set."""
        was, self._ahead_us = self._ahead_us, wall - now
        # Slewing and small corrections must not draw every start again.
        if abs(self._ahead_us - was) > STEP_US:
            for plan in self._plans.values():
                if plan.task.hours is not None:
                    self._advance(plan, plan.free_us, now)
                if plan.retest_us < NEVER_US and plan.retest_hours != ALWAYS:
                    self._put_off(plan, max(now, plan.retest_from_us))

    def _has_hours(self, plan: _Plan, slot_us: int) -> bool:
        return next(self._spans(plan.task, slot_us, slot_us + plan.interval_us - MARGIN_US), None) is not None

    def _spans(self, task: Task, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Spans in which ``task`` may start, from ``first`` to ``last`` inclusive."""
        if task.hours is not None:
            yield from self._windows(task.hours, first, last)
        elif first <= last:
            yield first, last

    def _windows(self, hours: Hours, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Parts of ``first`` to ``last`` within ``hours``, one after the other.

        Local time is asked again at each border, because summer time moves the later ones.
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
        """Seconds from ``at`` to the end of ``hours``: less if summer time begins meanwhile."""
        left_s = hours.left_s(self._local(at))
        skipped_s = (self._local(at + left_s * 1_000_000) - self._local(at) - left_s) % WEEK_S
        return max(60, left_s - skipped_s) if 0 < skipped_s < DAY_S else left_s

    def _within(self, hours: Hours | None, now: int) -> bool:
        return hours is None or hours.contains(self._local(now))

    def _local(self, at: int) -> int:
        return self._second_of_week(at + self._ahead_us)


def _is_done(slot_wall_us: int, done: int | None, interval_us: int) -> bool:
    # Half an interval of tolerance: the wall clock may be corrected between one start and the next.
    return done is not None and abs(slot_wall_us - done) * 2 < interval_us
