"""Reads a month of outages out of the ledger, beside the event loop, and not again for every reader."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from collector.incidents.correlation import Census, Place
from collector.incidents.current import EventView
from collector.incidents.history import MONTH_US, History, history
from collector.ledger.read.outages import healthy_after, outages
from collector.model.outages import OURS

KEPT_US = 30_000_000


class OutageReader:
    """What :class:`~collector.incidents.history.History` of the ledger at ``path`` readers see, 30 s long."""

    def __init__(self, path: Path, events: EventView, now_us: Callable[[], int]) -> None:
        self._path = path
        self._events = events
        self._now_us = now_us
        self._one_at_a_time = asyncio.Lock()
        self._read_us = 0
        self._history = History()

    async def read(self) -> History:
        """The month up to now. Raises LedgerError."""
        async with self._one_at_a_time:
            now_us = self._now_us()
            if not 0 <= now_us - self._read_us < KEPT_US:  # a clock may be set back
                places, census = self._events.places(), self._events.census()
                self._history = await asyncio.to_thread(self._make, now_us, places, census)
                self._read_us = now_us
            return self._history

    def _make(self, now_us: int, places: dict[str, Place], census: Census) -> History:
        told = outages(self._path, now_us - MONTH_US)
        unclosed = [each for each in told.outages if each.end_us is None and each.cause not in OURS]
        made = history(told.outages, healthy_after(self._path, unclosed), places, census)
        return replace(made, partly=told.partly)
