"""Watch over the wall clock for as long as the agent runs; ``rules`` decide what counts as a change."""

import asyncio
from collections.abc import Callable

from agent.clock.rules import ClockChanges
from agent.task.watch import EmitEvent, WatchEvent
from agent.train.peer_time import PeerTime
from wire.records import ClockMeasurement, ClockReading

# Bound on the error of the time at which a change is recorded.
EVERY_S = 5.0


class ClockWatch:
    """Records when the wall clock is set, becomes synchronised, or is no longer."""

    name = "clock"

    def __init__(self, clock: Callable[[], ClockReading], peer_time: PeerTime) -> None:
        self._clock = clock
        self._peer_time = peer_time
        self._changes = ClockChanges()

    async def run(self, emit: EmitEvent) -> None:
        """Look every five seconds."""
        while True:
            now = self._clock()
            values = self._changes.look(now, self._peer_time)
            if values is not None:
                emit(WatchEvent(ClockMeasurement, now, values))
            await asyncio.sleep(EVERY_S)
