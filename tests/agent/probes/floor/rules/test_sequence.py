import asyncio

import pytest
from msgspec import structs

from agent.line.counters import NoSource
from agent.line.passive_proof import LineWatch
from agent.line.readings import CounterReading
from agent.probes.floor.rules.sequence import IDLE_KEPT, NEAR_US, FloorSequence, Searched, Told, quiet_hours
from agent.probes.floor.rules.sequential_test import CHOSEN
from agent.schedule.scheduler import utc_second_of_week
from agent.settings.hours import parse
from agent.settings.sections import Floor
from agent.task.retest import Again
from tests.agent.fakes import FakeClock
from wire.ip_layer import ip_rate
from wire.records import (
    ClockReading,
    Direction,
    FloorValues,
    LatencyUnderLoad,
    Layer,
    LineCounters,
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


def values(verdict: Verdict) -> FloorValues:
    return FloorValues(
        verdict=verdict,
        floor_bps=FLOOR,
        line_counters=LineCounters.NONE,
        tests=(),
        at_least_bps=7e6,
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

    def tell(self, verdict: Verdict, times: int = 1, idle_us: int = 50_000) -> Told:
        """What is made of a run of ``down`` with this verdict, each five minutes after the last."""
        for _ in range(times):
            self.clock.advance(300)
            quiet = self.subject.is_quiet(spread(idle_us))
            counted = Verdict.FAIL if quiet and verdict is Verdict.UNCONFIRMED else verdict
            found = structs.replace(values(counted), quiet=quiet)
            told = asyncio.run(self.subject.told(DOWN, found))
        return told

    def standing(self) -> Standing:
        return self.subject.course(DOWN).standing


def test_a_bad_line_is_condemned_after_thirteen_fails_and_one_search() -> None:
    stand, again = Stand(), []
    while not stand.searches:
        told = stand.tell(Verdict.FAIL)
        again.append(told.again)
    assert again == [Again(300.0)] * 12 + [None]
    assert stand.searches == [(DOWN, 16e6)]
    condemned = told.values
    assert (condemned.standing, condemned.evidence) == (Standing.CONDEMNED, CHOSEN.condemns_at)
    assert (condemned.search_bps, told.searched) == (7e6, Searched(7e6, 1000, 2000))
    assert stand.subject.course(UP).standing is Standing.CLEAR


def test_a_search_that_finds_the_floor_clears() -> None:
    stand = Stand(maximum_bps=8e6)
    told = stand.tell(Verdict.FAIL, 13)
    assert (told.values.standing, told.values.evidence, told.again) == (Standing.CLEAR, 0.0, None)


def test_a_search_that_gave_nothing_is_made_again_after_the_next_fail() -> None:
    stand = Stand(maximum_bps=None)
    told = stand.tell(Verdict.FAIL, 14)
    assert (stand.standing(), told.again, len(stand.searches)) == (Standing.SUSPECT, Again(300.0), 2)
    stand.maximum_bps = 7e6
    assert stand.tell(Verdict.FAIL).values.standing is Standing.CONDEMNED


def test_a_fail_that_nobody_confirms_is_tested_again_in_the_quiet_hours_and_moves_nothing() -> None:
    stand = Stand()
    told = stand.tell(Verdict.UNCONFIRMED)
    assert (told.values.standing, told.again) == (Standing.CLEAR, Again(300.0, QUIET))
    assert stand.tell(Verdict.INVALID).again == Again(300.0, QUIET)
    stand.clock.wall_us = at(2).wall_us
    told = stand.tell(Verdict.UNCONFIRMED)  # the third idle train: no baseline yet
    assert (told.values.verdict, told.again) == (Verdict.UNCONFIRMED, Again(3600.0, QUIET))


def test_a_suspect_whose_site_was_using_the_line_is_tested_again_soon() -> None:
    stand = Stand()
    stand.tell(Verdict.FAIL)
    seen = structs.replace(values(Verdict.UNCONFIRMED), line_counters=LineCounters.INLINE)
    wishes = [asyncio.run(stand.subject.told(DOWN, seen)).again for _ in range(3)]
    assert wishes == [Again(300.0), Again(300.0), None]
    assert stand.standing() is Standing.SUSPECT


def test_in_a_quiet_window_a_fail_counts_though_nobody_sees_the_sites_traffic() -> None:
    stand = Stand()
    stand.tell(Verdict.PASS, 5)
    stand.clock.wall_us = at(2).wall_us
    told = stand.tell(Verdict.UNCONFIRMED)
    assert (told.values.verdict, told.values.quiet) == (Verdict.FAIL, True)
    assert (told.values.standing, told.again) == (Standing.SUSPECT, Again(300.0))
    told = stand.tell(Verdict.UNCONFIRMED, idle_us=90_000)
    assert (told.values.verdict, told.values.quiet) == (Verdict.UNCONFIRMED, False)
    assert told.again == Again(3600.0, QUIET)
    told = stand.tell(Verdict.PASS)
    assert (told.values.quiet, stand.standing(), told.again) == (True, Standing.SUSPECT, Again(300.0))


def test_a_bad_line_without_counters_is_condemned_in_one_night() -> None:
    stand = Stand()
    stand.tell(Verdict.UNCONFIRMED, 5)
    stand.clock.wall_us = at(1.5).wall_us
    stand.tell(Verdict.UNCONFIRMED, 13)
    assert stand.standing() is Standing.CONDEMNED
    assert stand.clock.wall_us < at(2.75).wall_us


def test_the_sites_own_traffic_passes_download_once_in_its_slot() -> None:
    stand, floor = Stand(), values(Verdict.PASS)
    begin = stand.clock.boot_us
    assert stand.subject.passive(DOWN, begin, floor) is None
    for second in range(4):
        received = 1_500_000 * second
        reading = CounterReading(received, 0, 0, 0)
        stand.watch.seen(begin + second * 1_000_000, reading)
    stand.clock.advance(10)
    told = stand.subject.passive(DOWN, begin, floor)
    assert told is not None
    passed = told.values
    assert (passed.verdict, passed.tests, passed.passive_us) == (Verdict.PASS, (), 3_000_000)
    assert (passed.at_least_bps, passed.line_counters) == (12e6, LineCounters.INLINE)
    assert (passed.standing, told.again) == (Standing.CLEAR, None)
    assert stand.subject.passive(UP, begin, floor) is None
    assert stand.subject.passive(DOWN, begin + 1, floor) is None


def test_a_condemned_direction_is_suspected_of_a_token_bucket_until_it_is_clear() -> None:
    """Without a pre-drain a bucket of 2 MB lets test after test pass: a day of them would clear it."""
    stand = Stand()
    assert not stand.subject.is_suspect(DOWN)
    stand.tell(Verdict.FAIL, 13)
    assert (stand.standing(), stand.subject.is_suspect(DOWN)) == (Standing.CONDEMNED, True)
    stand.tell(Verdict.PASS, 24)
    assert (stand.standing(), stand.subject.is_suspect(DOWN)) == (Standing.CLEAR, False)


def test_what_the_site_receives_clears_nobody() -> None:
    """Two seconds at the floor are what a token bucket lets through, too."""
    stand, floor = Stand(), values(Verdict.PASS)
    begin = stand.clock.boot_us
    for second in range(4):
        stand.watch.seen(begin + second * 1_000_000, CounterReading(1_500_000 * second, 0, 0, 0))
    stand.tell(Verdict.FAIL)
    assert stand.subject.passive(DOWN, begin, floor) is None
    stand.tell(Verdict.FAIL, 12)
    assert stand.standing() is Standing.CONDEMNED
    assert stand.subject.passive(DOWN, begin, floor) is None


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
    stand = Stand()
    for _ in range(5):
        stand.subject.is_quiet(spread(20_000))
    stand.clock.wall_us = at(hour).wall_us
    assert stand.subject.is_quiet(spread(idle_us)) is quiet


def test_without_a_baseline_or_a_train_nothing_is_quiet() -> None:
    stand = Stand()
    stand.clock.wall_us = at(2).wall_us
    assert [stand.subject.is_quiet(spread(20_000)) for _ in range(5)] == [False] * 4 + [True]
    assert not stand.subject.is_quiet(None)


def test_a_restart_beside_a_backup_does_not_make_its_queue_the_baseline() -> None:
    stand = Stand()
    stand.clock.wall_us = at(2).wall_us
    known = structs.replace(
        values(Verdict.PASS), under_load=LatencyUnderLoad(load_bps=FLOOR, idle=spread(20_000))
    )
    for direction in (DOWN, UP):
        stand.subject.recall(direction, known)
    assert [stand.subject.is_quiet(spread(150_000)) for _ in range(5)] == [False] * 5
    assert stand.subject.is_quiet(spread(21_000))


def test_a_path_that_became_longer_for_good_has_a_new_baseline_some_day() -> None:
    stand = Stand()
    stand.clock.wall_us = at(2).wall_us
    for _ in range(10):
        stand.subject.is_quiet(spread(10_000))
    found = [stand.subject.is_quiet(spread(30_000)) for _ in range(IDLE_KEPT)]
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
    known = structs.replace(values(verdict), standing=standing, evidence=evidence)
    stand = Stand()
    assert stand.subject.recall(UP, known) == again
    assert stand.subject.course(UP).standing is standing
    follows = standing is not Standing.CLEAR or verdict is Verdict.UNCONFIRMED
    assert stand.subject.is_suspect(UP) is follows


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.UNCONFIRMED])
def test_after_a_restart_with_another_floor_it_begins_anew(verdict: Verdict) -> None:
    """What was tested against 8 Mbit/s says nothing of a contract of 4, nor of one of 20."""
    known = structs.replace(values(verdict), standing=Standing.CONDEMNED, evidence=CHOSEN.condemns_at)
    for floor_bps in (4e6, 20e6):
        stand = Stand()
        assert stand.subject.recall(DOWN, structs.replace(known, floor_bps=floor_bps)) is None
        assert (stand.standing(), stand.subject.is_suspect(DOWN)) == (Standing.CLEAR, False)


def test_the_floor_is_compared_at_the_ip_layer() -> None:
    subject = FloorSequence(
        Floor(layer=Layer.ETHERNET), FakeClock().read, utc_second_of_week, Stand().search, None
    )
    known = structs.replace(
        values(Verdict.FAIL), standing=Standing.SUSPECT, evidence=2.2, floor_bps=ip_rate(8e6, Layer.ETHERNET)
    )
    subject.recall(DOWN, known)
    assert subject.course(DOWN).standing is Standing.SUSPECT
