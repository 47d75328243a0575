"""Cache of the outage history: a month read from the ledger in a thread, at most once every 30 seconds."""

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
    """Outage history of the ledger at ``path``; the live incidents give the sites' places."""

    def __init__(self, path: Path, incidents: CurrentIncidents, now_us: Callable[[], int]) -> None:
        self._path = path
        self._incidents = incidents
        self._now_us = now_us
        self._one_at_a_time = asyncio.Lock()
        self._read_us = 0
        self._history = OutageHistory()

    async def read(self) -> OutageHistory:
        """Read the month up to now. Raises LedgerError."""
        # Readers that arrive meanwhile wait for the same result.
        async with self._one_at_a_time:
            now_us = self._now_us()
            if not 0 <= now_us - self._read_us < KEPT_US:  # a clock may be set back
                places, counts = self._incidents.places(), self._incidents.counts()
                self._history = await asyncio.to_thread(self._make, now_us, places, counts)
                self._read_us = now_us
            return self._history

    def _make(self, now_us: int, places: dict[str, SitePlace], counts: SiteCounts) -> OutageHistory:
        period = outages(self._path, now_us - MONTH_US)
        unclosed = [
            each for each in period.outages if each.end_us is None and each.cause not in OPERATOR_CAUSES
        ]
        made = outage_history(period.outages, healthy_after(self._path, unclosed), places, counts)
        return replace(made, complete_since=period.complete_since)
