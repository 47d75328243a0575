"""Keeping the view of completeness: asks the ledger again and again, and for one site when a reader asks."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from collector.ledger.read import completeness as holdings
from collector.ledger.store import LedgerError
from collector.model.completeness import SiteCompleteness, SiteEpochs
from collector.service.views import Views

log = logging.getLogger(__name__)

COUNT_SECONDS = 60.0
SHARE = 20  # at most this part of the time is spent counting, however large the ledger
RENDER_AT_ONCE = 100  # sites, a few milliseconds: nothing else should have to wait longer
READERS = 2  # of single sites at a time: their lists cost the disk what others need


class CompletenessRefresh:
    """What the ledger holds of each site, a minute old at most. ``counted_us`` is when that was.

    The ledger counts in the transactions that change it, so there is nothing to keep in step here, and
    nothing to restore. ``now_us`` reads the wall clock, Unix microseconds.
    """

    def __init__(self, path: Path, views: Views, now_us: Callable[[], int]) -> None:
        self.counted_us = 0
        self._path = path
        self._views = views
        self._now_us = now_us
        self._readers = asyncio.Semaphore(READERS)

    def begin(self) -> None:
        """Count for the first time, before anything is rendered. Raises LedgerError."""
        now_us = self._now_us()
        self._views.holdings = holdings.of_sites(self._path, now_us)
        self._views.fleet.take_holdings(self._views.holdings)
        self.counted_us = now_us

    async def run(self) -> None:
        """Count until cancelled. While the ledger cannot be read, what was counted last stands."""
        pause = COUNT_SECONDS
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                await self._count()
            except LedgerError as error:
                log.warning("what the ledger holds was not counted: %s", error)
            pause = max(COUNT_SECONDS, SHARE * (time.monotonic() - began))

    async def _count(self) -> None:
        now_us = self._now_us()
        self._views.holdings, differing = await asyncio.to_thread(self._read, now_us)
        self.counted_us = now_us
        for start in range(0, len(differing), RENDER_AT_ONCE):
            self._views.learn_holdings(differing[start : start + RENDER_AT_ONCE], self._now_us())
            await asyncio.sleep(0)

    def _read(self, now_us: int) -> tuple[list[SiteCompleteness], list[SiteCompleteness]]:
        """What the ledger holds of each site, and of which of them something else is wrong than before."""
        held = holdings.of_sites(self._path, now_us)
        return held, list(self._views.fleet.differing(held))

    async def of_site(self, site_id: str) -> SiteEpochs | None:
        """One site's epochs as they are now, or None where nothing of it came. Raises LedgerError."""
        async with self._readers:
            return await asyncio.to_thread(holdings.of_site, self._path, site_id, self._now_us())
