"""Passive proof of the download floor: the site's own traffic at the floor or above, at no cost.

A stretch of consecutive readings proves the floor if the line carried it throughout, for two seconds or more.
Only received traffic counts: transmit counters show what was offered to the line, not what it carried.
"""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from agent.line.readings import CounterReading, LineCounterSource, Unavailable
from wire.records import ClockReading, LineCounters

EVERY_S = 1.0
# As long as a floor test.
LEAST_US = 2_000_000
LONGEST_US = 60_000_000  # then a new stretch begins, so that a long download counts in the next slot, too
GAP_US = 2_500_000  # shorter than a test of ours: none can run between two readings


class Proof(Struct, frozen=True):
    """Span of CLOCK_BOOTTIME in which the line carried ``bps`` (IP layer) of the site's traffic."""

    begin_us: int
    end_us: int
    bps: float

    @property
    def lasted_us(self) -> int:
        """Length of the span."""
        return self.end_us - self.begin_us


class Stretches:
    """Stretches of readings at the floor or above: readings in, the newest proof out. Pure.

    ``floor_bps`` is at the IP layer.
    """

    def __init__(self, floor_bps: float) -> None:
        self._floor_bps = floor_bps
        self._begin: tuple[int, CounterReading] | None = None
        self._last: tuple[int, CounterReading] | None = None
        self._proof: Proof | None = None

    def interrupt(self) -> None:
        """End the stretch, because a test of ours may be running: its bytes prove nothing here."""
        self._begin = self._last = None

    def add(self, at_us: int, reading: CounterReading | Unavailable) -> None:
        """Add a reading of CLOCK_BOOTTIME ``at_us``. A stretch ends where the line carried less."""
        if isinstance(reading, Unavailable):
            self.interrupt()
            return
        now, last = (at_us, reading), self._last
        if last is None or at_us - last[0] > GAP_US or _bps(last, now) < self._floor_bps:
            self._begin = now
        self._last = now
        if self._begin is not None and at_us - self._begin[0] >= LEAST_US:
            self._proof = Proof(self._begin[0], at_us, _bps(self._begin, now))
            if at_us - self._begin[0] >= LONGEST_US:
                self._begin = now

    def since(self, begin_us: int) -> Proof | None:
        """Newest proof, if all of it is after ``begin_us``."""
        return self._proof if self._proof and self._proof.begin_us >= begin_us else None


def _bps(first: tuple[int, CounterReading], last: tuple[int, CounterReading]) -> float:
    """Received rate between two readings, bit/s; 0 where a counter went back."""
    added = last[1].since(first[1])
    if isinstance(added, Unavailable) or last[0] <= first[0]:
        return 0.0
    return added.received_ip_bytes * 8e6 / (last[0] - first[0])


class LineWatch:
    """Reader of the line's counters, once a second while no test of ours has the line."""

    def __init__(
        self, counters: LineCounterSource, floor_bps: float, clock: Callable[[], ClockReading]
    ) -> None:
        self._counters = counters
        self._clock = clock
        self._stretches = Stretches(floor_bps)

    @staticmethod
    def can_watch(counters: LineCounterSource) -> bool:
        """True if a source can be read so often, and shows the present."""
        return counters.least_interval_s <= EVERY_S and not counters.lag_s

    @property
    def kind(self) -> LineCounters:
        """Kind of the counters, for the record of a passive pass."""
        return self._counters.kind

    def since(self, begin_us: int) -> Proof | None:
        """Newest proof of the floor, if all of it is after ``begin_us`` (CLOCK_BOOTTIME)."""
        return self._stretches.since(begin_us)

    def seen(self, at_us: int, reading: CounterReading | Unavailable) -> None:
        """Add a reading of the counters at ``at_us`` of CLOCK_BOOTTIME."""
        self._stretches.add(at_us, reading)

    async def run(self, own_test: Callable[[], bool]) -> None:
        """Watch until cancelled. ``own_test`` tells if a test of ours has the line."""
        while True:
            if own_test():
                self._stretches.interrupt()
            else:
                self.seen(self._clock().boot_us, self._counters.read())
            await asyncio.sleep(EVERY_S)
