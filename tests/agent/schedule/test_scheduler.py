import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.schedule.scheduler import (
    MARGIN_US,
    MISSED_AT_ONCE,
    Missed,
    Retest,
    ScheduleEvent,
    Scheduler,
    Slot,
    Start,
    utc_second_of_week,
)
from agent.settings.hours import NEVER, parse
from agent.task.slots import offset_us
from agent.task.task import RetestRequest, Task
from wire.records import Direction

S = 1_000_000
HOURLY = Task("floor", 3600, Direction.DOWN)
MINUTELY = Task("stamp", 60, dscp=0)


def scheduler(task: Task, *, now: int, wall: int, seed: int = 0, **options: object) -> Scheduler:
    return Scheduler([task], "0631234A", random.Random(seed), now=now, wall=wall, **options)  # type: ignore[arg-type]


moments = st.integers(min_value=0, max_value=10**15)


@given(seed=st.integers(), now=moments, wall=moments, interval=st.integers(10, 86400))
def test_every_slot_has_exactly_one_start_inside_it(seed: int, now: int, wall: int, interval: int) -> None:
    task = Task("stamp", interval)
    subject = scheduler(task, now=now, wall=wall, seed=seed)
    begins = []
    for _ in range(20):
        at = subject.next_start(now)
        assert at is not None
        assert at >= now
        now = at
        [event] = subject.poll(now)
        assert isinstance(event, Start)
        assert event.slot.begin_us <= now <= event.slot.begin_us + interval * S - MARGIN_US
        begins.append(event.slot.begin_us)
        subject.finished(task)
    assert {later - earlier for earlier, later in itertools.pairwise(begins)} == {interval * S}


@given(seed=st.integers(), naps=st.lists(st.integers(0, 10_000 * S), max_size=30))
def test_every_slot_of_a_suspension_is_missed_once(seed: int, naps: list[int]) -> None:
    """The polls come at any time, runs take any time: slots are started or missed, none twice, none lost."""
    now = 5_000 * S
    subject = scheduler(MINUTELY, now=now, wall=now, seed=seed)
    told: Counter[int] = Counter()
    chance = random.Random(seed)
    for nap in naps:
        now += nap
        for event in subject.poll(now):
            assert not isinstance(event, Retest)
            told[event.slot.begin_us] += 1
        if chance.random() < 0.5:
            subject.finished(MINUTELY)
    begins = sorted(told)
    assert set(told.values()) <= {1}
    assert {later - earlier for earlier, later in itertools.pairwise(begins)} <= {60 * S}


def test_the_first_start_comes_soon_and_the_second_in_the_next_slot() -> None:
    offset = offset_us("0631234A", 3600 * S)
    wall = 1_775_000_000 * S // (3600 * S) * 3600 * S + offset + 600 * S
    subject = scheduler(HOURLY, now=100 * S, wall=wall, first_within_s=5)
    first = subject.next_start(100 * S)
    assert first is not None
    assert 100 * S <= first <= 105 * S
    assert subject.poll(first) == [Start(Slot(HOURLY, 100 * S - 600 * S))]
    subject.finished(HOURLY)
    second = subject.next_start(first)
    assert second is not None
    assert 3100 * S <= second < 6700 * S


def test_a_slot_already_measured_before_a_restart_is_not_measured_again() -> None:
    wall = 1_775_000_000 * S
    fresh = scheduler(HOURLY, now=100 * S, wall=wall)
    [event] = fresh.poll(400 * S)
    assert isinstance(event, Start)
    slot_wall = event.slot.begin_us + wall - 100 * S
    restarted = scheduler(HOURLY, now=100 * S, wall=wall, done={"floor-down": slot_wall + 200_000})
    at = restarted.next_start(100 * S)
    assert at is not None
    assert at >= event.slot.begin_us + 3600 * S


def test_a_long_run_delays_the_next_start_and_misses_only_a_whole_slot() -> None:
    subject = scheduler(MINUTELY, now=0, wall=0, first_within_s=0)
    [first] = subject.poll(0)
    assert isinstance(first, Start)
    begin = first.slot.begin_us
    assert subject.poll(begin + 2 * 60 * S - 1) == []
    assert subject.poll(begin + 2 * 60 * S) == [Missed(Slot(MINUTELY, begin + 60 * S))]
    subject.finished(MINUTELY)
    at = subject.next_start(begin + 2 * 60 * S) or 0
    assert begin + 2 * 60 * S <= at < begin + 3 * 60 * S
    assert subject.poll(at) == [Start(Slot(MINUTELY, begin + 120 * S))]


def test_weeks_of_sleep_leave_a_bounded_number_of_missed_slots() -> None:
    subject = scheduler(MINUTELY, now=0, wall=0)
    events = subject.poll(30 * 86400 * S)
    missed = [event for event in events if isinstance(event, Missed)]
    assert len(missed) == MISSED_AT_ONCE
    assert 30 * 86400 * S - missed[-1].slot.begin_us < 2 * 60 * S


def test_starts_spread_over_the_whole_slot_and_sites_over_the_interval() -> None:
    into = []
    subject = scheduler(MINUTELY, now=0, wall=0)
    now = 0
    for _ in range(600):
        now = subject.next_start(now) or 0
        [event] = subject.poll(now)
        assert isinstance(event, Start)
        into.append((now - event.slot.begin_us) / S)
        subject.finished(MINUTELY)
    assert all(45 <= sum(low <= second < low + 5.9 for second in into) <= 85 for low in range(0, 54, 6))
    offsets = [offset_us(f"{number:07d}A", 3600 * S) // S // 360 for number in range(6000)]
    assert all(500 < count < 700 for count in Counter(offsets).values())


def test_without_tasks_nothing_ever_starts() -> None:
    subject = Scheduler([], "A", random.Random(0), now=0, wall=0)
    assert (subject.next_start(0), subject.poll(10**15)) == (None, [])


NIGHTS = parse("01:00-05:00")
MONTHLY = Task("capacity", 30 * 86400, hours=NIGHTS)
NIGHTLY = Task("floor", 3600, hours=NIGHTS)


def live(
    subject: Scheduler, task: Task, now: int, until: int, ahead: int = 0
) -> list[tuple[int, ScheduleEvent]]:
    """Every event until then, with its time; runs take no time, polls come when they are asked for."""
    told = []
    while (at := subject.next_start(now)) is not None and at <= until:
        now = at
        for event in subject.poll(now, now + ahead):
            told.append((now, event))
            subject.finished(task)
    return told


@given(
    seed=st.integers(),
    now=moments,
    wall=moments,
    text=st.sampled_from(["01:00-05:00", "Sat 22:00-02:00", "Mon-Fri 07:00-19:00; Sun 3:00-3:01", "always"]),
    interval=st.sampled_from([600, 3600, 86400, 30 * 86400]),
)
def test_a_task_with_hours_starts_in_them_once_in_every_slot_that_has_any(
    seed: int, now: int, wall: int, text: str, interval: int
) -> None:
    hours = parse(text)
    task = Task("capacity", interval, hours=hours)
    subject = scheduler(task, now=now, wall=wall, seed=seed)
    begins = []
    for at, event in live(subject, task, now, now + max(2 * 7 * 86400, 3 * interval) * S, wall - now):
        assert isinstance(event, Start)
        assert event.slot.begin_us <= at <= event.slot.begin_us + interval * S - MARGIN_US
        assert hours.contains(utc_second_of_week(at + wall - now))
        begins.append(event.slot.begin_us)
    assert len(set(begins)) == len(begins) >= 2
    gaps = {later - earlier for earlier, later in itertools.pairwise(begins)}
    assert all(gap % (interval * S) == 0 for gap in gaps)
    if interval > 7 * 86400:
        assert gaps == {interval * S}


def test_the_first_run_with_hours_comes_in_the_first_of_them_and_a_done_month_waits() -> None:
    noon = 1_775_000_000 * S // (86400 * S) * 86400 * S + 12 * 3600 * S
    first = scheduler(MONTHLY, now=5 * S, wall=noon).next_start(5 * S) or 0
    assert 13 * 3600 * S <= first - 5 * S < 17 * 3600 * S
    [(_, event)] = live(scheduler(MONTHLY, now=0, wall=noon), MONTHLY, 0, 86400 * S, noon)
    assert isinstance(event, Start)
    done = {"capacity": event.slot.begin_us + noon}
    later = scheduler(MONTHLY, now=0, wall=noon + 86400 * S, done=done).next_start(0) or 0
    assert later >= event.slot.begin_us + 29 * 86400 * S


def test_no_night_is_missed_though_most_hours_of_the_day_have_no_slot() -> None:
    subject = scheduler(NIGHTLY, now=0, wall=0)
    told = live(subject, NIGHTLY, 0, 100 * 86400 * S)
    assert not [event for _, event in told if isinstance(event, Missed)]
    assert 399 <= len(told) <= 501  # four or, where an hour begins in the hours and ends beyond, five a night


def test_a_wall_clock_that_was_set_brings_its_own_nights() -> None:
    """Booted in 1970 at noon; the true time is two in the morning."""
    boot = 12 * 3600 * S
    subject = scheduler(NIGHTLY, now=0, wall=boot)
    assert (subject.next_start(0) or 0) >= 13 * 3600 * S
    true = 1_775_000_000 * S // (86400 * S) * 86400 * S + 2 * 3600 * S
    assert subject.poll(60 * S, true) == []
    assert (subject.next_start(60 * S) or 0) < 2 * 3600 * S
    told = live(subject, NIGHTLY, 60 * S, 3 * 3600 * S, true - 60 * S)
    assert all(isinstance(event, Start) for _, event in told)
    assert len(told) in {2, 3, 4}


@pytest.mark.parametrize("shift_h", [-1, 1])
def test_summer_time_loses_no_slot_and_starts_nothing_outside_the_hours(shift_h: int) -> None:
    """Local time is shifted at 02:00 of the eleventh day, within the hours."""
    day, turn = 86400 * S, 10 * 86400 * S + 2 * 3600 * S

    def local(wall: int) -> int:
        return utc_second_of_week(wall + (shift_h * 3600 * S if wall >= turn else 0))

    daily = Task("capacity", 86400, hours=NIGHTS)
    for seed in range(50):
        subject = scheduler(daily, now=0, wall=0, seed=seed, second_of_week=local)
        told = live(subject, daily, 0, 20 * day)
        assert all(isinstance(event, Start) and NIGHTS.contains(local(at)) for at, event in told)
        assert len(told) in {20, 21}


def test_only_a_slot_with_hours_is_missed_by_a_suspension() -> None:
    subject = scheduler(NIGHTLY, now=0, wall=12 * 3600 * S)
    first = subject.next_start(0) or 0
    missed = subject.poll(first + 20 * 3600 * S)
    assert all(isinstance(event, Missed) for event in missed)
    assert 4 <= len(missed) <= 5


def test_hours_that_never_come_start_nothing() -> None:
    task = Task("capacity", 3600, hours=NEVER)
    subject = scheduler(task, now=0, wall=0)
    assert subject.poll(10**13) == []
    assert subject.starts() == {}


def test_a_requested_retest_uses_up_no_slot() -> None:
    subject = scheduler(HOURLY, now=0, wall=0, first_within_s=0)
    [first] = subject.poll(0)
    assert isinstance(first, Start)
    subject.retest(HOURLY, RetestRequest(300), 20 * S)
    assert subject.poll(320 * S) == []  # the run that asked is not over
    subject.finished(HOURLY)
    assert subject.poll(321 * S) == [Retest(HOURLY)]
    assert subject.poll(322 * S) == []
    subject.finished(HOURLY)
    [(_, second)] = live(subject, HOURLY, 322 * S, first.slot.begin_us + 2 * 3600 * S - 1)
    assert second == Start(Slot(HOURLY, first.slot.begin_us + 3600 * S))


def test_a_retest_request_is_replaced_and_withdrawn() -> None:
    subject = scheduler(HOURLY, now=0, wall=0, done={"floor-down": 0})
    subject.retest(HOURLY, RetestRequest(300), 0)
    subject.retest(HOURLY, RetestRequest(500), 0)
    assert subject.next_start(0) == 500 * S
    subject.retest(HOURLY, None, 0)
    assert (subject.next_start(0) or 0) > 500 * S
    subject.retest(HOURLY, RetestRequest(300, NEVER), 0)
    assert (subject.next_start(0) or 0) > 500 * S


@given(seed=st.integers())
def test_a_retest_waits_for_its_hours_and_sites_spread_over_the_first_hour(seed: int) -> None:
    noon, task = 12 * 3600 * S, Task("floor", 3600, hours=NEVER)
    subject = scheduler(task, now=0, wall=noon, seed=seed)
    subject.retest(task, RetestRequest(300, NIGHTS), 0)
    at = subject.next_start(0) or 0
    assert 13 * 3600 * S <= at <= 14 * 3600 * S
    assert subject.poll(at) == [Retest(task)]
    subject.retest(task, RetestRequest(300, NIGHTS), 13 * 3600 * S)
    assert subject.starts() == {"floor": 13 * 3600 * S + 300 * S}


def test_a_step_of_the_wall_clock_starts_no_retest_early() -> None:
    """Booted in 1970 at noon; the true time is two in the morning, within the hours that are waited for."""
    task = Task("floor", 3600, hours=NEVER)
    subject = scheduler(task, now=0, wall=12 * 3600 * S)
    subject.retest(task, RetestRequest(300, NIGHTS), 0)
    subject.poll(10 * S, 2 * 3600 * S)
    assert subject.starts() == {"floor": 300 * S}
