"""Guard of the web server: bounds of its connections, the names it answers to, and headers of all answers.

A connection waits for a request or is served. Each state has a time limit, counted from its begin, so that
sending or reading slowly gains nothing. At the bound, a new connection replaces the one that has waited
longest; while all are served, it is refused.
"""

import asyncio
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler

from collector.settings import WebSettings

WAIT_S = 20.0
SERVE_S = 120.0
LOOK_S = 1.0
# The event loop accepts so many connections at once, before it can close any of them.
BACKLOG = 32
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(slots=True)
class _Connection:
    since: float
    is_served: bool = False


class WebGuard:
    """Accounts of one server's connections. ``now`` is a monotonic clock in seconds."""

    def __init__(self, settings: WebSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._names = {"localhost", settings.host.lower(), *(name.lower() for name in settings.names)}
        self._most = _affordable(settings.connections)
        self._now = now
        self._connections: dict[web.RequestHandler, _Connection] = {}

    def protect(self, application: web.Application) -> None:
        """Check and time each request of an application, and complete its answers' headers."""
        application.middlewares.append(self._serve)
        application.on_response_prepare.append(_complete)

    def connect(self, server: web.Server) -> asyncio.BaseProtocol:
        """Make the protocol of a connection that was just accepted."""
        if len(self._connections) >= self._most:
            self.close_late(server)
        waiting = [one for one, state in self._connections.items() if not state.is_served]
        if len(self._connections) >= self._most:
            if not waiting:
                return _Refused()
            self._close(min(waiting, key=lambda one: self._connections[one].since))
        made = server()
        self._connections[made] = _Connection(self._now())
        return made

    def close_late(self, server: web.Server) -> None:
        """Close connections beyond their time limit, and forget those that ended."""
        now, alive = self._now(), set(server.connections)
        for one, state in list(self._connections.items()):
            lasted = now - state.since
            if lasted > (SERVE_S if state.is_served else WAIT_S):
                self._close(one)
            # A new connection is among the server's only after a turn of the event loop.
            elif one not in alive and lasted > LOOK_S:
                del self._connections[one]

    def _close(self, connection: web.RequestHandler) -> None:
        del self._connections[connection]
        if connection.transport is not None:
            connection.transport.abort()

    @web.middleware
    async def _serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host")
        # No browser leaves the header out. A page elsewhere whose name points here would send its own name.
        if host is not None and not is_allowed(host, self._names):
            text = "unknown host name: add it to web.names in collector.yaml\n"
            return web.Response(text=text, status=HTTPStatus.MISDIRECTED_REQUEST)
        state = self._connections.get(request.protocol)
        if state is None:
            return await handler(request)
        state.since, state.is_served = self._now(), True
        try:
            return await handler(request)
        finally:
            state.since, state.is_served = self._now(), False


class WebServer:
    """Listening server with its guard; ``cleanup`` stops it."""

    def __init__(self, runner: web.AppRunner, guard: WebGuard) -> None:
        self._runner = runner
        self._guard = guard
        self._listening: asyncio.Server | None = None
        self._looking: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError if the address is not available."""
        await self._runner.setup()
        server = cast("web.Server", self._runner.server)  # None only before the setup
        self._listening = await asyncio.get_running_loop().create_server(
            lambda: self._guard.connect(server), host, port, backlog=BACKLOG, reuse_address=True
        )
        self._looking = asyncio.create_task(self._look(server))

    async def cleanup(self) -> None:
        """Stop listening, and close all connections."""
        if self._looking is not None:
            self._looking.cancel()
        if self._listening is not None:
            self._listening.close()
        await self._runner.cleanup()

    async def _look(self, server: web.Server) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._guard.close_late(server)


class _Refused(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


def is_allowed(host: str, names: set[str]) -> bool:
    """Check a Host header: literal addresses are allowed, because no foreign name points there by itself."""
    name = host.strip().lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    try:
        ip_address(name)
    except ValueError:
        return name in names
    return True


def _affordable(connections: int) -> int:
    """Bound of connections: at most a quarter of the file descriptors, which broker and ledger need too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft // 4))


async def _complete(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "plancher-collector"
