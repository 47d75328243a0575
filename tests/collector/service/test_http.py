import asyncio
import html
import logging
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from collector.incidents.history import OutageHistory
from collector.ingest.decode import judge
from collector.ledger.place import LedgerError
from collector.ledger.write.writer import Ledger
from collector.model.inventory import Site
from collector.model.own_counters import OwnCounters
from collector.pages.outage_page import OutagePages
from collector.pages.texts import Language
from collector.service.completeness_refresh import CompletenessRefresh
from collector.service.http import WebPages, serve
from collector.service.views import Views
from collector.settings import WebSettings
from tests.collector.examples import NOW_US, arrival, stamp
from tests.processes import free_port


def pages(
    size: int,
    ledger: Path = Path("no-ledger.db"),
    history: Callable[[], Awaitable[OutageHistory]] = lambda: nothing_happened(),
    inventory: dict[str, Site] | None = None,
) -> WebPages:
    inventory = inventory or {f"S{number}": Site(f"S{number}", "x" * 200) for number in range(size)}
    views = Views(inventory)
    views.render(inventory, NOW_US)
    completeness = CompletenessRefresh(ledger, views, lambda: NOW_US)
    return WebPages(
        views,
        OwnCounters(),
        completeness,
        unready=list,
        warnings=list,
        history=history,
        language=Language.ENGLISH,
        expose_fleet=True,
    )


async def nothing_happened() -> OutageHistory:
    return OutageHistory()


async def unreadable() -> OutageHistory:
    raise LedgerError("ledger x: the disk is failing")


def while_served(served: WebPages, work: Callable[[int], Awaitable[bytes]]) -> bytes:
    async def run() -> bytes:
        port = free_port()
        runner = await serve(served.application(), WebSettings(port=port))
        try:
            return await work(port)
        finally:
            await runner.cleanup()

    return asyncio.run(run())


async def ask(port: int, request: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def ask_and_leave(port: int) -> bytes:
    """Reset the connection while the page is being sent, as a scraper does after its time-out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.read(1)
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return await ask(port, "GET /healthz")


def test_a_scraper_that_leaves_early_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert while_served(pages(6000), ask_and_leave).endswith(b"ok\n")
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /?q=%ed%a0%80&departement=%ff&state=%00&page=%d9%a1&lang=%f0", b"200 OK"),
        ("HEAD /", b"200 OK"),
        ("GET /outages?site=%ed%a0%80&lang=fr", b"404 Not Found"),
        ("GET /outages?site=S1", b"200 OK"),
        ("GET /outages", b"200 OK"),
        ("HEAD /metrics", b"405 Method Not Allowed"),
        ("GET /elsewhere", b"404 Not Found"),
        ("POST /", b"405 Method Not Allowed"),
        ("GET /completeness?q=%ed%a0%80&show=%ff&page=%00", b"200 OK"),
        ("GET /completeness?site=S1&lang=fr", b"200 OK"),
        ("GET /completeness?site=S0", b"404 Not Found"),
        ("GET /completeness?site=%ed%a0%80%00", b"404 Not Found"),
    ],
)
def test_status_of_every_request(request_line: str, status: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger(path)
    ledger.commit([judge(arrival(stamp(1), site="S1"))])
    ledger.close()
    answer = while_served(pages(2, path), lambda port: ask(port, request_line))
    assert answer.splitlines()[0] == b"HTTP/1.1 " + status


def test_the_page_of_completeness_reports_a_ledger_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database" * 1000)
    answer = while_served(pages(1, path), lambda port: ask(port, "GET /completeness?site=S0"))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.endswith(b"file is not a database: this is no ledger: name another file\n")


@pytest.mark.parametrize(("asked", "status", "heading"), [
    ("L1", "200 OK", "Outages of Lycée Blaise-Pascal"),
    ("l1", "200 OK", "Outages of Lycée Blaise-Pascal"),
    ("lycee%20PASCAL", "200 OK", "Outages of Lycée Blaise-Pascal"),
    ("sacre%20coeur", "200 OK", "Outages of Collège du Sacré-Cœur"),
    ("L%27Isle", "200 OK", "Outages of Mairie de L\N{RIGHT SINGLE QUOTATION MARK}Isle"),
    ("clermont", "200 OK", "Sites found: 2"),
    ("pop-7", "200 OK", "Sites found: 3"),
    ("jaures", "404 Not Found", "Outages of jaures"),
])  # fmt: skip
def test_the_page_of_outages_finds_sites_as_the_overview_does(asked: str, status: str, heading: str) -> None:
    named = {
        "L1": Site("L1", "Lycée Blaise-Pascal", commune="Clermont-Ferrand", pop="POP-7"),
        "C1": Site("C1", "Collège du Sacré-Cœur", commune="Clermont-Ferrand", pop="POP-7"),
        "M1": Site("M1", "Mairie de L\N{RIGHT SINGLE QUOTATION MARK}Isle", pop="POP-7"),
    }
    served = pages(0, inventory=named)
    answer = while_served(served, lambda port: ask(port, f"GET /outages?site={asked}")).decode()
    assert (answer.split("\r\n", 1)[0], html.unescape(answer).count(f"<h2>{heading}")) == (
        f"HTTP/1.1 {status}",
        1,
    )


def test_the_page_of_outages_reports_a_ledger_that_cannot_be_read() -> None:
    answer = while_served(pages(2, history=unreadable), lambda port: ask(port, "GET /outages?site=S1"))
    assert answer.splitlines()[0] == b"HTTP/1.1 503 Service Unavailable"
    assert b"The ledger cannot be read:" in answer
    assert b"ledger x: the disk is failing" in answer
    assert b"No outage was reported" not in answer


@pytest.mark.parametrize("path", ["/outages", "/outages?site=S1"])
def test_the_page_of_outages_is_rendered_in_a_thread(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendering 500 incidents with dozens of sites each takes 0.1 s."""
    threads = []
    made = OutagePages._render

    def render(self: OutagePages, *given: Any, **named: Any) -> str:
        threads.append(threading.current_thread())
        return made(self, *given, **named)

    monkeypatch.setattr(OutagePages, "_render", render)
    assert b"200 OK" in while_served(pages(2), lambda port: ask(port, f"GET {path}"))
    assert threads
    assert threading.main_thread() not in threads
