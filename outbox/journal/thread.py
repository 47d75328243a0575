"""The journal on a thread of its own: the event loop never waits for a disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from outbox.journal.journal import Journal
from wire.records import ClockReading

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

    @property
    def trouble(self) -> str | None:
        """Why records are kept in memory now; None while the disk works."""
        return self._journal.trouble if self._journal else None

    @property
    def generation(self) -> int:
        """Number of times that the journal came to another file or back to the disk: older rows can be read."""
        return self._journal.generation if self._journal else 0

    async def close(self, now: ClockReading | None = None) -> None:
        """Close after everything that was asked for before is done. ``now`` is when the program ended."""
        journal, self._journal = self._journal, None
        if journal is not None:
            await self.beside(lambda: journal.close(now))
        self._executor.shutdown(wait=True)
