"""Lock of the site's line: many probes at once, or one alone."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class LineLock:
    """Shared and exclusive lock in order of arrival: a waiting exclusive user blocks all later ones."""

    def __init__(self) -> None:
        self._users = 0
        self._alone = False
        self._waiting: deque[tuple[bool, asyncio.Future[None]]] = deque()

    @property
    def held_alone(self) -> bool:
        """True if a probe has the line alone."""
        return self._alone

    @asynccontextmanager
    async def use(self, *, alone: bool, wait_s: float) -> AsyncIterator[None]:
        """Use the line. Raises LineBusyError if it does not become free within ``wait_s``."""
        await self._acquire(alone, wait_s)
        try:
            yield
        finally:
            self._users -= 1
            self._alone = False
            self._admit()

    async def _acquire(self, alone: bool, wait_s: float) -> None:
        # A queue of its own, because asyncio has no lock that is shared or exclusive.
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (alone, turn)
        self._waiting.append(entry)
        self._admit()
        try:
            done, _ = await asyncio.wait([turn], timeout=wait_s)
        except asyncio.CancelledError:
            self._give_up(entry)
            raise
        if not done:
            self._give_up(entry)
            raise LineBusyError(f"the line was in use for {wait_s:g} s")

    def _give_up(self, entry: tuple[bool, "asyncio.Future[None]"]) -> None:
        # Between the time-out and this line the lock may have been granted: then it is given back.
        if entry in self._waiting:
            self._waiting.remove(entry)
        else:
            self._users -= 1
            self._alone = False
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            alone, turn = self._waiting[0]
            if self._alone or (alone and self._users):
                return
            self._waiting.popleft()
            self._users += 1
            self._alone = alone
            turn.set_result(None)


class LineBusyError(Exception):
    """Error: the line did not become free within the time that this probe may wait."""
