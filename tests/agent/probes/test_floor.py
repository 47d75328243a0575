"""The floor probe over exact lines: what it runs, what it counts in, what it makes of failures."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from agent import floor_rules, load_meter
from agent.line_counters import CounterReading, LineCounterSource, NoSource, Unavailable
from agent.load_meter import LoadMeter
from agent.probes import floor
from agent.probes.base import Reading, Surroundings, Task
from agent.probes.floor import FloorProbe, RunLoad
from agent.settings import AgentSettings, Peer
from lab.line import LineSettings
from tests.agent import fixed_rate
from tests.agent.fakes import FakeClock
from wire.records import Direction, Failure, FloorValues, LineCounters, Outcome, Verdict
from wire.udpstp.load import Ending, LoadReport

SLOW, FAST = LineSettings(rate=7_600_000, queue=100_000), LineSettings(rate=20_000_000, queue=100_000)


class Counted:
    """Line counters that go up by the given amounts from one reading to the next."""

    kind = LineCounters.INLINE

    def __init__(self, *added_bytes: int) -> None:
        self._steps: Iterator[int] = iter(added_bytes)
        self._total = 0

    def read(self) -> CounterReading | Unavailable:
        self._total += next(self._steps)
        return CounterReading(self._total, 0, self._total, 0)


class Broken:
    kind = LineCounters.INLINE

    def read(self) -> CounterReading | Unavailable:
        return Unavailable("interface eth7 has no counters")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor, "SETTLE_S", 0)
    monkeypatch.setattr(floor, "BUSY_PAUSE_S", 0)


def over(line: LineSettings) -> RunLoad:
    async def run_load(direction: Direction, rate_bps: float, seconds: int) -> LoadReport:
        report, _ = fixed_rate.run(line, rate_bps, seconds, direction)
        return replace(report, bytes_sent=2_000_000, bytes_received=2_000_000)

    return run_load


def ending(*endings: Ending, refusal: int | None = None) -> RunLoad:
    """Tests that end in the given ways, one after the other."""
    remaining = iter(endings)

    async def run_load(direction: Direction, rate_bps: float, seconds: int) -> LoadReport:
        report, _ = fixed_rate.run(FAST, rate_bps, seconds, direction)
        return replace(report, ending=next(remaining), refusal=refusal, detail="why", bytes_sent=100)

    return run_load


def measure(run_load: RunLoad, counters: LineCounterSource, direction: Direction = Direction.DOWN) -> Reading:
    probe = FloorProbe({direction: 8e6}, 3600, LoadMeter(counters), run_load)
    told: list[str] = []
    reading = asyncio.run(probe.run(probe.tasks()[0], told.append))
    assert told
    return reading


def values(reading: Reading) -> FloorValues:
    assert isinstance(reading.values, FloorValues)
    return reading.values


def test_each_direction_with_a_floor_is_a_task() -> None:
    probe = FloorProbe({Direction.DOWN: 8e6, Direction.UP: 4e6}, 3600, LoadMeter(NoSource()), over(FAST))
    assert probe.tasks() == [Task("floor", 3600, Direction.DOWN), Task("floor", 3600, Direction.UP)]


@pytest.mark.parametrize("direction", list(Direction))
def test_a_fast_line_passes_whatever_else_is_known(direction: Direction) -> None:
    reading = measure(over(FAST), NoSource(), direction)
    assert (reading.outcome, values(reading).verdict) == (Outcome.OK, Verdict.PASS)
    assert values(reading).at_least_bps == pytest.approx(8e6, rel=0.001)
    assert values(reading).capacity_bps is None
    assert reading.session == values(reading).tests[-1].session


def test_a_slow_line_fails_where_the_sites_own_traffic_is_known() -> None:
    reading = measure(over(SLOW), Counted(0, 2_000_000))
    assert values(reading).verdict is Verdict.FAIL
    assert values(reading).line_counters is LineCounters.INLINE
    assert values(reading).capacity_bps == pytest.approx(7.6e6, rel=0.005)


def test_a_slow_line_is_unconfirmed_where_it_is_not() -> None:
    reading = measure(over(SLOW), NoSource())
    assert (values(reading).verdict, values(reading).line_counters) == (
        Verdict.UNCONFIRMED,
        LineCounters.NONE,
    )
    assert reading.detail == "line_counters.source is none"


def test_counters_that_cannot_be_read_never_condemn() -> None:
    reading = measure(over(SLOW), Broken())
    assert values(reading).verdict is Verdict.UNCONFIRMED
    assert reading.detail == "interface eth7 has no counters"


def test_counters_that_vanish_in_mid_test_never_condemn() -> None:
    class Vanishing(Counted):
        def read(self) -> CounterReading | Unavailable:
            return super().read() if self._total == 0 else Unavailable("gone")

    assert values(measure(over(SLOW), Vanishing(1))).verdict is Verdict.UNCONFIRMED


def test_own_traffic_that_explains_the_deficit_clears_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100, 2))
    monkeypatch.setattr(load_meter, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    reading = measure(over(SLOW), Counted(0, 2_000_000 + 100_000))  # 0.4 Mbit/s of the site's own in 2 s
    assert values(reading).verdict is Verdict.PASS
    assert values(reading).tests[0].other_traffic_bps == pytest.approx(0.4e6)


@pytest.mark.parametrize("direction", list(Direction))
def test_traffic_before_and_after_the_load_was_not_beside_it(
    monkeypatch: pytest.MonkeyPatch, direction: Direction
) -> None:
    """Another transfer takes the whole slow line during set-up and drain, and nothing in between."""
    times = iter([0.0, 0.2, 2.2, 2.7])
    monkeypatch.setattr(load_meter, "time", SimpleNamespace(monotonic=lambda: next(times)))
    ours = 2_000_000 if direction is Direction.UP else 1_900_000
    counters = Counted(0, round(7.6e6 / 8 * 0.2), ours, round(7.6e6 / 8 * 0.5))
    meter = LoadMeter(counters)

    async def run_load(direction: Direction, rate_bps: float, seconds: int) -> LoadReport:
        report, _ = fixed_rate.run(SLOW, rate_bps, seconds, direction)
        meter.mark()
        meter.mark()
        return replace(report, bytes_sent=2_000_000, bytes_received=1_900_000)

    probe = FloorProbe({direction: 8e6}, 3600, meter, run_load)
    reading = asyncio.run(probe.run(probe.tasks()[0], lambda _: None))
    assert values(reading).verdict is Verdict.FAIL
    assert values(reading).capacity_bps == pytest.approx(7.6e6, rel=0.005)


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
    assert set(Ending) == {Ending.COMPLETED, *floor_rules.FAILURES}


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
    probe = FloorProbe.of(Surroundings(settings, b"k", NoSource(), FakeClock().read))
    reading = asyncio.run(probe.run(probe.tasks()[0], lambda _: None))
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, failure)
    assert reading.detail.startswith(told)


def test_an_instrument_that_stalls_every_time_gives_no_verdict() -> None:
    async def run_load(direction: Direction, rate_bps: float, seconds: int) -> LoadReport:
        return fixed_rate.stalled(fixed_rate.run(SLOW, rate_bps, seconds, direction)[0], 300_000)

    reading = measure(run_load, NoSource())
    assert (reading.outcome, reading.failure) == (Outcome.INVALID, Failure.SENDER_STALLED)
    assert values(reading).verdict is Verdict.INVALID
    assert len(values(reading).tests) == 3
