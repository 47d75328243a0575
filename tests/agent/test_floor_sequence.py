import asyncio

import pytest

from agent.floor_sequence import IDLE_KEPT, NEAR_US, FloorSequence, Searched, Verdicts, quiet_hours
from agent.floor_standing import CHOSEN
from agent.hours import parse
from agent.probes.base import Again
from agent.scheduler import utc_second_of_week
from agent.settings import Floor
from tests.agent.fakes import FakeClock
from wire.records import ClockReading, Direction, FloorValues, LineCounters, Spread, Standing, Verdict

H_US = 3_600_000_000
THURSDAY = 1_774_483_200_000_000  # 00:00 UTC
DOWN, UP = Direction.DOWN, Direction.UP
FLOOR = 8e6
QUIET = parse("01:00-05:00")


def at(hour: float, boot_us: int = 0) -> ClockReading:
    return ClockReading(
        wall_us=THURSDAY + round(hour * H_US), boot_us=boot_us, boot_id="boot", synchronised=True
    )


def spread(p50_us: int) -> Spread:
    return Spread(min_us=p50_us, p50_us=p50_us, p95_us=p50_us, p99_us=p50_us)


class Stand:
    """A sequence, its searches, and a clock that goes five minutes with every verdict."""

    def __init__(self, maximum_bps: float | None = 7e6) -> None:
        self.searches: list[tuple[Direction, float]] = []
        self.maximum_bps = maximum_bps
        self.clock = FakeClock()
        self.clock.wall_us = at(12).wall_us
        self.subject = FloorSequence(Floor(), utc_second_of_week, self.search)

    async def search(self, direction: Direction, highest_bps: float) -> Searched:
        self.searches.append((direction, highest_bps))
        return Searched(self.maximum_bps, 1000, 2000)

    def tell(self, verdict: Verdict, times: int = 1, direction: Direction = DOWN) -> Verdicts:
        for _ in range(times):
            self.clock.advance(300)
            told = asyncio.run(self.subject.concluded(direction, verdict, FLOOR, self.clock.read()))
        return told


def test_a_bad_line_is_condemned_after_thirteen_fails_and_one_search() -> None:
    stand, again = Stand(), []
    while not stand.searches:
        told = stand.tell(Verdict.FAIL)
        again.append(told.again)
    assert len(again) == 13
    assert again == [Again(300.0)] * 12 + [None]
    assert stand.searches == [(DOWN, 16e6)]
    assert told.searched == Searched(7e6, 1000, 2000)
    assert stand.subject.course(DOWN).standing is Standing.CONDEMNED
    assert stand.subject.course(UP).standing is Standing.CLEAR


def test_a_search_that_finds_the_floor_clears() -> None:
    stand = Stand(maximum_bps=8e6)
    told = stand.tell(Verdict.FAIL, 13)
    assert (told.course.standing, told.course.evidence, told.again) == (Standing.CLEAR, 0.0, None)


def test_a_search_that_gave_nothing_is_made_again_after_the_next_fail() -> None:
    stand = Stand(maximum_bps=None)
    told = stand.tell(Verdict.FAIL, 14)
    assert (told.course.standing, told.again, len(stand.searches)) == (Standing.SUSPECT, Again(300.0), 2)
    stand.maximum_bps = 7e6
    assert stand.tell(Verdict.FAIL).course.standing is Standing.CONDEMNED


def test_a_fail_that_nobody_confirms_is_tested_again_in_the_quiet_hours_and_moves_nothing() -> None:
    stand = Stand()
    told = stand.tell(Verdict.UNCONFIRMED)
    assert (told.course.standing, told.again) == (Standing.CLEAR, Again(300.0, QUIET))
    assert stand.tell(Verdict.INVALID).again == Again(300.0, QUIET)
    stand.clock.wall_us = at(2).wall_us
    assert stand.tell(Verdict.UNCONFIRMED).again == Again(3600.0, QUIET)
    assert stand.tell(Verdict.FAIL).again == Again(300.0)
    assert stand.tell(Verdict.UNCONFIRMED).again == Again(3600.0, QUIET)
    assert stand.tell(Verdict.PASS).again == Again(300.0)  # still suspect


@pytest.mark.parametrize(
    ("hour", "idle_us", "quiet"),
    [
        (2, 20_000, True),
        (2, 20_000 + NEAR_US, True),
        (2, 20_001 + NEAR_US, False),
        (2, 15_000, True),
        (12, 20_000, False),
        (5, 20_000, False),
    ],
)
def test_a_window_is_quiet_by_the_hour_and_by_the_idle_path(hour: float, idle_us: int, quiet: bool) -> None:
    subject = Stand().subject
    for _ in range(5):
        subject.is_quiet(at(12), spread(20_000))
    assert subject.is_quiet(at(hour), spread(idle_us)) is quiet


def test_without_a_baseline_or_a_train_nothing_is_quiet() -> None:
    subject = Stand().subject
    assert [subject.is_quiet(at(2), spread(20_000)) for _ in range(5)] == [False] * 4 + [True]
    assert not subject.is_quiet(at(2), None)


def test_a_path_that_became_longer_for_good_has_a_new_baseline_some_day() -> None:
    subject = Stand().subject
    for _ in range(10):
        subject.is_quiet(at(2), spread(10_000))
    found = [subject.is_quiet(at(2), spread(30_000)) for _ in range(IDLE_KEPT)]
    assert found == [False] * (IDLE_KEPT - 1) + [True]


def test_quiet_hours_are_none_of_the_sites() -> None:
    assert quiet_hours(Floor(site_hours="04:00-20:00")) == parse("01:00-04:00")


@pytest.mark.parametrize(
    ("verdict", "standing", "again"),
    [
        (Verdict.FAIL, Standing.SUSPECT, Again(300.0)),
        (Verdict.PASS, Standing.SUSPECT, Again(300.0)),
        (Verdict.PASS, Standing.CLEAR, None),
        (Verdict.PASS, Standing.CONDEMNED, None),
        (Verdict.UNCONFIRMED, Standing.CLEAR, Again(300.0, QUIET)),
    ],
)
def test_after_a_restart_it_goes_on(verdict: Verdict, standing: Standing, again: Again | None) -> None:
    values = FloorValues(
        verdict=verdict,
        floor_bps=FLOOR,
        line_counters=LineCounters.NONE,
        tests=(),
        at_least_bps=7e6,
        standing=standing,
        evidence={Standing.CLEAR: 0.0, Standing.SUSPECT: 2.2}.get(standing, CHOSEN.condemns_at),
    )
    stand = Stand()
    assert stand.subject.recall(UP, values) == again
    assert stand.subject.course(UP).standing is standing
    assert stand.subject.is_suspect(UP) is (standing is Standing.SUSPECT)
