"""Refresh of the view of completeness: reads the ledger every minute, and one site when a reader asks."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from collector.ledger.place import LedgerError
from collector.ledger.read import completeness
from collector.model.completeness import SiteCompleteness, SiteEpochs
from collector.service.views import Views

log = logging.getLogger(__name__)

COUNT_SECONDS = 60.0
SHARE = 20  # one part in this: the most time that counting may take, however large the ledger
RENDER_AT_ONCE = 100  # sites between two turns of the event loop, a few milliseconds
READERS = 2  # of single sites at a time: listing their epochs takes disk time from the writer


class CompletenessRefresh:
    """Completeness of each site, at most a minute old; ``counted_us`` is its time.

    The ledger keeps its counts in the transactions that change them, so nothing is restored here. ``now_us``
    reads the wall clock, Unix microseconds.
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
        self._views.completeness = completeness.of_sites(self._path, now_us)
        self._views.fleet.learn_completeness(self._views.completeness)
        self.counted_us = now_us

    async def run(self) -> None:
        """Count until cancelled. While the ledger cannot be read, the last counts are shown."""
        pause = COUNT_SECONDS
        while True:
            # `begin` has just counted.
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                await self._count()
            except LedgerError as error:
                log.warning(
                    "cannot count the completeness of sites: %s: showing the counts from before", error
                )
            pause = max(COUNT_SECONDS, SHARE * (time.monotonic() - began))

    async def _count(self) -> None:
        now_us = self._now_us()
        self._views.completeness, changed = await asyncio.to_thread(self._read, now_us)
        self.counted_us = now_us
        for start in range(0, len(changed), RENDER_AT_ONCE):
            self._views.learn_completeness(changed[start : start + RENDER_AT_ONCE], self._now_us())
            await asyncio.sleep(0)

    def _read(self, now_us: int) -> tuple[list[SiteCompleteness], list[SiteCompleteness]]:
        """Completeness of all sites, and of those whose defects changed."""
        counted = completeness.of_sites(self._path, now_us)
        return counted, list(self._views.fleet.with_changed_defects(counted))

    async def of_site(self, site_id: str) -> SiteEpochs | None:
        """Epochs of one site as they are now, or None for an unknown site. Raises LedgerError."""
        async with self._readers:
            return await asyncio.to_thread(completeness.of_site, self._path, site_id, self._now_us())
