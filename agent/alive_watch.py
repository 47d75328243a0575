"""Leaves a sign of life every few seconds, and tells at the start how the run before ended."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from pathlib import Path

from agent import alive_file, previous_end
from agent.alive_file import Alive
from agent.events import Event, Tell
from agent.previous_end import Ending
from wire.records import ClockReading, ReachabilityMeasurement

log = logging.getLogger(__name__)

EVERY_S = 10.0


class AliveWatch:
    """``before`` is the last sign of life of the run before, None where there is none."""

    name = "sign of life"

    def __init__(self, path: Path, clock: Callable[[], ClockReading], every_s: float = EVERY_S) -> None:
        self._path = path
        self._clock = clock
        self._every_s = every_s
        self._found = alive_file.read(path)
        self._problem = ""

    @property
    def before(self) -> ClockReading | None:
        """When the run before was last known alive."""
        return None if self._found is None else self._found.clock

    async def run(self, tell: Tell) -> None:
        """Watch until cancelled, which is an orderly end."""
        self._tell(tell)
        try:
            while True:
                self._write(stopped=False)
                await asyncio.sleep(self._every_s)
        except asyncio.CancelledError:
            self._write(stopped=True)
            raise

    def _tell(self, tell: Tell) -> None:
        found, self._found = self._found, None
        if found is None:
            return
        ending = Ending(found.clock, found.stopped)
        told = previous_end.tell(
            ending, self._clock(), round(self._every_s * 1e6), lambda: secrets.token_hex(8)
        )
        tell(Event(ReachabilityMeasurement, self._clock(), told.values, told.detail))

    def _write(self, *, stopped: bool) -> None:
        problem = ""
        try:
            alive_file.write(self._path, Alive(self._clock(), stopped))
        except OSError as error:
            problem = f"{self._path}: {error.strerror}: how this run ends may not be known to the next"
        if problem and problem != self._problem:
            log.warning(problem)
        self._problem = problem
