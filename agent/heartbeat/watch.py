"""Keeps the heartbeat going, and records at the start how the previous run ended."""

import secrets
from collections.abc import Callable
from pathlib import Path

from agent.heartbeat import rules
from agent.task.watch import EmitEvent, WatchEvent
from outbox.journal import heartbeat
from outbox.journal.file import place
from outbox.journal.thread import BEAT_EVERY_S, JournalThread
from wire.records import ClockReading, ReachabilityMeasurement


class HeartbeatWatch:
    """``before`` is the last heartbeat of the previous run, None where there is none."""

    name = "heartbeat"

    def __init__(
        self,
        journal_path: Path,
        journal: JournalThread,
        clock: Callable[[], ClockReading],
        every_s: float = BEAT_EVERY_S,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._every_s = every_s
        # Read here, because the first heartbeat of this run replaces it.
        self._found = heartbeat.read(heartbeat.path_beside(place(journal_path)))
        self._recorded = False

    @property
    def before(self) -> ClockReading | None:
        """Moment at which the previous run was last known alive."""
        return None if self._found is None else self._found.clock

    async def run(self, emit: EmitEvent) -> None:
        """Watch until cancelled."""
        await self._record_previous_run(emit)
        await self._journal.keep_beating(self._clock, self._every_s)

    async def _record_previous_run(self, emit: EmitEvent) -> None:
        """Once: started again after a bug, this watch is no new run."""
        if self._recorded:
            return
        self._recorded, now = True, self._clock()
        previous = await self._journal.do(lambda journal: journal.previous_run)
        ending = rules.ending(self._found, previous)
        if ending is not None:
            found = rules.outage(ending, now, round(self._every_s * 1e6), lambda: secrets.token_hex(8))
            emit(WatchEvent(ReachabilityMeasurement, now, found.values, found.detail))
