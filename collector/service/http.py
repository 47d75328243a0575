"""HTTP server of the collector: pages, metrics and health."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus

from aiohttp import web

from collector.incidents.history import OutageHistory
from collector.ledger.place import LedgerError
from collector.model.inventory import Site
from collector.model.own_counters import OwnCounters
from collector.model.own_problem import OwnProblem
from collector.pages.completeness import CompletenessFilter, listing
from collector.pages.completeness_page import CompletenessPages
from collector.pages.outage_page import OutagePages
from collector.pages.overview import MAX_SEARCH, OverviewFilter, SiteSummary, matching, overview
from collector.pages.overview_page import HEADERS, OverviewPages
from collector.pages.texts import CATALOGUE, Language, choose, problem_text
from collector.service.completeness_refresh import CompletenessRefresh
from collector.service.views import Views
from collector.service.web_guard import WebGuard, WebServer
from collector.settings import WebSettings

# Version 0.0.4 is the text format of Prometheus.
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Problems = Callable[[], Sequence[OwnProblem]]


class WebPages:
    """Handlers of all URLs. ``unready`` lists why the collector cannot work, ``warnings`` other problems."""

    def __init__(
        self,
        views: Views,
        counters: OwnCounters,
        completeness: CompletenessRefresh,
        *,
        unready: Problems,
        warnings: Problems,
        history: Callable[[], Awaitable[OutageHistory]],
        language: Language,
        expose_fleet: bool,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._views = views
        self._counters = counters
        self._completeness = completeness
        self._unready = unready
        self._warnings = warnings
        self._history = history
        self._language = language
        self._expose_fleet = expose_fleet
        self._now_us = now_us
        self._overview_pages = {language: OverviewPages(language) for language in Language}
        self._outage_pages = {language: OutagePages(language) for language in Language}
        self._completeness_pages = {language: CompletenessPages(language) for language in Language}

    def application(self) -> web.Application:
        """Build the aiohttp application."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/", self._get_overview),
                web.get("/completeness", self._get_completeness),
                web.get("/outages", self._get_outages),
                web.get("/metrics", self._get_metrics, allow_head=False),
                web.get("/healthz", self._get_health),
                web.get("/readyz", self._get_readiness),
            ]
        )
        return application

    async def _get_overview(self, request: web.Request) -> web.Response:
        wanted = OverviewFilter.from_query(request.query)
        found = overview(self._views.summaries, wanted)
        problems = [*self._unready(), *self._warnings()]
        now_us = self._now_us()
        incidents = self._views.incidents
        text = self._overview_pages[self._language_of(request)].overview(
            found, wanted, problems, now_us, incidents.recent(now_us), incidents.incident_of
        )
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def _get_completeness(self, request: web.Request) -> web.Response:
        """Show all sites as they were counted last or, with ``site``, the epochs of one."""
        if "site" in request.query:
            return await self._get_completeness_of(request.query["site"], self._language_of(request))
        wanted = CompletenessFilter.from_query(request.query)
        counted_us = self._completeness.counted_us
        # In a thread: filtering 60,000 sites would hold up everything else.
        found = await asyncio.to_thread(listing, self._views.completeness, self._inventory_site, wanted)
        text = self._completeness_pages[self._language_of(request)].sites(found, wanted, counted_us)
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def _get_completeness_of(self, site_id: str, language: Language) -> web.Response:
        try:
            found = await self._completeness.of_site(site_id)
        except LedgerError as error:
            return web.Response(text=f"{error}\n", status=HTTPStatus.SERVICE_UNAVAILABLE)
        site = self._inventory_site(site_id) or Site(site_id, "")
        text = self._completeness_pages[language].site(site, found, self._now_us())
        status = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
        return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)

    def _inventory_site(self, site_id: str) -> Site | None:
        known = self._views.fleet.get(site_id)
        return known.inventory if known else None

    async def _get_outages(self, request: web.Request) -> web.Response:
        """Show the incidents of a month or, with ``site``, its outages, as the ledger has them.

        ``site`` is an id, or words to search for as on the overview.
        """
        site_id = request.query.get("site", "").strip()[:MAX_SEARCH]
        page = self._outage_pages[self._language_of(request)]
        found, problem, now_us = OutageHistory(), "", self._now_us()
        try:
            found = await self._history()
        except LedgerError as error:
            problem = str(error)
        status = HTTPStatus.OK
        matches: list[SiteSummary] = []
        if site_id and self._views.fleet.get(site_id) is None and site_id not in found.sites:
            matches = matching(self._views.summaries, site_id)
        # In a thread: hundreds of incidents with dozens of sites each take 0.1 s.
        if len(matches) > 1:
            sites = [one.site for one in matches]
            text = await asyncio.to_thread(page.matches, site_id, sites, now_us, problem)
        elif site_id:
            site_id = matches[0].site.site_id if matches else site_id
            site, entries = self._inventory_site(site_id), found.sites.get(site_id, ())
            known = bool(problem or entries) or self._views.fleet.get(site_id) is not None
            name = (site.name if site else "") if known else None
            since_us = found.complete_since.get(site_id)
            text = await asyncio.to_thread(page.site, site_id, name, entries, now_us, problem, since_us)
            status = HTTPStatus.OK if known else HTTPStatus.NOT_FOUND
        else:
            incomplete = len(found.complete_since)
            text = await asyncio.to_thread(page.incidents, found.incidents, now_us, problem, incomplete)
        status = HTTPStatus.SERVICE_UNAVAILABLE if problem else status
        return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)

    def _language_of(self, request: web.Request) -> Language:
        accepted = request.headers.get("Accept-Language", "")
        return choose(request.query.get("lang", ""), accepted, self._language)

    async def _get_metrics(self, request: web.Request) -> web.StreamResponse:
        # In pieces: the page of 6,000 sites is 100 MB, and nothing else should wait for it.
        response = web.StreamResponse(headers={"Content-Type": METRICS_TYPE})
        await response.prepare(request)
        with suppress(
            ConnectionError
        ):  # the scraper closed the connection, which is no error of the collector
            await response.write(self._counters.page())
            if self._expose_fleet:
                for piece in self._views.pieces():
                    await response.write(piece)
            await response.write_eof()
        return response

    async def _get_health(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _get_readiness(self, _request: web.Request) -> web.Response:
        problems = self._unready()
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        lines = [problem_text(CATALOGUE[Language.ENGLISH], one) for one in problems] or ["ready"]
        return web.Response(text="".join(f"{line}\n" for line in lines), status=status)


async def serve(application: web.Application, settings: WebSettings) -> WebServer:
    """Start serving; the caller stops it by ``cleanup``. Raises OSError if the address is not available."""
    guard = WebGuard(settings)
    guard.protect(application)
    # Signals belong to the service, and a line for every scrape would fill the log.
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=2.0)
    server = WebServer(runner, guard)
    try:
        await server.start(settings.host, settings.port)
    except OSError:
        await server.cleanup()
        raise
    return server
