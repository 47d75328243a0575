"""Publishing commands to sites: seldom, and never at the cost of receipts."""

import asyncio

from collector.ingest.receipts import Publish
from collector.model.own_counters import OwnCounters
from net.mqtt import Publication
from wire.messages.commands import CommandMessage
from wire.messages.envelope import encode
from wire.messages.topics import Kind, topic

BOUND = 1000


class Commands:
    """Commands on their way, one at a time. One that is lost is asked again when its site is heard again."""

    def __init__(self, publish: Publish, meters: OwnCounters) -> None:
        self._publish = publish
        self._meters = meters
        self._waiting: asyncio.Queue[CommandMessage] = asyncio.Queue(BOUND)

    def add(self, command: CommandMessage) -> None:
        """Send this one; what is beyond the bound is lost."""
        try:
            self._waiting.put_nowait(command)
        except asyncio.QueueFull:
            self._meters.commands.labels("lost").inc()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            command = await self._waiting.get()
            publication = Publication(topic(command.site, Kind.COMMANDS), encode(command))
            sent = await self._publish(publication, quality=1)
            self._meters.commands.labels("published" if sent else "lost").inc()
