import pytest
from msgspec import structs

from agent.line.counters import NoSource
from agent.line.passive_proof import LineWatch
from agent.line.readings import CounterReading
from agent.probes.floor.rules.sequence import (
    IDLE_KEPT,
    NEAR_US,
    FloorSequence,
    SearchResult,
    SequencedVerdict,
    quiet_hours,
)
from agent.probes.floor.rules.sequential_test import CHOSEN
from agent.schedule.scheduler import utc_second_of_week
from agent.settings.hours import parse
from agent.settings.sections import FloorSettings
from agent.task.retest import RetestRequest
from tests.agent.fakes import FakeClock, value_of
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


class FloorTestbed:
    """Floor sequence with its searches, and a clock that moves five minutes with every verdict."""

    def __init__(self, maximum_bps: float | None = 7e6) -> None:
        self.searches: list[tuple[Direction, float]] = []
        self.maximum_bps = maximum_bps
        self.clock = FakeClock()
        self.clock.wall_us = at(12).wall_us
        counters = Counters()
        self.watch = LineWatch(counters, FLOOR, self.clock.read)
        self.subject = FloorSequence(
            FloorSettings(), self.clock.read, utc_second_of_week, self.search, self.watch
        )

    async def search(self, direction: Direction, highest_bps: float) -> SearchResult:
        self.searches.append((direction, highest_bps))
        return SearchResult(self.maximum_bps, 1000, 2000)

    def tell(self, verdict: Verdict, times: int = 1, idle_us: int = 50_000) -> SequencedVerdict:
        """Add runs of ``down`` with this verdict, five minutes apart; returns the last."""
        for _ in range(times):
            self.clock.advance(300)
            quiet = self.subject.is_quiet(spread(idle_us))
            counted = Verdict.FAIL if quiet and verdict is Verdict.UNCONFIRMED else verdict
            found = structs.replace(values(counted), quiet=quiet)
            told = value_of(self.subject.add(DOWN, found))
        return told

    def standing(self) -> Standing:
        return self.subject.state(DOWN).standing


def test_a_bad_line_is_condemned_after_thirteen_fails_and_one_search() -> None:
    testbed, again = FloorTestbed(), []
    while not testbed.searches:
        told = testbed.tell(Verdict.FAIL)
        again.append(told.retest)
    assert again == [RetestRequest(300.0)] * 12 + [None]
    assert testbed.searches == [(DOWN, 16e6)]
    condemned = told.values
    assert (condemned.standing, condemned.evidence) == (Standing.CONDEMNED, CHOSEN.condemns_at)
    assert (condemned.search_bps, told.searched) == (7e6, SearchResult(7e6, 1000, 2000))
    assert testbed.subject.state(UP).standing is Standing.CLEAR


def test_a_search_that_finds_the_floor_clears() -> None:
    testbed = FloorTestbed(maximum_bps=8e6)
    told = testbed.tell(Verdict.FAIL, 13)
    assert (told.values.standing, told.values.evidence, told.retest) == (Standing.CLEAR, 0.0, None)


def test_a_search_without_a_result_is_repeated_after_the_next_fail() -> None:
    testbed = FloorTestbed(maximum_bps=None)
    told = testbed.tell(Verdict.FAIL, 14)
    assert (testbed.standing(), told.retest, len(testbed.searches)) == (
        Standing.SUSPECT,
        RetestRequest(300.0),
        2,
    )
    testbed.maximum_bps = 7e6
    assert testbed.tell(Verdict.FAIL).values.standing is Standing.CONDEMNED


def test_an_unconfirmed_fail_is_retested_in_quiet_hours_and_adds_no_evidence() -> None:
    testbed = FloorTestbed()
    told = testbed.tell(Verdict.UNCONFIRMED)
    assert (told.values.standing, told.retest) == (Standing.CLEAR, RetestRequest(300.0, QUIET))
    assert testbed.tell(Verdict.INVALID).retest == RetestRequest(300.0, QUIET)
    testbed.clock.wall_us = at(2).wall_us
    told = testbed.tell(Verdict.UNCONFIRMED)  # the third idle train: no baseline yet
    assert (told.values.verdict, told.retest) == (Verdict.UNCONFIRMED, RetestRequest(3600.0, QUIET))


def test_a_suspect_whose_site_was_using_the_line_is_tested_again_soon() -> None:
    testbed = FloorTestbed()
    testbed.tell(Verdict.FAIL)
    seen = structs.replace(values(Verdict.UNCONFIRMED), line_counters=LineCounters.INLINE)
    wishes = [value_of(testbed.subject.add(DOWN, seen)).retest for _ in range(3)]
    assert wishes == [RetestRequest(300.0), RetestRequest(300.0), None]
    assert testbed.standing() is Standing.SUSPECT


def test_in_a_quiet_window_a_fail_counts_without_counters() -> None:
    testbed = FloorTestbed()
    testbed.tell(Verdict.PASS, 5)
    testbed.clock.wall_us = at(2).wall_us
    told = testbed.tell(Verdict.UNCONFIRMED)
    assert (told.values.verdict, told.values.quiet) == (Verdict.FAIL, True)
    assert (told.values.standing, told.retest) == (Standing.SUSPECT, RetestRequest(300.0))
    told = testbed.tell(Verdict.UNCONFIRMED, idle_us=90_000)
    assert (told.values.verdict, told.values.quiet) == (Verdict.UNCONFIRMED, False)
    assert told.retest == RetestRequest(3600.0, QUIET)
    told = testbed.tell(Verdict.PASS)
    assert (told.values.quiet, testbed.standing(), told.retest) == (
        True,
        Standing.SUSPECT,
        RetestRequest(300.0),
    )


def test_a_bad_line_without_counters_is_condemned_in_one_night() -> None:
    testbed = FloorTestbed()
    testbed.tell(Verdict.UNCONFIRMED, 5)
    testbed.clock.wall_us = at(1.5).wall_us
    testbed.tell(Verdict.UNCONFIRMED, 13)
    assert testbed.standing() is Standing.CONDEMNED
    assert testbed.clock.wall_us < at(2.75).wall_us


def test_the_sites_own_traffic_passes_download_once_in_its_slot() -> None:
    testbed, floor = FloorTestbed(), values(Verdict.PASS)
    begin = testbed.clock.boot_us
    assert testbed.subject.passive(DOWN, begin, floor) is None
    for second in range(4):
        received = 1_500_000 * second
        reading = CounterReading(received, 0, 0, 0)
        testbed.watch.seen(begin + second * 1_000_000, reading)
    testbed.clock.advance(10)
    told = testbed.subject.passive(DOWN, begin, floor)
    assert told is not None
    passed = told.values
    assert (passed.verdict, passed.tests, passed.passive_us) == (Verdict.PASS, (), 3_000_000)
    assert (passed.at_least_bps, passed.line_counters) == (12e6, LineCounters.INLINE)
    assert (passed.standing, told.retest) == (Standing.CLEAR, None)
    assert testbed.subject.passive(UP, begin, floor) is None
    assert testbed.subject.passive(DOWN, begin + 1, floor) is None


def test_a_condemned_direction_is_suspected_of_a_token_bucket_until_it_is_clear() -> None:
    """Without a pre-drain a bucket of 2 MB lets test after test pass: a day of them would clear it."""
    testbed = FloorTestbed()
    assert not testbed.subject.is_suspect(DOWN)
    testbed.tell(Verdict.FAIL, 13)
    assert (testbed.standing(), testbed.subject.is_suspect(DOWN)) == (Standing.CONDEMNED, True)
    testbed.tell(Verdict.PASS, 24)
    assert (testbed.standing(), testbed.subject.is_suspect(DOWN)) == (Standing.CLEAR, False)


def test_the_sites_own_download_clears_no_suspect() -> None:
    """Two seconds at the floor are what a token bucket lets through, too."""
    testbed, floor = FloorTestbed(), values(Verdict.PASS)
    begin = testbed.clock.boot_us
    for second in range(4):
        testbed.watch.seen(begin + second * 1_000_000, CounterReading(1_500_000 * second, 0, 0, 0))
    testbed.tell(Verdict.FAIL)
    assert testbed.subject.passive(DOWN, begin, floor) is None
    testbed.tell(Verdict.FAIL, 12)
    assert testbed.standing() is Standing.CONDEMNED
    assert testbed.subject.passive(DOWN, begin, floor) is None


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
    testbed = FloorTestbed()
    for _ in range(5):
        testbed.subject.is_quiet(spread(20_000))
    testbed.clock.wall_us = at(hour).wall_us
    assert testbed.subject.is_quiet(spread(idle_us)) is quiet


def test_without_a_baseline_or_a_train_it_is_not_quiet() -> None:
    testbed = FloorTestbed()
    testbed.clock.wall_us = at(2).wall_us
    assert [testbed.subject.is_quiet(spread(20_000)) for _ in range(5)] == [False] * 4 + [True]
    assert not testbed.subject.is_quiet(None)


def test_a_restart_beside_a_backup_does_not_make_its_queue_the_baseline() -> None:
    testbed = FloorTestbed()
    testbed.clock.wall_us = at(2).wall_us
    known = structs.replace(
        values(Verdict.PASS), under_load=LatencyUnderLoad(load_bps=FLOOR, idle=spread(20_000))
    )
    for direction in (DOWN, UP):
        testbed.subject.resume(direction, known)
    assert [testbed.subject.is_quiet(spread(150_000)) for _ in range(5)] == [False] * 5
    assert testbed.subject.is_quiet(spread(21_000))


def test_a_path_that_became_longer_for_good_has_a_new_baseline_some_day() -> None:
    testbed = FloorTestbed()
    testbed.clock.wall_us = at(2).wall_us
    for _ in range(10):
        testbed.subject.is_quiet(spread(10_000))
    found = [testbed.subject.is_quiet(spread(30_000)) for _ in range(IDLE_KEPT)]
    assert found == [False] * (IDLE_KEPT - 1) + [True]


def test_quiet_hours_are_none_of_the_sites() -> None:
    assert quiet_hours(FloorSettings(site_hours="04:00-20:00")) == parse("01:00-04:00")


@pytest.mark.parametrize(
    ("verdict", "standing", "again"),
    [
        (Verdict.FAIL, Standing.SUSPECT, RetestRequest(300.0)),
        (Verdict.PASS, Standing.SUSPECT, RetestRequest(300.0)),
        (Verdict.PASS, Standing.CLEAR, None),
        (Verdict.PASS, Standing.CONDEMNED, None),
        (Verdict.UNCONFIRMED, Standing.CLEAR, RetestRequest(300.0, QUIET)),
    ],
)
def test_after_a_restart_it_goes_on(
    verdict: Verdict, standing: Standing, again: RetestRequest | None
) -> None:
    evidence = {Standing.CLEAR: 0.0, Standing.SUSPECT: 2.2}.get(standing, CHOSEN.condemns_at)
    known = structs.replace(values(verdict), standing=standing, evidence=evidence)
    testbed = FloorTestbed()
    assert testbed.subject.resume(UP, known) == again
    assert testbed.subject.state(UP).standing is standing
    follows = standing is not Standing.CLEAR or verdict is Verdict.UNCONFIRMED
    assert testbed.subject.is_suspect(UP) is follows


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.UNCONFIRMED])
def test_after_a_restart_with_another_floor_it_starts_clear(verdict: Verdict) -> None:
    """Tests against 8 Mbit/s say nothing about another floor."""
    known = structs.replace(values(verdict), standing=Standing.CONDEMNED, evidence=CHOSEN.condemns_at)
    for floor_bps in (4e6, 20e6):
        testbed = FloorTestbed()
        assert testbed.subject.resume(DOWN, structs.replace(known, floor_bps=floor_bps)) is None
        assert (testbed.standing(), testbed.subject.is_suspect(DOWN)) == (Standing.CLEAR, False)


def test_the_floor_is_compared_at_the_ip_layer() -> None:
    subject = FloorSequence(
        FloorSettings(layer=Layer.ETHERNET), FakeClock().read, utc_second_of_week, FloorTestbed().search, None
    )
    known = structs.replace(
        values(Verdict.FAIL), standing=Standing.SUSPECT, evidence=2.2, floor_bps=ip_rate(8e6, Layer.ETHERNET)
    )
    subject.resume(DOWN, known)
    assert subject.state(DOWN).standing is Standing.SUSPECT
