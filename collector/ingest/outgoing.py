"""Outgoing messages: receipts after the commit, never before, and commands to sites."""

import asyncio
from typing import Protocol

from prometheus_client import Counter

from net.mqtt import Publication
from wire.messages.commands import CommandMessage
from wire.messages.envelope import Receipt, encode


class Publish(Protocol):
    """Publishing through the session with the broker: ``net.mqtt.Session.publish``."""

    async def __call__(self, publication: Publication, *, quality: int) -> bool:
        """Publish; return True if the broker was reached."""


class OutgoingQueue:
    """Bounded queue of messages, published by ``workers`` tasks. ``counter`` counts the results.

    A lost message does no harm. A batch without a receipt is sent again, and a site is asked again when
    another batch of it arrives.
    """

    def __init__(self, publish: Publish, counter: Counter, *, quality: int, workers: int, bound: int) -> None:
        self._publish = publish
        self._counter = counter
        self._quality = quality
        self._workers = workers
        self._waiting: asyncio.Queue[tuple[str, Receipt | CommandMessage]] = asyncio.Queue(bound)

    def add(self, topic: str, message: Receipt | CommandMessage) -> None:
        """Queue a message; it is lost if the queue is full."""
        try:
            self._waiting.put_nowait((topic, message))
        except asyncio.QueueFull:
            self._counter.labels("lost").inc()

    async def run(self) -> None:
        """Publish until cancelled."""
        # Several at a time, so that one that hangs does not delay the others.
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._workers):
                workers.create_task(self._work())

    async def drained(self, seconds: float) -> bool:
        """Wait at most ``seconds`` until all are published; return True if they are."""
        try:
            await asyncio.wait_for(self._waiting.join(), seconds)
        except TimeoutError:
            return False
        return True

    async def _work(self) -> None:
        while True:
            topic, message = await self._waiting.get()
            try:
                sent = await self._publish(Publication(topic, encode(message)), quality=self._quality)
                self._counter.labels("published" if sent else "lost").inc()
            finally:
                self._waiting.task_done()
