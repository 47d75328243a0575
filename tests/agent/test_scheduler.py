import itertools
import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from agent.probes.base import Task
from agent.scheduler import MARGIN_US, MISSED_AT_ONCE, Missed, Scheduler, Slot, Start, offset_us
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
def test_whatever_is_slept_through_every_slot_is_told_once(seed: int, naps: list[int]) -> None:
    """The polls come at any time, runs take any time: slots are started or missed, none twice, none lost."""
    now = 5_000 * S
    subject = scheduler(MINUTELY, now=now, wall=now, seed=seed)
    told: Counter[int] = Counter()
    chance = random.Random(seed)
    for nap in naps:
        now += nap
        for event in subject.poll(now):
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
    slot_wall = event.slot.begin_us + wall - 100 * S
    restarted = scheduler(HOURLY, now=100 * S, wall=wall, done={"floor-down": slot_wall + 200_000})
    at = restarted.next_start(100 * S)
    assert at is not None
    assert at >= event.slot.begin_us + 3600 * S


def test_a_long_run_delays_the_next_start_and_misses_only_a_whole_slot() -> None:
    subject = scheduler(MINUTELY, now=0, wall=0, first_within_s=0)
    [first] = subject.poll(0)
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
        into.append((now - event.slot.begin_us) / S)
        subject.finished(MINUTELY)
    assert all(45 <= sum(low <= second < low + 5.9 for second in into) <= 85 for low in range(0, 54, 6))
    offsets = [offset_us(f"{number:07d}A", 3600 * S) // S // 360 for number in range(6000)]
    assert all(500 < count < 700 for count in Counter(offsets).values())


def test_without_tasks_nothing_ever_starts() -> None:
    subject = Scheduler([], "A", random.Random(0), now=0, wall=0)
    assert (subject.next_start(0), subject.poll(10**15)) == (None, [])
