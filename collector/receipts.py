"""Publishing receipts: after the commit, never before, several at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from collector.meters import Meters
from net.mqtt import Publication
from wire.messages import Receipt, encode
from wire.topics import Kind, topic

WORKERS = 16
BOUND = 20_000

Publish = Callable[[Publication], Awaitable[bool]]


class Receipts:
    """Receipts on their way. One that is lost does no harm: the agent sends again and gets ``duplicate``."""

    def __init__(self, publish: Publish, meters: Meters) -> None:
        self._publish = publish
        self._meters = meters
        self._waiting: asyncio.Queue[Receipt] = asyncio.Queue(BOUND)

    def add(self, receipts: Sequence[Receipt]) -> None:
        """Send these; what is beyond the bound is lost."""
        for receipt in receipts:
            try:
                self._waiting.put_nowait(receipt)
            except asyncio.QueueFull:
                self._meters.receipts.labels("lost").inc()

    async def run(self) -> None:
        """Publish until cancelled. The broker's acknowledgement is slow, so several are under way."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(WORKERS):
                workers.create_task(self._work())

    async def drained(self, seconds: float) -> bool:
        """Wait until all are sent, at most ``seconds``; whether they were."""
        try:
            await asyncio.wait_for(self._waiting.join(), seconds)
        except TimeoutError:
            return False
        return True

    async def _work(self) -> None:
        while True:
            receipt = await self._waiting.get()
            try:
                sent = await self._publish(Publication(topic(receipt.site, Kind.RECEIPTS), encode(receipt)))
                self._meters.receipts.labels("published" if sent else "lost").inc()
            finally:
                self._waiting.task_done()
