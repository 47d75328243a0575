"""The journal on a thread of its own: the event loop never waits for a disk."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from net.complaint import Complaint
from outbox.journal.journal import Journal
from wire.records import ClockReading

BEAT_EVERY_S = 10.0

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class JournalThread:
    """Runs one piece of work after the other, each to its end, even if whoever asked was cancelled."""

    def __init__(self, open_journal: Callable[[], Journal]) -> None:
        self._open = open_journal
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._journal: Journal | None = None

    async def open(self) -> None:
        """Open the journal. Raises JournalError."""
        self._journal = await self.beside(self._open)

    async def do(self, work: Callable[[Journal], Result]) -> Result:
        """Do ``work`` on the journal's thread and return its result; raises what it raises."""
        journal = self._journal
        if journal is None:
            raise RuntimeError("the journal is not open")
        return await self.beside(lambda: work(journal))

    def beside(self, work: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Do ``work``, which waits for the same disk, in its turn: after all that was asked for before."""
        # Shielded: the loop would take what still waits for its turn back from the thread.
        return asyncio.shield(asyncio.get_running_loop().run_in_executor(self._executor, work))

    async def keep_beating(self, clock: Callable[[], ClockReading], every_s: float = BEAT_EVERY_S) -> None:
        """Write the heartbeat until cancelled; closing the journal writes the last one."""
        complaint = Complaint()
        while True:
            problem = ""
            try:
                await self.do(partial(Journal.beat, now=clock()))
            except OSError as error:
                problem = f"cannot write the heartbeat ({error.strerror}): damage may cost records unseen"
            if complaint.is_news(problem):
                log.warning(problem)
            await asyncio.sleep(every_s)

    @property
    def trouble(self) -> str | None:
        """Reason for keeping records in memory; None while the disk works."""
        return self._journal.trouble if self._journal else None

    @property
    def generation(self) -> int:
        """Grows when older rows can be read again: from another file, or from a disk that works again."""
        return self._journal.generation if self._journal else 0

    async def close(self, now: ClockReading | None = None) -> None:
        """Close after everything that was asked for before is done. ``now`` is when the program ended."""
        journal, self._journal = self._journal, None
        if journal is not None:
            await self.beside(lambda: journal.close(now))
        self._executor.shutdown(wait=True)
