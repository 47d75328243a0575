"""The collector's HTTP server: overview, metrics, health."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus

from aiohttp import web

from collector.catalogue import Language, choose
from collector.meters import Meters
from collector.overview import Filter, overview
from collector.pages import HEADERS, Pages
from collector.views import Views

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Problems = Callable[[], Sequence[str]]


class Site:
    """What is served. ``unready`` tells why the collector cannot work, ``warnings`` what else is wrong."""

    def __init__(
        self,
        views: Views,
        meters: Meters,
        *,
        unready: Problems,
        warnings: Problems,
        language: Language,
        expose_fleet: bool,
    ) -> None:
        self._views = views
        self._meters = meters
        self._unready = unready
        self._warnings = warnings
        self._language = language
        self._expose_fleet = expose_fleet
        self._pages = {spoken: Pages(spoken) for spoken in Language}

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/", self._overview),
                web.get("/metrics", self._metrics, allow_head=False),
                web.get("/healthz", self._healthy),
                web.get("/readyz", self._ready),
            ]
        )
        return application

    async def _overview(self, request: web.Request) -> web.Response:
        accepted = request.headers.get("Accept-Language", "")
        language = choose(request.query.get("lang", ""), accepted, self._language)
        wanted = Filter.from_query(request.query)
        found = overview(self._views.summaries, wanted)
        problems = [*self._unready(), *self._warnings()]
        now_us = time.time_ns() // 1000
        text = self._pages[language].overview(found, wanted, problems, now_us)
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

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
