"""Watches what the site itself receives: traffic at the floor or above proves the floor, for nothing.

Only what was received counts: transmit counters tell what was offered to the line, not what it carried. A
stretch of consecutive readings proves the floor if the line carried it throughout, for two seconds or more.
"""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from agent.line.readings import CounterReading, LineCounterSource, Unavailable
from wire.records import ClockReading, LineCounters

EVERY_S = 1.0
LEAST_US = 2_000_000
LONGEST_US = 60_000_000  # then a stretch begins anew, so that a long download is seen in the next slot, too
GAP_US = 2_500_000  # an own test takes longer: none can hide between two readings nearer than this


class Proof(Struct, frozen=True):
    """The line carried ``bps`` (IP layer) of the site's traffic for ``lasted_us``, ending at ``end_us``."""

    begin_us: int
    end_us: int
    bps: float

    @property
    def lasted_us(self) -> int:
        """How long it was watched to do so."""
        return self.end_us - self.begin_us


class Stretches:
    """Readings in, the newest proof out; no I/O, no clock. ``floor_bps`` at the IP layer."""

    def __init__(self, floor_bps: float) -> None:
        self._floor_bps = floor_bps
        self._begin: tuple[int, CounterReading] | None = None
        self._last: tuple[int, CounterReading] | None = None
        self._proof: Proof | None = None

    def interrupt(self) -> None:
        """An own test may be under way: nothing before it continues after it."""
        self._begin = self._last = None

    def add(self, at_us: int, reading: CounterReading | Unavailable) -> None:
        """One reading at a time of CLOCK_BOOTTIME. A stretch ends where the line carried less."""
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
        """The newest proof, if it lies after ``begin_us`` throughout."""
        return self._proof if self._proof and self._proof.begin_us >= begin_us else None


def _bps(first: tuple[int, CounterReading], last: tuple[int, CounterReading]) -> float:
    """What was received from one reading to the other; nothing where a counter went back."""
    added = last[1].since(first[1])
    if isinstance(added, Unavailable) or last[0] <= first[0]:
        return 0.0
    return added.received_ip_bytes * 8e6 / (last[0] - first[0])


class LineWatch:
    """Reads the line's counters about once a second, while no test of our own has the line."""

    def __init__(
        self, counters: LineCounterSource, floor_bps: float, clock: Callable[[], ClockReading]
    ) -> None:
        self._counters = counters
        self._clock = clock
        self._stretches = Stretches(floor_bps)

    @staticmethod
    def can_watch(counters: LineCounterSource) -> bool:
        """Whether a source may be read so often, and tells what is now."""
        return counters.least_interval_s <= EVERY_S and not counters.lag_s

    @property
    def kind(self) -> LineCounters:
        """How the traffic is known."""
        return self._counters.kind

    def since(self, begin_us: int) -> Proof | None:
        """The newest proof of the floor that lies after ``begin_us`` (CLOCK_BOOTTIME) throughout."""
        return self._stretches.since(begin_us)

    def seen(self, at_us: int, reading: CounterReading | Unavailable) -> None:
        """One reading of the counters, at a time of CLOCK_BOOTTIME."""
        self._stretches.add(at_us, reading)

    async def run(self, own_test: Callable[[], bool]) -> None:
        """Watch until cancelled. ``own_test`` says whether the line carries a test of ours."""
        while True:
            if own_test():
                self._stretches.interrupt()
            else:
                self.seen(self._clock().boot_us, self._counters.read())
            await asyncio.sleep(EVERY_S)
