"""Watch that keeps blackouts and incidents in step with the clock.

It looks every second. :mod:`collector.live.blackout` and :mod:`collector.incidents.correlation` decide.
"""

import asyncio
import logging
from collections.abc import Callable

from collector.incidents.correlation import correlate
from collector.service.views import Views

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
REFUSED_US = 10_000_000  # agents send again what was refused for want of room; until then it is a blackout
AT_ONCE = 500  # sites rescheduled between two turns of the event loop, a few milliseconds


class BlackoutWatch:
    """Begins and ends blackouts, and groups outages into incidents.

    ``works`` tells whether broker and ledger work. ``noticed_us`` is the time that a broken connection may
    stay unnoticed, two keep-alives of MQTT.
    """

    def __init__(
        self, views: Views, works: Callable[[], bool], now_us: Callable[[], int], noticed_us: int
    ) -> None:
        self._views = views
        self._blackouts = views.fleet.blackouts
        self._works = works
        self._now_us = now_us
        self._noticed_us = noticed_us
        self._committed_us = 0
        self._refused_us = 0

    def begin(self, last_received_us: int | None) -> None:
        """Begin with the blackout of the time before the start, since the ledger last received something."""
        now_us = self._now_us()
        self._committed_us = now_us if last_received_us is None else min(now_us, last_received_us)
        self._blackouts.begin(self._committed_us)

    def committed(self) -> None:
        """Note that a site's message was just committed."""
        self._committed_us = self._now_us()

    def queue_refused(self) -> None:
        """Note that a site's message was just refused for want of room."""
        self._refused_us = self._now_us()

    def shift(self, by_us: int) -> None:
        """Shift all moments: the collector's own clock was wrong by ``-by_us``."""
        self._blackouts.shift(by_us)
        self._committed_us += by_us
        self._refused_us += by_us

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._look()
            await self._make_incidents()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        blackouts, now_us = self._blackouts, self._now_us()
        works = self._works() and now_us - self._refused_us >= REFUSED_US
        if not works and not blackouts.is_open:
            blackouts.begin(min(now_us, max(self._committed_us, now_us - self._noticed_us)))
            log.warning("no measurement of any site reaches the ledger: no site is called silent meanwhile")
        elif works and blackouts.is_open:
            blackouts.end(now_us)
            known = [site.site_id for site in self._views.fleet]
            for start in range(0, len(known), AT_ONCE):
                self._views.reschedule(known[start : start + AT_ONCE], now_us)
                await asyncio.sleep(0)

    async def _make_incidents(self) -> None:
        incidents = self._views.incidents
        taken = incidents.snapshot()
        if taken is not None:
            # In a thread: grouping 60,000 silent sites would hold up everything else.
            incidents.show(await asyncio.to_thread(lambda: incidents.render(correlate(*taken))))
