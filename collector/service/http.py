"""The collector's HTTP server: pages, metrics, health."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus

from aiohttp import web

from collector.incidents.history import OutageHistory
from collector.ledger.store import LedgerError
from collector.model.inventory import Site as InventorySite
from collector.model.own_counters import OwnCounters
from collector.pages.completeness import CompletenessFilter, listing
from collector.pages.completeness_page import CompletenessPages
from collector.pages.outage_page import OutagePages
from collector.pages.overview import OverviewFilter, overview
from collector.pages.overview_page import HEADERS, OverviewPages
from collector.pages.texts import Language, choose
from collector.service.completeness_refresh import CompletenessRefresh
from collector.service.views import Views

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_ID = 64
Problems = Callable[[], Sequence[str]]


class WebPages:
    """What is served. ``unready`` tells why the collector cannot work, ``warnings`` what else is wrong."""

    def __init__(
        self,
        views: Views,
        meters: OwnCounters,
        counting: CompletenessRefresh,
        *,
        unready: Problems,
        warnings: Problems,
        history: Callable[[], Awaitable[OutageHistory]],
        language: Language,
        expose_fleet: bool,
    ) -> None:
        self._views = views
        self._meters = meters
        self._counting = counting
        self._unready = unready
        self._warnings = warnings
        self._history = history
        self._language = language
        self._expose_fleet = expose_fleet
        self._pages = {spoken: OverviewPages(spoken) for spoken in Language}
        self._outage_pages = {spoken: OutagePages(spoken) for spoken in Language}
        self._completeness_pages = {spoken: CompletenessPages(spoken) for spoken in Language}

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/", self._overview),
                web.get("/completeness", self._completeness),
                web.get("/outages", self._outages),
                web.get("/metrics", self._metrics, allow_head=False),
                web.get("/healthz", self._healthy),
                web.get("/readyz", self._ready),
            ]
        )
        return application

    async def _overview(self, request: web.Request) -> web.Response:
        language = self._spoken(request)
        wanted = OverviewFilter.from_query(request.query)
        found = overview(self._views.summaries, wanted)
        problems = [*self._unready(), *self._warnings()]
        now_us = time.time_ns() // 1000
        events = self._views.events
        text = self._pages[language].overview(
            found, wanted, problems, now_us, events.told(now_us), events.event_of
        )
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def _completeness(self, request: web.Request) -> web.Response:
        """All sites as they were counted last, beside the event loop; ``site``: the epochs of one."""
        if "site" in request.query:
            return await self._completeness_of(request.query["site"], self._spoken(request))
        wanted, counted_us = CompletenessFilter.from_query(request.query), self._counting.counted_us
        found = await asyncio.to_thread(listing, self._views.holdings, self._inventory_site, wanted)
        text = self._completeness_pages[self._spoken(request)].sites(found, wanted, counted_us)
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def _completeness_of(self, site_id: str, language: Language) -> web.Response:
        try:
            found = await self._counting.of_site(site_id)
        except LedgerError as error:
            return web.Response(text=f"{error}\n", status=HTTPStatus.SERVICE_UNAVAILABLE)
        site = self._inventory_site(site_id) or InventorySite(site_id, "")
        text = self._completeness_pages[language].site(site, found, time.time_ns() // 1000)
        status = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
        return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)

    def _inventory_site(self, site_id: str) -> InventorySite | None:
        known = self._views.fleet.get(site_id)
        return known.inventory if known else None

    async def _outages(self, request: web.Request) -> web.Response:
        """Events upstream or, with ``site``, its outages; not of live state but of the ledger.

        Made beside the event loop.
        """
        site_id, page = (
            request.query.get("site", "").strip()[:MAX_ID],
            self._outage_pages[self._spoken(request)],
        )
        found, problem, now_us = OutageHistory(), "", time.time_ns() // 1000
        try:
            found = await self._history()
        except LedgerError as error:
            problem = str(error)
        if site_id:
            site, entries = self._inventory_site(site_id), found.sites.get(site_id, ())
            known = bool(problem or entries) or self._views.fleet.get(site_id) is not None
            name = (site.name if site else "") if known else None
            since_us = found.partly.get(site_id)
            text = await asyncio.to_thread(page.site, site_id, name, entries, now_us, problem, since_us)
            status = HTTPStatus.OK if known else HTTPStatus.NOT_FOUND
        else:  # of hundreds of events with dozens of sites each, others would wait 0.1 s
            text = await asyncio.to_thread(page.events, found.events, now_us, problem, len(found.partly))
            status = HTTPStatus.OK
        status = HTTPStatus.SERVICE_UNAVAILABLE if problem else status
        return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)

    def _spoken(self, request: web.Request) -> Language:
        accepted = request.headers.get("Accept-Language", "")
        return choose(request.query.get("lang", ""), accepted, self._language)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        """The page goes out in pieces: 6,000 sites are 100 MB, and nothing else should wait for it."""
        response = web.StreamResponse(headers={"Content-Type": METRICS_TYPE})
        await response.prepare(request)
        with suppress(ConnectionError):  # a scraper that had enough is no error of ours
            await response.write(self._meters.page())
            if self._expose_fleet:
                for piece in self._views.pieces():
                    await response.write(piece)
            await response.write_eof()
        return response

    async def _healthy(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        problems = self._unready()
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        return web.Response(text="".join(f"{line}\n" for line in problems or ["ready"]), status=status)


async def serve(application: web.Application, host: str, port: int) -> web.AppRunner:
    """Start serving; clean the runner up to stop. Raises OSError if the address cannot be had."""
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner
