"""Exact lines for the floor probe: what runs its tests, what counts beside them, and the probe itself."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from agent.line.readings import CounterReading, LineCounterSource, Unavailable
from agent.load.line_meter import LoadMeter
from agent.probes.floor.contract import Contract
from agent.probes.floor.fixed_rate import RunLoad
from agent.probes.floor.probe import FloorProbe
from agent.probes.floor.rules.sequence import FloorSequence, SearchResult
from agent.schedule.scheduler import utc_second_of_week
from agent.settings.sections import FloorSettings
from agent.task.task import Reading
from lab.links.line import LineSettings
from tests.agent.fakes import FakeClock
from tests.agent.load import fixed_rate
from wire.records import Direction, FloorValues, LatencyUnderLoad, LineCounters
from wire.udpstp.load import Ending, LoadReport, LoadSoFar

SLOW, FAST = LineSettings(rate=7_600_000, queue=100_000), LineSettings(rate=20_000_000, queue=100_000)


class Counted:
    """Line counters that have counted what the running test has brought, and a share as much besides."""

    kind, interface, least_interval_s, lag_s = LineCounters.INLINE, "eth7", 0.1, 0.0

    def __init__(self, other_share: float = 0.0) -> None:
        self.factor = 1 + other_share
        self.own_bytes = 0

    def read(self) -> CounterReading | Unavailable:
        counted = round(self.own_bytes * self.factor)
        return CounterReading(counted, 0, counted, 0)

    async def ask(self) -> CounterReading | Unavailable:
        return self.read()


class Broken(Counted):
    def read(self) -> CounterReading | Unavailable:
        return Unavailable("interface eth7 has no counters")


class Vanishing(Counted):
    def read(self) -> CounterReading | Unavailable:
        return super().read() if self.own_bytes < 1_000_000 else Unavailable("gone")


class Lagging(Counted):
    """A router's counters, asked from afar: what was asked for by name is not there at once.

    Every answer is a new count: something always crosses the line the other way.
    """

    kind, lag_s = LineCounters.SNMP, 0.001

    def __init__(self, *bytes_asked: int) -> None:
        super().__init__()
        self._asked = list(bytes_asked)
        self.answers = 0

    def read(self) -> CounterReading | Unavailable:
        raise AssertionError("nothing is to be read of it while the load runs")

    async def ask(self) -> CounterReading | Unavailable:
        counted = self._asked.pop(0) if len(self._asked) > 1 else self._asked[0]
        self.answers += 1
        return CounterReading(counted, 0, self.answers, 0)


class Caching(Lagging):
    """Router that copies its counts every ``refresh_s``, on a line that the site uses at ``others_bps``.

    Case B04a, a hundred times as fast: 60 s are 0.6 s, and a test takes 0.02 s.
    """

    SPEED = 100
    lag_s = 0.05
    _own = _tests = 0

    def __init__(self, refresh_s: float, others_bps: float) -> None:
        super().__init__(0)
        self.refresh_s, self.others_bps = refresh_s / self.SPEED, others_bps
        self._copied: tuple[float, int] | None = None

    @property
    def own_bytes(self) -> int:
        return self._own

    @own_bytes.setter
    def own_bytes(self, count: int) -> None:
        # A new test counts from 0 again.
        self._tests += self._own if count < self._own else 0
        self._own = count

    async def ask(self) -> CounterReading | Unavailable:
        now = asyncio.get_running_loop().time()
        if self._copied is None or now - self._copied[0] >= self.refresh_s:
            others = self.others_bps / 8 * now * self.SPEED
            self._copied = now, round(others) + self._tests + self._own
        return CounterReading(self._copied[1], 0, self.answers, 0)


class Clock:
    """Stands in for the module ``time``: a run of a test moves it on."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


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
            self.counters.own_bytes = arrived if direction is Direction.DOWN else sent
            on_load(LoadSoFar(self.counters.own_bytes, self.counters.own_bytes // 1000, 0, self.delay_us))
            await asyncio.sleep(0)
            if cancel.is_set():
                report = replace(report, ending=Ending.STOPPED, intervals=intervals[: len(told) + 1])
                break
        else:
            # What waited in the queue at the end of the load arrives, too.
            down = direction is Direction.DOWN
            self.counters.own_bytes = report.received_ip_bytes if down else report.sent_ip_bytes
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


async def found_nothing(direction: Direction, highest_bps: float) -> SearchResult:
    """The peer cannot search."""
    return SearchResult(None)


def probe(
    run_load: RunLoad, counters: LineCounterSource, direction: Direction = Direction.DOWN, **options: Any
) -> FloorProbe:
    beside = options.pop("beside", alone)
    contract = options.pop("contract", Contract(8e6))
    watch = options.pop("watch", None)
    sequence = FloorSequence(FloorSettings(), FakeClock().read, utc_second_of_week, found_nothing, watch)
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
