"""Publishing receipts: after the commit, never before."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from collector.model.own_counters import OwnCounters
from net.mqtt import Publication
from wire.messages.envelope import Receipt, encode

WORKERS = 4
BOUND = 20_000


class Publish(Protocol):
    """How to publish: ``net.mqtt.Session.publish``."""

    async def __call__(self, publication: Publication, *, quality: int) -> bool:
        """Publish; whether the broker was reached."""


class Receipts:
    """Receipts on their way, each with its topic. One that is lost does no harm: the sender sends again.

    Therefore they go at MQTT quality 0: the broker's acknowledgement would prove nothing, and waiting for it
    costs more than the rare second batch.
    """

    def __init__(self, publish: Publish, meters: OwnCounters) -> None:
        self._publish = publish
        self._meters = meters
        self._waiting: asyncio.Queue[tuple[str, Receipt]] = asyncio.Queue(BOUND)

    def add(self, receipts: Sequence[tuple[str, Receipt]]) -> None:
        """Send these; what is beyond the bound is lost."""
        for receipt in receipts:
            try:
                self._waiting.put_nowait(receipt)
            except asyncio.QueueFull:
                self._meters.receipts.labels("lost").inc()

    async def run(self) -> None:
        """Publish until cancelled, several at a time, so that one that hangs holds up no other."""
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
            topic, receipt = await self._waiting.get()
            try:
                publication = Publication(topic, encode(receipt))
                sent = await self._publish(publication, quality=0)
                self._meters.receipts.labels("published" if sent else "lost").inc()
            finally:
                self._waiting.task_done()
