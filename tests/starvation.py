"""Machine that keeps programs waiting: figures measured on it are invalid, not wrong."""

import os
import time
from pathlib import Path

import pytest

PRESSURE = Path("/proc/pressure/cpu")
# Beside it, a test that sends every millisecond is held up for longer than its rules allow.
MOST_WAITING = 0.4


class Starvation:
    """Kernel's account of the time in which some program waited for a processor, since this was made.

    Without pressure stall information, the load average is asked instead.
    """

    def __init__(self, pressure: Path = PRESSURE) -> None:
        self._pressure = pressure
        self._began_s, self._began_us = time.monotonic(), self._waited_us()

    @property
    def share(self) -> float:
        """Share of the time, from 0 to 1."""
        if self._began_us is None or (now_us := self._waited_us()) is None:
            return min(1.0, max(0.0, os.getloadavg()[0] / (os.cpu_count() or 1) - 1))
        return (now_us - self._began_us) / 1e6 / max(time.monotonic() - self._began_s, 1e-6)

    @property
    def spoils(self) -> bool:
        """True if the machine was too busy for figures that depend on its timing."""
        return self.share > MOST_WAITING

    def expect(self, holds: bool, otherwise: str) -> None:
        """Fail the test if something does not hold; skip it if the machine was too busy for it."""
        if not holds and self.spoils:
            pytest.skip(f"invalid: {otherwise}; programs waited for a processor {self.share:.0%} of the time")
        assert holds, otherwise

    def _waited_us(self) -> int | None:
        try:
            return int(self._pressure.read_text().split("total=")[1].split()[0])
        except (OSError, IndexError, ValueError):
            return None
