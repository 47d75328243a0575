"""The floor probe over exact lines: what it runs, what it counts in, and what its measurements tell."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from agent.configuration import SETTINGS
from agent.line.counters import NoSource
from agent.line.passive_proof import LineWatch
from agent.line.readings import CounterReading
from agent.probes.floor.contract import Contract
from agent.probes.floor.probe import FloorProbe
from agent.probes.floor.rules.sequential_test import CHOSEN
from agent.settings.sections import PeerAccessSettings
from agent.task.retest import RetestRequest
from agent.task.task import ProbeContext, Task
from lab.links.line import LineSettings
from tests.agent.fakes import FakeClock
from tests.agent.probes.floor_lines import (
    FAST,
    SLOW,
    Broken,
    Caching,
    Clock,
    Counted,
    Lagging,
    Over,
    Vanishing,
    measure,
    probe,
    run,
    values,
)
from wire.records import (
    Direction,
    FloorMeasurement,
    LatencyUnderLoad,
    Layer,
    LineCounters,
    Outcome,
    Purpose,
    Spread,
    Standing,
    Verdict,
)
from wire.udpstp.load import Ending, LoadReport


def test_each_direction_with_a_floor_is_a_task(clock: Clock) -> None:
    made = FloorProbe.of(
        ProbeContext(SETTINGS(site="A", peer=PeerAccessSettings(key="k")), b"k", NoSource(), FakeClock().read)
    )
    assert made.tasks() == [Task("floor", 3600, Direction.DOWN), Task("floor", 3600, Direction.UP)]


@pytest.mark.parametrize("direction", list(Direction))
def test_a_fast_line_passes_with_and_without_counters(clock: Clock, direction: Direction) -> None:
    reading = measure(Over(FAST, clock), NoSource(), direction)
    assert (reading.outcome, values(reading).verdict) == (Outcome.OK, Verdict.PASS)
    assert values(reading).at_least_bps == pytest.approx(8e6, rel=0.001)
    assert values(reading).capacity_bps is None
    assert reading.session == values(reading).tests[-1].session
    assert values(reading).tests[0].series == ()


@pytest.mark.parametrize("direction", list(Direction))
def test_a_slow_line_fails_where_the_sites_own_traffic_is_known(clock: Clock, direction: Direction) -> None:
    counters = Counted()
    reading = measure(Over(SLOW, clock, counters), counters, direction)
    assert values(reading).verdict is Verdict.FAIL
    assert values(reading).line_counters is LineCounters.INLINE
    assert values(reading).capacity_bps == pytest.approx(7.6e6, rel=0.005)
    kept = values(reading).tests[0].series
    assert sum(sample.ip_bytes for sample in kept) == pytest.approx(7.6e6 / 8 * 2, rel=0.06)
    assert all(sample.duration_us == 100_000 for sample in kept[:-1])


def test_a_slow_line_is_unconfirmed_where_it_is_not(clock: Clock) -> None:
    reading = measure(Over(SLOW, clock), NoSource())
    assert (values(reading).verdict, values(reading).line_counters, values(reading).quiet) == (
        Verdict.UNCONFIRMED,
        LineCounters.NONE,
        False,
    )
    assert reading.detail == "line_counters.source is none"


def test_in_a_quiet_window_a_fail_counts_without_counters(clock: Clock) -> None:
    made = probe(Over(SLOW, clock), NoSource())
    made.quiet = lambda idle: idle is None
    reading = run(made)
    assert (values(reading).verdict, values(reading).quiet) == (Verdict.FAIL, True)


def test_counters_that_cannot_be_read_never_condemn(clock: Clock) -> None:
    reading = measure(Over(SLOW, clock), Broken())
    assert values(reading).verdict is Verdict.UNCONFIRMED
    assert reading.detail == "interface eth7 has no counters"


def test_counters_that_vanish_in_mid_test_never_condemn(clock: Clock) -> None:
    counters = Vanishing()
    assert values(measure(Over(SLOW, clock, counters), counters)).verdict is Verdict.UNCONFIRMED


@pytest.mark.parametrize("direction", list(Direction))
def test_own_traffic_that_explains_the_deficit_clears_the_line(clock: Clock, direction: Direction) -> None:
    counters = Counted(other_share=0.045)
    reading = measure(Over(SLOW, clock, counters), counters, direction)
    assert values(reading).verdict is Verdict.PASS
    assert values(reading).tests[0].other_traffic_bps == pytest.approx(0.045 * 7.6e6, rel=0.06)


@pytest.mark.parametrize("direction", list(Direction))
def test_a_test_that_congests_a_line_in_use_is_stopped(clock: Clock, direction: Direction) -> None:
    counters = Counted(other_share=0.06)
    slower = LineSettings(rate=7_000_000, queue=100_000)
    reading = measure(Over(slower, clock, counters, delay_us=60_000), counters, direction)
    assert values(reading).verdict is Verdict.FAIL
    test = values(reading).tests[0]
    assert test.ended_early
    assert 1_000_000 <= test.duration_us < 2_000_000
    assert test.capacity_bps == pytest.approx(7_000_000 * 1.06, rel=0.02)
    assert test.series


def test_a_queue_alone_is_no_reason_to_stop(clock: Clock) -> None:
    counters = Counted()
    reading = measure(Over(SLOW, clock, counters, delay_us=60_000), counters)
    assert not values(reading).tests[0].ended_early


@pytest.mark.parametrize(("added", "verdict"), [(2_000_000, Verdict.FAIL), (2_100_000, Verdict.UNCONFIRMED)])
def test_a_routers_lagging_counters_bound_other_traffic(clock: Clock, added: int, verdict: Verdict) -> None:
    reading = measure(Over(SLOW, clock), Lagging(0, added))
    assert values(reading).verdict is verdict
    assert values(reading).line_counters is LineCounters.SNMP
    assert values(reading).tests[0].other_most_bps == (added - 2_000_000) * 4


@pytest.mark.parametrize(
    ("refresh_s", "others_bps", "verdict"),
    [
        (15, 14e6, Verdict.UNCONFIRMED),
        (60, 14e6, Verdict.UNCONFIRMED),
        (0, 14e6, Verdict.UNCONFIRMED),
        # Too little to explain what is missing, however it was spread.
        (0, 1e3, Verdict.FAIL),
        (15, 1e3, Verdict.FAIL),
    ],
)
def test_a_router_that_refreshes_its_counters_seldom_is_waited_for(
    clock: Clock, refresh_s: float, others_bps: float, verdict: Verdict
) -> None:
    """Case B04a: a site that downloads beside the test never fails."""
    counters = Caching(refresh_s, others_bps)
    reading = measure(Over(SLOW, clock, counters), counters)
    assert values(reading).verdict is verdict
    assert values(reading).line_counters is LineCounters.SNMP


def test_a_routers_counters_that_stand_still_are_unusable(clock: Clock) -> None:
    counters = Caching(1e9, 0.0)
    reading = measure(Over(SLOW, clock, counters), counters)
    assert values(reading).verdict is Verdict.UNCONFIRMED
    assert values(reading).line_counters is LineCounters.UNUSABLE
    assert "the counters added 0 bytes while the test alone moved" in reading.detail


def test_a_pass_waits_for_no_counters(clock: Clock) -> None:
    counters = Caching(1e9, 0.0)
    reading = measure(Over(FAST, clock, counters), counters)
    assert values(reading).verdict is Verdict.PASS
    assert values(reading).line_counters is LineCounters.SNMP


def test_a_contract_at_another_layer_is_tested_at_the_ip_layer(clock: Clock) -> None:
    over = Over(SLOW, clock)
    reading = run(probe(over, NoSource(), contract=Contract(7.6e6, Layer.ETHERNET)))
    ((rate_bps, _),) = over.asked
    assert rate_bps == pytest.approx(7.6e6 * 1500 / 1518)
    assert values(reading).verdict is Verdict.PASS
    told = (values(reading).contract_bps, values(reading).layer, values(reading).floor_bps)
    assert told == (7.6e6, Layer.ETHERNET, rate_bps)


def test_a_bucket_is_emptied_every_so_often_and_after_a_fail(clock: Clock) -> None:
    over = Over(FAST, clock)
    made = probe(over, NoSource(), pre_drain=250_000, pre_drain_every=3)
    drained = [bool(values(run(made)).tests[0].predrain_bytes) for _ in range(6)]
    assert drained[:3] == drained[3:]
    assert sum(drained) == 2
    over.line = SLOW
    assert values(run(made)).verdict is Verdict.UNCONFIRMED
    over.line = FAST
    after_a_fail = values(run(made))
    assert after_a_fail.verdict is Verdict.PASS
    assert after_a_fail.tests[0].predrain_bytes > 0
    assert max(rate for rate, _ in over.asked) == 6 * 8e6


def test_a_peer_that_allows_no_faster_load_is_tested_without(clock: Clock) -> None:
    class Strict(Over):
        async def __call__(
            self, direction: Direction, rate_bps: float, *rest: Any, **options: Any
        ) -> LoadReport:
            report = await super().__call__(direction, rate_bps, *rest, **options)
            return replace(report, ending=Ending.REFUSED) if rate_bps > 10e6 else report

    reading = run(probe(Strict(FAST, clock), NoSource(), pre_drain=250_000))
    assert values(reading).verdict is Verdict.PASS
    assert values(reading).tests[0].predrain_bytes == 0


def test_the_round_trip_under_load_is_in_the_measurement(clock: Clock) -> None:
    idle = Spread(min_us=1, p50_us=2, p95_us=3, p99_us=4)
    latency = LatencyUnderLoad(load_bps=8e6, idle=idle, loaded=idle, loss_ratio=0.0)

    async def beside(
        load_bps: float, load: Callable[[], Awaitable[LoadReport]]
    ) -> tuple[LoadReport, LatencyUnderLoad | None]:
        report = await load()
        return replace(report, bytes_sent=report.bytes_sent + 1400), latency

    reading = run(probe(Over(FAST, clock), NoSource(), beside=beside))
    assert values(reading).under_load == latency
    assert reading.bytes_sent == 2_001_400


def test_a_fail_makes_a_suspect_that_is_tested_again_after_five_minutes(clock: Clock) -> None:
    counters = Counted()
    reading = run(probe(Over(SLOW, clock, counters), counters))
    assert (values(reading).standing, reading.retest) == (Standing.SUSPECT, RetestRequest(300.0))
    assert values(reading).evidence == pytest.approx(CHOSEN.of_fail)
    passed = run(probe(Over(FAST, clock), NoSource()))
    assert (values(passed).standing, passed.retest) == (Standing.CLEAR, None)


def test_after_a_restart_a_suspect_is_drained_and_goes_on(clock: Clock) -> None:
    over = Over(FAST, clock)
    made = probe(over, NoSource(), pre_drain=1_000_000, pre_drain_every=10_000)
    [task] = made.tasks()
    passed = values(run(probe(Over(FAST, clock), NoSource())))
    suspect = replace(passed, standing=Standing.SUSPECT, evidence=CHOSEN.condemns_at / 2)
    record = FloorMeasurement(
        epoch="0" * 16,
        seq=1,
        purpose=Purpose.RETEST,
        peer="p",
        start=FakeClock().read(),
        duration_us=1,
        outcome=Outcome.OK,
        values=suspect,
    )
    assert made.resume(task, record) == RetestRequest(300.0)
    reading = run(made)
    assert made.can_resume(reading)
    assert values(reading).standing is Standing.SUSPECT
    assert values(reading).tests[0].predrain_bytes > 0
    assert made.resume(task, replace(record, values=None)) is None


def test_the_sites_own_download_replaces_a_test(clock: Clock) -> None:
    counters = Counted()
    watch = LineWatch(counters, 8e6, FakeClock().read)
    made = probe(Over(FAST, clock, counters), counters, watch=watch, contract=Contract(8e6, Layer.ETHERNET))
    [task] = made.tasks()
    assert made.passive_reading(task, 0) is None
    for second in range(4):
        watch.seen(second * 1_000_000, CounterReading(1_500_000 * second, 0, 0, 0))
    reading = made.passive_reading(task, 0)
    assert reading is not None
    passed = values(reading)
    assert (passed.verdict, passed.tests, passed.passive_us) == (Verdict.PASS, (), 3_000_000)
    assert (passed.contract_bps, passed.layer) == (8e6, Layer.ETHERNET)
    assert passed.floor_bps == pytest.approx(8e6 * 1500 / 1518)
    assert (reading.bytes_sent, reading.bytes_received) == (0, 0)
