"""Leaves a sign of life every few seconds, and tells at the start how the run before ended."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from pathlib import Path

from agent.heartbeat import alive_file
from agent.heartbeat import rules as previous_end
from agent.heartbeat.alive_file import Alive
from agent.journal.journal import Journal
from agent.journal.thread import JournalThread
from agent.task.watch import Event, Tell
from net.complaint import Complaint
from wire.records import ClockReading, ReachabilityMeasurement

log = logging.getLogger(__name__)

EVERY_S = 10.0


class AliveWatch:
    """``before`` is the last sign of life of the run before, None where there is none."""

    name = "sign of life"

    def __init__(
        self, path: Path, journal: JournalThread, clock: Callable[[], ClockReading], every_s: float = EVERY_S
    ) -> None:
        self._path = path
        self._journal = journal
        self._clock = clock
        self._every_s = every_s
        self._found = alive_file.read(path)
        self._complaint = Complaint()
        self._told = False

    @property
    def before(self) -> ClockReading | None:
        """When the run before was last known alive."""
        return None if self._found is None else self._found.clock

    async def run(self, tell: Tell) -> None:
        """Watch until cancelled, which is an orderly end."""
        await self._tell(tell)
        try:
            while True:
                await self._write(stopped=False)
                await asyncio.sleep(self._every_s)
        except asyncio.CancelledError:
            await self._write(stopped=True)
            raise

    async def _tell(self, tell: Tell) -> None:
        """Once: begun anew after a bug, this watch is no new run."""
        if self._told:
            return
        self._told, now = True, self._clock()
        ending = previous_end.ending(self._found, await self._journal.do(Journal.previous_end))
        if ending is not None:
            told = previous_end.tell(ending, now, round(self._every_s * 1e6), lambda: secrets.token_hex(8))
            tell(Event(ReachabilityMeasurement, now, told.values, told.detail))

    async def _write(self, *, stopped: bool) -> None:
        """On the journal's thread: even what is not waited for may have to wait for a card that is busy."""
        problem, alive = "", Alive(self._clock(), stopped)
        try:
            await self._journal.beside(lambda: alive_file.write(self._path, alive))
        except OSError as error:
            problem = f"{self._path}: {error.strerror}: how this run ends may not be known to the next"
        if self._complaint.is_news(problem):
            log.warning(problem)
