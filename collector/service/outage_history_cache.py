"""Reads a month of outages out of the ledger, beside the event loop, and not again for every reader."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from collector.incidents.correlation import SiteCounts, SitePlace
from collector.incidents.current import CurrentIncidents
from collector.incidents.history import MONTH_US, OutageHistory, outage_history
from collector.ledger.read.outages import healthy_after, outages
from collector.model.outages import OPERATOR_CAUSES

KEPT_US = 30_000_000


class OutageHistoryCache:
    """The ledger's :class:`OutageHistory`, read again after 30 s."""

    def __init__(self, path: Path, events: CurrentIncidents, now_us: Callable[[], int]) -> None:
        self._path = path
        self._events = events
        self._now_us = now_us
        self._one_at_a_time = asyncio.Lock()
        self._read_us = 0
        self._history = OutageHistory()

    async def read(self) -> OutageHistory:
        """The month up to now. Raises LedgerError."""
        async with self._one_at_a_time:
            now_us = self._now_us()
            if not 0 <= now_us - self._read_us < KEPT_US:  # a clock may be set back
                places, census = self._events.places(), self._events.census()
                self._history = await asyncio.to_thread(self._make, now_us, places, census)
                self._read_us = now_us
            return self._history

    def _make(self, now_us: int, places: dict[str, SitePlace], census: SiteCounts) -> OutageHistory:
        told = outages(self._path, now_us - MONTH_US)
        unclosed = [
            each for each in told.outages if each.end_us is None and each.cause not in OPERATOR_CAUSES
        ]
        made = outage_history(told.outages, healthy_after(self._path, unclosed), places, census)
        return replace(made, partly=told.partly)
