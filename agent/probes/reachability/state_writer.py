"""Writer of the state file, on the journal's thread."""

import asyncio
import logging
from functools import partial
from pathlib import Path

from agent.probes.reachability import state as reachability_state
from agent.probes.reachability.state import ReachabilityState
from net.complaint import Complaint
from outbox.journal.thread import JournalThread

log = logging.getLogger(__name__)

# Looks between two attempts, half a minute: what the disk refused must not be missing in the next run.
RETRY_LOOKS = 15


class StateWriter:
    """Writes each change of the state, in order and ahead of the records that the same look emitted.

    The journal's thread does one thing after the other. A change is handed to it at once, also while an
    earlier write is not done. If the change waited, the records would get ahead of it.
    """

    def __init__(self, path: Path, journal: JournalThread) -> None:
        self._path = path
        self._journal = journal
        self._written = self._requested = ReachabilityState()
        self._writing: asyncio.Future[None] | None = None
        self._look = self._retry_look = 0
        self._complaint = Complaint()

    def read(self) -> ReachabilityState:
        """State that an earlier run left."""
        self._look = self._retry_look = 0
        self._written = self._requested = reachability_state.read(self._path)
        return self._written

    def write(self, state: ReachabilityState, look: int) -> None:
        """Write ``state`` if it has changed, or if it was refused ``RETRY_LOOKS`` ago.

        ``look`` counts looks.
        """
        self._look = look
        retry = self._writing is None and state != self._written and look >= self._retry_look
        if state == self._requested and not retry:
            return
        self._requested = state
        self._writing = self._journal.beside(partial(reachability_state.write, self._path, state))
        self._writing.add_done_callback(partial(self._done, state))

    async def finish(self, state: ReachabilityState) -> None:
        """Write ``state`` if it has changed, and wait for every write."""
        self._retry_look = 0
        self.write(state, self._look)
        if self._writing is not None:
            await asyncio.wait([self._writing])

    def _done(self, state: ReachabilityState, done: "asyncio.Future[None]") -> None:
        if self._writing is done:
            self._writing = None
        problem = ""
        try:
            done.result()
        except OSError as error:
            self._retry_look = self._look + RETRY_LOOKS
            problem = f"cannot write {self._path} ({error.strerror}): an outage may stay without its end"
        else:
            self._written = state
        if self._complaint.is_news(problem):
            log.warning(problem)
