import asyncio

import pytest
from msgspec import structs

from agent.floor_sequence import IDLE_KEPT, NEAR_US, FloorSequence, Searched, quiet_hours
from agent.floor_standing import CHOSEN
from agent.hours import parse
from agent.line_counters import CounterReading, NoSource
from agent.line_watch import LineWatch
from agent.probes.base import Again, Reading
from agent.scheduler import utc_second_of_week
from agent.settings import Floor
from tests.agent.fakes import FakeClock
from wire.records import (
    ClockReading,
    Direction,
    FloorValues,
    LatencyUnderLoad,
    LineCounters,
    Outcome,
    Spread,
    Standing,
    Verdict,
)

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


def values(verdict: Verdict, idle_us: int) -> FloorValues:
    return FloorValues(
        verdict=verdict,
        floor_bps=FLOOR,
        line_counters=LineCounters.NONE,
        tests=(),
        at_least_bps=7e6,
        under_load=LatencyUnderLoad(load_bps=FLOOR, idle=spread(idle_us)),
    )


class Counters(NoSource):
    """Counters that can be watched."""

    kind = LineCounters.INLINE


class Stand:
    """A sequence, its searches, and a clock that goes five minutes with every verdict."""

    def __init__(self, maximum_bps: float | None = 7e6) -> None:
        self.searches: list[tuple[Direction, float]] = []
        self.maximum_bps = maximum_bps
        self.clock = FakeClock()
        self.clock.wall_us = at(12).wall_us
        counters = Counters()
        self.watch = LineWatch(counters, FLOOR, self.clock.read)
        self.subject = FloorSequence(Floor(), self.clock.read, utc_second_of_week, self.search, self.watch)

    async def search(self, direction: Direction, highest_bps: float) -> Searched:
        self.searches.append((direction, highest_bps))
        return Searched(self.maximum_bps, 1000, 2000)

    def tell(self, verdict: Verdict, times: int = 1, idle_us: int = 50_000) -> Reading:
        """What is made of a run of ``down`` with this verdict, each five minutes after the last."""
        for _ in range(times):
            self.clock.advance(300)
            reading = Reading(
                Outcome.OK, values(verdict, idle_us), detail="own", bytes_sent=1, bytes_received=2
            )
            told = asyncio.run(self.subject.told(DOWN, reading))
        return told

    def standing(self) -> Standing:
        return self.subject.course(DOWN).standing


def figures(reading: Reading) -> FloorValues:
    assert isinstance(reading.values, FloorValues)
    return reading.values


def test_a_bad_line_is_condemned_after_thirteen_fails_and_one_search() -> None:
    stand, again = Stand(), []
    while not stand.searches:
        told = stand.tell(Verdict.FAIL)
        again.append(told.again)
    assert again == [Again(300.0)] * 12 + [None]
    assert stand.searches == [(DOWN, 16e6)]
    condemned = figures(told)
    assert (condemned.standing, condemned.evidence) == (Standing.CONDEMNED, CHOSEN.condemns_at)
    assert (condemned.search_bps, told.bytes_sent, told.bytes_received) == (7e6, 1001, 2002)
    assert stand.subject.course(UP).standing is Standing.CLEAR


def test_a_search_that_finds_the_floor_clears() -> None:
    stand = Stand(maximum_bps=8e6)
    told = stand.tell(Verdict.FAIL, 13)
    assert (figures(told).standing, figures(told).evidence, told.again) == (Standing.CLEAR, 0.0, None)


def test_a_search_that_gave_nothing_is_made_again_after_the_next_fail() -> None:
    stand = Stand(maximum_bps=None)
    told = stand.tell(Verdict.FAIL, 14)
    assert (stand.standing(), told.again, len(stand.searches)) == (Standing.SUSPECT, Again(300.0), 2)
    stand.maximum_bps = 7e6
    assert figures(stand.tell(Verdict.FAIL)).standing is Standing.CONDEMNED


def test_a_fail_that_nobody_confirms_is_tested_again_in_the_quiet_hours_and_moves_nothing() -> None:
    stand = Stand()
    told = stand.tell(Verdict.UNCONFIRMED)
    assert (figures(told).standing, told.again, told.detail) == (Standing.CLEAR, Again(300.0, QUIET), "own")
    assert stand.tell(Verdict.INVALID).again == Again(300.0, QUIET)
    stand.clock.wall_us = at(2).wall_us
    told = stand.tell(Verdict.UNCONFIRMED)  # the third idle train: no baseline yet
    assert (figures(told).verdict, told.again) == (Verdict.UNCONFIRMED, Again(3600.0, QUIET))


def test_in_a_quiet_window_a_fail_counts_though_nobody_sees_the_sites_traffic() -> None:
    stand = Stand()
    stand.tell(Verdict.PASS, 5)
    stand.clock.wall_us = at(2).wall_us
    told = stand.tell(Verdict.UNCONFIRMED)
    assert (figures(told).verdict, figures(told).quiet, told.detail) == (Verdict.FAIL, True, "")
    assert (figures(told).standing, told.again) == (Standing.SUSPECT, Again(300.0))
    told = stand.tell(Verdict.UNCONFIRMED, idle_us=90_000)
    assert (figures(told).verdict, figures(told).quiet) == (Verdict.UNCONFIRMED, False)
    assert told.again == Again(3600.0, QUIET)
    told = stand.tell(Verdict.PASS)
    assert (figures(told).quiet, stand.standing(), told.again) == (True, Standing.SUSPECT, Again(300.0))


def test_a_bad_line_without_counters_is_condemned_in_one_night() -> None:
    stand = Stand()
    stand.tell(Verdict.UNCONFIRMED, 5)
    stand.clock.wall_us = at(1.5).wall_us
    stand.tell(Verdict.UNCONFIRMED, 13)
    assert stand.standing() is Standing.CONDEMNED
    assert stand.clock.wall_us < at(2.75).wall_us


def test_a_run_without_figures_changes_nothing() -> None:
    stand, failed = Stand(), Reading(Outcome.FAILED)
    stand.tell(Verdict.FAIL)
    assert asyncio.run(stand.subject.told(DOWN, failed)) is failed
    assert stand.standing() is Standing.SUSPECT


def test_the_sites_own_traffic_passes_download_once_in_its_slot() -> None:
    stand, floor = Stand(), values(Verdict.INVALID, 50_000)
    begin = stand.clock.boot_us
    assert stand.subject.passive(DOWN, begin, floor) is None
    for second in range(4):
        received = 1_500_000 * second
        reading = CounterReading(received, 0, 0, 0)
        stand.watch.seen(begin + second * 1_000_000, reading)
    stand.clock.advance(10)
    told = stand.subject.passive(DOWN, begin, floor)
    assert told is not None
    passed = figures(told)
    assert (passed.verdict, passed.tests, passed.passive_us) == (Verdict.PASS, (), 3_000_000)
    assert (passed.at_least_bps, passed.line_counters) == (12e6, LineCounters.INLINE)
    assert (passed.standing, told.bytes_received) == (Standing.CLEAR, 0)
    assert stand.subject.passive(UP, begin, floor) is None
    assert stand.subject.passive(DOWN, begin + 1, floor) is None


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
    evidence = {Standing.CLEAR: 0.0, Standing.SUSPECT: 2.2}.get(standing, CHOSEN.condemns_at)
    known = structs.replace(values(verdict, 50_000), standing=standing, evidence=evidence)
    stand = Stand()
    assert stand.subject.recall(UP, known) == again
    assert stand.subject.course(UP).standing is standing
    assert stand.subject.is_suspect(UP) is (standing is Standing.SUSPECT)
