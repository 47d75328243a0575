"""Steps of the collector's own clock: which offset dates arrivals."""

import pytest
from msgspec.structs import replace

from collector.model.clock_steps import CONVINCING_US, MAX_ERAS, STEP_US, ArrivalClock, begin, look
from tests.collector.examples import BOOT_US, HOUR_US, NOW_US, clock

SECOND_US = 1_000_000
Looks = list[tuple[int, int, bool]]  # seconds, the wall clock's error in seconds, synchronised


def run(looks: Looks, known: ArrivalClock | None = None) -> ArrivalClock:
    now_us = NOW_US
    for seconds, off_s, synchronised in looks:
        for _ in range(seconds):
            now_us += SECOND_US
            reading = replace(clock(now_us, synchronised=synchronised), wall_us=now_us + off_s * SECOND_US)
            known = begin(reading) if known is None else look(known, reading)
    assert known is not None
    return known


@pytest.mark.parametrize(
    ("looks", "off_s"),
    [
        ([(10, 0, False)], 0),
        ([(30, 0, False), (29, 600, False)], 0),  # a step in mid-run dates nothing
        ([(30, 0, False), (40, 600, False)], 600),  # unless it lasts longer than all before
        ([(30, 0, False), (20, 600, False), (15, 0, False), (20, 600, False)], 0),  # in several pieces
        ([(10, 600, False), (12, 0, False)], 0),  # wrong at the start
        ([(1000, 600, False), (1, 0, True)], 0),  # NTP convinces at once
        ([(10, 0, True), (1000, 600, False)], 0),  # and nothing else convinces then
        ([(10, 600, True), (12, 0, True)], 0),
        ([(10, 0, False), (10, 1, False), (10, 2, False), (10, 3, False)], 3),  # slewed, not stepped
    ],
)
def test_the_weightier_era_dates(looks: Looks, off_s: int) -> None:
    assert run(looks).offset_us == NOW_US - BOOT_US + off_s * SECOND_US


def test_a_day_convinces_whatever_lasted_longer() -> None:
    known = run([(5, 0, False)])
    long = replace(known, eras=(replace(known.eras[0], lasted_us=9 * CONVINCING_US),))
    stepped = run([(2, 600, False)], long)
    assert stepped.dating == 0
    lasted = replace(stepped.eras[1], lasted_us=CONVINCING_US)
    later = replace(stepped, eras=(stepped.eras[0], lasted))
    assert run([(5, 600, False)], later).dating == 1


def test_a_clock_that_steps_all_the_time_fills_no_memory() -> None:
    looks = [(1, 600 * number, False) for number in range(3 * MAX_ERAS)]
    made = run([(60, -HOUR_US // SECOND_US, False), *looks])
    assert len(made.eras) == MAX_ERAS
    assert made.eras[made.dating].lasted_us > made.eras[made.present].lasted_us
    assert made.off_us > STEP_US


def test_another_boot_begins_anew() -> None:
    known = run([(30, 0, True)])
    after = begin(clock(NOW_US - HOUR_US, boot_id="boot-2", synchronised=False), known)
    assert after.boot_id == "boot-2"
    assert len(after.eras) == 1
