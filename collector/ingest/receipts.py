"""Publishing receipts: after the commit, never before."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from collector.model.own_counters import Meters
from net.mqtt import Publication
from wire.messages.envelope import Receipt, encode
from wire.messages.peer_tests import PeerReceipt
from wire.messages.topics import Kind, PeerKind, peer_topic, topic

WORKERS = 4
BOUND = 20_000


class Publish(Protocol):
    """How to publish: ``net.mqtt.Session.publish``."""

    async def __call__(self, publication: Publication, *, quality: int) -> bool:
        """Publish; whether the broker was reached."""


class Receipts:
    """Receipts on their way. One that is lost does no harm: the agent sends again and gets ``duplicate``.

    Therefore they go at MQTT quality 0: the broker's acknowledgement would prove nothing, and waiting for it
    costs more than the rare second batch.
    """

    def __init__(self, publish: Publish, meters: Meters) -> None:
        self._publish = publish
        self._meters = meters
        self._waiting: asyncio.Queue[Receipt | PeerReceipt] = asyncio.Queue(BOUND)

    def add(self, receipts: Sequence[Receipt | PeerReceipt]) -> None:
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
            receipt = await self._waiting.get()
            try:
                publication = Publication(_topic(receipt), encode(receipt))
                sent = await self._publish(publication, quality=0)
                self._meters.receipts.labels("published" if sent else "lost").inc()
            finally:
                self._waiting.task_done()


def _topic(receipt: Receipt | PeerReceipt) -> str:
    if isinstance(receipt, PeerReceipt):
        return peer_topic(receipt.peer, PeerKind.RECEIPTS)
    return topic(receipt.site, Kind.RECEIPTS)
