"""Whether the collector hears at all, and the events upstream of what it misses, kept in step with the clock.

The shell of :mod:`collector.live.blackout` and :mod:`collector.incidents.correlation`: it looks, and they
decide.
"""

import asyncio
import logging
from collections.abc import Callable

from collector.incidents.correlation import correlate
from collector.service.views import Views

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
REFUSED_US = 10_000_000  # what was sent away for want of room is sent again: so long its sites are not missed
AT_ONCE = 500  # sites to be looked at again, a few milliseconds


class BlackoutWatch:
    """Looks every second. ``works`` tells whether broker and ledger do, ``now_us`` the time.

    ``noticed_us``: how long a broker that vanished without a word may go unnoticed.
    """

    def __init__(
        self, views: Views, works: Callable[[], bool], now_us: Callable[[], int], noticed_us: int
    ) -> None:
        self._views = views
        self._works = works
        self._now_us = now_us
        self._noticed_us = noticed_us
        self._heard_us = 0
        self._refused_us = 0

    def begin(self, heard_us: int | None) -> None:
        """The collector was not running: it heard nothing since the ledger last took something."""
        self._heard_us = self._now_us() if heard_us is None else heard_us
        self._views.fleet.hearing.lose(self._heard_us)

    def heard(self) -> None:
        """What a site sent has just been committed."""
        self._heard_us = self._now_us()

    def refused(self) -> None:
        """What a site sent has just been turned away for want of room."""
        self._refused_us = self._now_us()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._listen()
            await self._make_events()
            await asyncio.sleep(LOOK_SECONDS)

    async def _listen(self) -> None:
        hearing, now_us = self._views.fleet.hearing, self._now_us()
        hears = self._works() and now_us - self._refused_us >= REFUSED_US
        if not hears and not hearing.deaf:
            hearing.lose(min(now_us, max(self._heard_us, now_us - self._noticed_us)))
            log.warning("nothing that sites send gets through to the ledger: no site is called silent for it")
        elif hears and hearing.deaf:
            hearing.regain(now_us)
            known = [site.site_id for site in self._views.fleet]
            for start in range(0, len(known), AT_ONCE):
                self._views.reschedule(known[start : start + AT_ONCE], now_us)
                await asyncio.sleep(0)

    async def _make_events(self) -> None:
        """In a thread: of 60,000 sites that fall silent, nothing else has to wait for the grouping."""
        view = self._views.events
        taken = view.snapshot()
        if taken is not None:
            view.show(await asyncio.to_thread(lambda: view.arrange(correlate(*taken))))
