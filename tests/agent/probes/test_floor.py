"""The floor probe over exact lines: what it runs, what it counts in, what it makes of failures."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import structs
from msgspec.structs import replace

from agent import floor_test, floor_validity, load_meter
from agent.again import Again
from agent.floor_sequence import FloorSequence, Searched
from agent.floor_standing import CHOSEN
from agent.floor_test import RunLoad
from agent.line_counters import CounterReading, LineCounterSource, NoSource, Unavailable
from agent.line_watch import LineWatch
from agent.load_meter import LoadMeter
from agent.probes import floor
from agent.probes.base import Reading, Surroundings, Task
from agent.probes.floor import Contract, FloorProbe
from agent.scheduler import utc_second_of_week
from agent.settings import AgentSettings, Floor, Peer
from lab.line import LineSettings
from tests.agent import fixed_rate
from tests.agent.fakes import FakeClock
from wire import messages
from wire.records import (
    Direction,
    Failure,
    FloorMeasurement,
    FloorValues,
    LatencyUnderLoad,
    Layer,
    LineCounters,
    Outcome,
    Purpose,
    Spread,
    Standing,
    Verdict,
)
from wire.udpstp.load import Ending, LoadReport, LoadSoFar

SLOW, FAST = LineSettings(rate=7_600_000, queue=100_000), LineSettings(rate=20_000_000, queue=100_000)


class Counted:
    """Line counters that have counted what the running test has brought, and a share as much besides."""

    kind, interface, least_interval_s, lag_s = LineCounters.INLINE, "eth7", 0.1, 0.0

    def __init__(self, other_share: float = 0.0) -> None:
        self.factor = 1 + other_share
        self.bytes = 0

    def read(self) -> CounterReading | Unavailable:
        counted = round(self.bytes * self.factor)
        return CounterReading(counted, 0, counted, 0)

    async def ask(self) -> CounterReading | Unavailable:
        return self.read()


class Broken(Counted):
    def read(self) -> CounterReading | Unavailable:
        return Unavailable("interface eth7 has no counters")


class Vanishing(Counted):
    def read(self) -> CounterReading | Unavailable:
        return super().read() if self.bytes < 1_000_000 else Unavailable("gone")


class Lagging(Counted):
    """A router's counters, asked from afar: what was asked for by name is not there at once."""

    kind, lag_s = LineCounters.SNMP, 0.001

    def __init__(self, *bytes_asked: int) -> None:
        super().__init__()
        self._asked = iter(bytes_asked)

    def read(self) -> CounterReading | Unavailable:
        raise AssertionError("nothing is to be read of it while the load runs")

    async def ask(self) -> CounterReading | Unavailable:
        counted = next(self._asked)
        return CounterReading(counted, 0, counted, 0)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor, "SETTLE_S", 0)
    monkeypatch.setattr(floor, "BUSY_PAUSE_S", 0)


class Clock:
    """Stands in for the module ``time``: a run of a test moves it on."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(load_meter, "time", clock)
    monkeypatch.setattr(floor_test, "time", clock)
    return clock


@dataclass
class Over:
    """Runs tests over an exact line, and tells how they come on as a real test does."""

    line: LineSettings
    clock: Clock
    counters: Counted = field(default_factory=Counted)
    delay_us: int = 0
    asked: list[tuple[float, int]] = field(default_factory=list)

    async def __call__(
        self,
        direction: Direction,
        rate_bps: float,
        seconds: int,
        *,
        on_load: Callable[[LoadSoFar], None],
        cancel: threading.Event,
    ) -> LoadReport:
        self.asked.append((rate_bps, seconds))
        report, _ = fixed_rate.run(self.line, rate_bps, min(seconds, 5), direction)
        began, intervals = self.clock.now, report.intervals
        for tenth in range(seconds * 10 + 1):
            self.clock.now = began + tenth / 10
            told = [one for one in intervals if one.offset_us + one.duration_us <= tenth * 1e5]
            arrived = sum(one.ip_bytes for one in told)
            sent = round(report.sent_bps / 8 * tenth / 10)
            self.counters.bytes = arrived if direction is Direction.DOWN else sent
            on_load(LoadSoFar(self.counters.bytes, self.counters.bytes // 1000, 0, self.delay_us))
            await asyncio.sleep(0)
            if cancel.is_set():
                report = replace(report, ending=Ending.STOPPED, intervals=intervals[: len(told) + 1])
                break
        return replace(report, bytes_sent=2_000_000, bytes_received=2_000_000)


def ending(*endings: Ending, refusal: int | None = None) -> RunLoad:
    """Tests that end in the given ways, one after the other."""
    remaining = iter(endings)

    async def run_load(
        direction: Direction,
        rate_bps: float,
        seconds: int,
        *,
        on_load: Callable[[LoadSoFar], None],
        cancel: threading.Event,
    ) -> LoadReport:
        report, _ = fixed_rate.run(FAST, rate_bps, seconds, direction)
        return replace(report, ending=next(remaining), refusal=refusal, detail="why", bytes_sent=100)

    return run_load


async def alone(
    load_bps: float, run: Callable[[], Awaitable[LoadReport]]
) -> tuple[LoadReport, LatencyUnderLoad | None]:
    """No reflector answers."""
    return await run(), None


async def found_nothing(direction: Direction, highest_bps: float) -> Searched:
    """The peer cannot search."""
    return Searched(None)


def probe(
    run_load: RunLoad, counters: LineCounterSource, direction: Direction = Direction.DOWN, **options: Any
) -> FloorProbe:
    beside = options.pop("beside", alone)
    contract = options.pop("contract", Contract(8e6))
    watch = options.pop("watch", None)
    sequence = FloorSequence(Floor(), FakeClock().read, utc_second_of_week, found_nothing, watch)
    meter = LoadMeter(counters)
    return FloorProbe({direction: contract}, 3600, meter, run_load, beside, sequence, **options)


def run(made: FloorProbe) -> Reading:
    told: list[str] = []
    reading = asyncio.run(made.run(made.tasks()[0], told.append))
    assert told
    return reading


def measure(run_load: RunLoad, counters: LineCounterSource, direction: Direction = Direction.DOWN) -> Reading:
    return run(probe(run_load, counters, direction))


def values(reading: Reading) -> FloorValues:
    assert isinstance(reading.values, FloorValues)
    return reading.values


def test_each_direction_with_a_floor_is_a_task(clock: Clock) -> None:
    made = FloorProbe.of(
        Surroundings(AgentSettings(site="A", peer=Peer(key="k")), b"k", NoSource(), FakeClock().read)
    )
    assert made.tasks() == [Task("floor", 3600, Direction.DOWN), Task("floor", 3600, Direction.UP)]


@pytest.mark.parametrize("direction", list(Direction))
def test_a_fast_line_passes_whatever_else_is_known(clock: Clock, direction: Direction) -> None:
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
def test_a_routers_lagging_counters_tell_the_most_that_others_had(
    clock: Clock, added: int, verdict: Verdict
) -> None:
    reading = measure(Over(SLOW, clock), Lagging(0, added))
    assert values(reading).verdict is verdict
    assert values(reading).line_counters is LineCounters.SNMP
    assert values(reading).tests[0].other_most_bps == (added - 2_000_000) * 4


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


def test_the_round_trip_under_load_stands_in_the_measurement(clock: Clock) -> None:
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


def test_a_lost_set_up_is_tried_again() -> None:
    reading = measure(ending(Ending.NO_ANSWER, Ending.NO_ANSWER, Ending.COMPLETED), NoSource())
    assert values(reading).verdict is Verdict.PASS
    assert reading.bytes_sent == 300


def test_a_silent_peer_is_given_up() -> None:
    reading = measure(ending(*[Ending.NO_ANSWER] * floor.SETUP_TRIES), NoSource())
    assert (reading.outcome, reading.failure, reading.values) == (Outcome.FAILED, Failure.NO_ANSWER, None)
    assert reading.detail == "why"


@pytest.mark.parametrize(
    ("code", "failure"), [(10, Failure.PEER_BUSY), (13, Failure.PEER_BUSY), (9, Failure.PEER_REFUSED)]
)
def test_a_refusal_is_told_apart_from_a_full_peer(code: int, failure: Failure) -> None:
    reading = measure(ending(*[Ending.REFUSED] * floor.SETUP_TRIES, refusal=code), NoSource())
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, failure)


def test_every_ending_has_its_failure() -> None:
    assert set(Ending) == {Ending.COMPLETED, *floor_validity.FAILURES}


@pytest.mark.parametrize(
    ("host", "failure", "told"),
    [
        ("127.0.0.1", Failure.PEER_REFUSED, "nothing listens at the peer's port"),
        ("no-such-name.invalid", Failure.NAME_UNKNOWN, "no-such-name.invalid: "),
    ],
)
def test_whose_fault_it_is_over_a_real_socket(
    host: str, failure: Failure, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "127.0.0.1":
            return real(name, *arguments, **options)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = AgentSettings(site="A", peer=Peer(host=host, udpstp_port=port, key="k"))
    reading = run(FloorProbe.of(Surroundings(settings, b"k", NoSource(), FakeClock().read)))
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, failure)
    assert reading.detail.startswith(told)


def test_an_instrument_that_stalls_every_time_gives_no_verdict() -> None:
    async def run_load(direction: Direction, rate_bps: float, seconds: int, **watched: object) -> LoadReport:
        return fixed_rate.stalled(fixed_rate.run(SLOW, rate_bps, seconds, direction)[0], 300_000)

    reading = measure(run_load, NoSource())
    assert (reading.outcome, reading.failure) == (Outcome.INVALID, Failure.SENDER_STALLED)
    assert values(reading).verdict is Verdict.INVALID
    assert len(values(reading).tests) == 3


def test_a_fail_makes_a_suspect_that_is_tested_again_after_five_minutes(clock: Clock) -> None:
    counters = Counted()
    reading = run(probe(Over(SLOW, clock, counters), counters))
    assert (values(reading).standing, reading.again) == (Standing.SUSPECT, Again(300.0))
    assert values(reading).evidence == pytest.approx(CHOSEN.of_fail)
    passed = run(probe(Over(FAST, clock), NoSource()))
    assert (values(passed).standing, passed.again) == (Standing.CLEAR, None)


def test_after_a_restart_a_suspect_is_drained_and_goes_on(clock: Clock) -> None:
    over = Over(FAST, clock)
    made = probe(over, NoSource(), pre_drain=1_000_000, pre_drain_every=10_000)
    [task] = made.tasks()
    suspect = replace_struct(values(run(probe(Over(FAST, clock), NoSource()))), Standing.SUSPECT)
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
    assert made.recall(task, record) == Again(300.0)
    assert b'"standing":"suspect"' in messages.encode(record)
    assert made.landmark in messages.encode(record)
    reading = run(made)
    assert values(reading).standing is Standing.SUSPECT
    assert values(reading).tests[0].predrain_bytes > 0
    assert made.recall(task, structs.replace(record, values=None)) is None


def replace_struct(passed: FloorValues, standing: Standing) -> FloorValues:
    return structs.replace(passed, standing=standing, evidence=CHOSEN.condemns_at / 2)


def test_what_the_site_itself_received_stands_for_a_test(clock: Clock) -> None:
    counters = Counted()
    watch = LineWatch(counters, 8e6, FakeClock().read)
    made = probe(Over(FAST, clock, counters), counters, watch=watch, contract=Contract(8e6, Layer.ETHERNET))
    [task] = made.tasks()
    assert made.instead(task, 0) is None
    for second in range(4):
        watch.seen(second * 1_000_000, CounterReading(1_500_000 * second, 0, 0, 0))
    reading = made.instead(task, 0)
    assert reading is not None
    passed = values(reading)
    assert (passed.verdict, passed.tests, passed.passive_us) == (Verdict.PASS, (), 3_000_000)
    assert (passed.contract_bps, passed.layer) == (8e6, Layer.ETHERNET)
    assert passed.floor_bps == pytest.approx(8e6 * 1500 / 1518)
    assert (reading.bytes_sent, reading.bytes_received) == (0, 0)
