"""Watch over the addresses of peer and broker: lookups now and then, and the file of what is known."""

import asyncio
import logging
from functools import partial
from pathlib import Path

from agent.names import file
from agent.task.watch import EmitEvent
from net.addresses.host import HostAddresses
from net.complaint import Complaint
from outbox.journal.thread import JournalThread

log = logging.getLogger(__name__)

# Time between two looks for something new to write.
WRITE_EVERY_S = 5.0
# Time between two lookups, where nothing else asks for one.
LOOKUP_EVERY_S = 600.0


class AddressWatch:
    """Writes what has changed, on the journal's thread: the event loop never waits for a disk."""

    name = "addresses"

    def __init__(
        self, peer: HostAddresses, broker: HostAddresses, path: Path, journal: JournalThread
    ) -> None:
        self._peer, self._broker = peer, broker
        self._path = path
        self._journal = journal
        self._written = file.of(peer, broker)
        self._complaint = Complaint()

    async def run(self, emit: EmitEvent) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        next_lookup = loop.time()
        try:
            while True:
                if loop.time() >= next_lookup:
                    next_lookup = loop.time() + LOOKUP_EVERY_S
                    for host in (self._peer, self._broker):
                        host.start_lookup()
                await asyncio.sleep(WRITE_EVERY_S)
                await self._write()
        # Addresses proved since the last look would be missing at the next start.
        finally:
            await self._write()

    async def _write(self) -> None:
        known = file.of(self._peer, self._broker)
        if known == self._written:
            return
        problem = ""
        try:
            await self._journal.beside(partial(file.write, self._path, known))
        except OSError as error:
            problem = f"cannot write {self._path} ({error.strerror}): the next start depends on DNS"
        else:
            self._written = known
        if self._complaint.is_news(problem):
            log.warning(problem)
