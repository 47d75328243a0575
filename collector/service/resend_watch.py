"""Watch that asks sites for what a restored ledger lacks; ``collector.ingest.resend`` decides."""

import asyncio
import logging
import time
from pathlib import Path

from collector.ingest.outgoing import OutgoingQueue
from collector.ingest.resend import Resends
from collector.ledger.place import LedgerError
from collector.ledger.read import completeness
from collector.model.message import CommandReport
from wire.messages.commands import MAX_RANGES
from wire.messages.topics import Kind, topic

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
SITES = 100  # looked up at once


class ResendWatch:
    """Looks up what sites lack that have just sent something, and asks them for it."""

    def __init__(self, path: Path, resends: Resends, commands: OutgoingQueue) -> None:
        self._path = path
        self._resends = resends
        self._commands = commands
        self._due: dict[str, None] = {}

    def heard(self, report: CommandReport) -> None:
        """Take note of a site's batch that was just committed."""
        if self._resends.is_due(report, _monotonic_us()):
            self._due[report.site] = None

    async def run(self) -> None:
        """Ask until cancelled. While the ledger cannot be read, nobody is asked."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            sites = list(self._due)[:SITES]
            for site in sites:
                del self._due[site]
            if sites:
                await self._ask(sites)

    async def _ask(self, sites: list[str]) -> None:
        try:
            lacking = await asyncio.to_thread(completeness.lacking, self._path, sites, MAX_RANGES)
        except LedgerError as error:
            log.warning("cannot look up what sites lack: %s: they are asked later", error)
            return
        for site, ranges in lacking.items():
            if command := self._resends.command(site, ranges, _monotonic_us()):
                self._commands.add(topic(site, Kind.COMMANDS), command)


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1000
