"""Machine that keeps programs waiting: figures measured on it are invalid, not wrong."""

import os
import time
from pathlib import Path

import pytest

PRESSURE, STAT = Path("/proc/pressure/cpu"), Path("/proc/stat")
# Beside it, a test that sends every millisecond is held up for longer than its rules allow.
MOST_WAITING = 0.4
# A host that takes the processors of a virtual machine away does it for 10 ms at a time, or longer.
MOST_STOLEN = 0.05


class Starvation:
    """Kernel's account of the time in which some program waited for a processor, since this was made.

    Without pressure stall information, the load average is asked instead.
    """

    def __init__(self, pressure: Path = PRESSURE) -> None:
        self._pressure = pressure
        self._began_s, self._began_us = time.monotonic(), self._waited_us()
        self._began_ticks = _ticks()

    @property
    def share(self) -> float:
        """Share of the time, from 0 to 1."""
        if self._began_us is None or (now_us := self._waited_us()) is None:
            return min(1.0, max(0.0, os.getloadavg()[0] / (os.cpu_count() or 1) - 1))
        return (now_us - self._began_us) / 1e6 / max(time.monotonic() - self._began_s, 1e-6)

    @property
    def spoils(self) -> bool:
        """True if the machine was too busy for figures that depend on its timing."""
        return self.share > MOST_WAITING or self.stolen > MOST_STOLEN

    @property
    def stolen(self) -> float:
        """Share of the processors' busy time, from 0 to 1, that their host took away."""
        busy, stolen = (now - began for now, began in zip(_ticks(), self._began_ticks, strict=True))
        return stolen / max(1, busy + stolen)

    def expect(self, holds: bool, otherwise: str) -> None:
        """Fail the test if something does not hold; skip it if the machine was too busy for it."""
        if not holds and self.spoils:
            waited, stolen = (
                f"programs waited for a processor {self.share:.0%} of the time",
                f"{self.stolen:.0%}",
            )
            pytest.skip(f"invalid: {otherwise}; {waited}, its host took {stolen} of it")
        assert holds, otherwise

    def _waited_us(self) -> int | None:
        try:
            return int(self._pressure.read_text().split("total=")[1].split()[0])
        except (OSError, IndexError, ValueError):
            return None


def _ticks() -> tuple[int, int]:
    """Busy and stolen time of all processors so far, in ticks; 0 where the kernel does not say."""
    try:
        user, nice, system, _, _, irq, softirq, stolen = map(int, STAT.read_text().split()[1:9])
    except (OSError, ValueError):
        return 0, 0
    return user + nice + system + irq + softirq, stolen
