"""``plancher-collector check``: tries inventory, ledger, web address and broker, and reports findings."""

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from collector.ledger.place import LedgerError, refuse_to_begin_anew
from collector.ledger.schema.tables import SCHEMA_VERSION
from collector.ledger.store import connect, prepare
from collector.model import inventory
from collector.model.inventory import InventoryError
from collector.service.inventory_file import InventoryFile
from collector.settings import CollectorSettings, WebSettings
from host.clock import Clock
from host.exits import Exit, code_of
from host.finding import CheckFinding
from host.lock import is_held
from host.units import counted, megabits
from net.addresses.host_text import is_loopback
from net.broker_rules import unprotected
from net.mqtt import BrokerError, Session
from wire.messages import topics

BROKER_SECONDS = 10.0


def check(settings: CollectorSettings) -> Iterator[CheckFinding]:
    """Try everything that ``run`` needs, without creating or changing anything."""
    yield from _check_inventory(settings)
    yield _check_ledger(Path(settings.ledger.path))
    yield _check_web(settings.web, Path(settings.ledger.path))
    yield asyncio.run(_check_broker(settings))


def _check_inventory(settings: CollectorSettings) -> Iterator[CheckFinding]:
    file = InventoryFile(Path(settings.inventory))
    try:
        file.load()
    except InventoryError as error:
        for problem in error.problems:
            yield CheckFinding("inventory", problem, code_of(error))
        return
    default = inventory.DEFAULT_FLOOR_BPS
    special = sum((site.floor_down, site.floor_up) != (default, default) for site in file.sites.values())
    sites = counted(len(file.sites), "site")
    usual = f"{special} with a floor other than {megabits(default)} Mbit/s"
    yield CheckFinding("inventory", f"{settings.inventory}: {sites}, {usual}")


def _check_ledger(path: Path) -> CheckFinding:
    try:
        refuse_to_begin_anew(path)
    except LedgerError as error:
        return CheckFinding("ledger", str(error).removeprefix("ledger "), Exit.CANNOT_CREATE)
    if not path.exists():
        # `run` creates missing folders, so the nearest existing one decides.
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if os.access(folder, os.W_OK):
            return CheckFinding("ledger", f"{path}: does not exist yet; it will be created")
        text = f"{path}: does not exist, and this user may not create it in {folder}"
        return CheckFinding("ledger", text, Exit.CANNOT_CREATE)
    if (
        not path.stat().st_size
    ):  # left by an interrupted start; opening it for writing would create its tables
        return CheckFinding("ledger", f"{path}: empty; its tables will be created")
    if not all(os.access(place, os.W_OK) for place in (path, path.parent)):
        # SQLite opens a file that it may not write, and says so only at the first change.
        text = f"{path}: this user may not write it, or its file system is read-only"
        return CheckFinding("ledger", text, Exit.CANNOT_CREATE)
    engine = connect(path, writing=True)
    try:
        schema = prepare(engine, path, upgrading=False)
    except LedgerError as error:
        return CheckFinding("ledger", str(error).removeprefix("ledger "), Exit.CANNOT_CREATE)
    finally:
        engine.dispose()
    if schema < SCHEMA_VERSION:
        text = f"schema {schema}; the next start upgrades it to {SCHEMA_VERSION}: copy the file first"
        return CheckFinding("ledger", f"{path}: {text}")
    return CheckFinding("ledger", f"{path}: can be written")


def _check_web(web: WebSettings, ledger: Path) -> CheckFinding:
    """Try the address of the pages."""
    place = f"{web.host}:{web.port}"
    try:
        asyncio.run(_try_web(web))
    except OSError as error:
        # The lock of the ledger tells the running collector from any other program on that port.
        if error.errno == errno.EADDRINUSE and is_held(ledger):
            return CheckFinding("web", f"{place}, in use by the running collector")
        # Errors of getaddrinfo have negative numbers, which strerror does not know.
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        return CheckFinding("web", f"{place}: {why}: name another host or port", Exit.UNAVAILABLE)
    if not is_loopback(web.host):
        text = f"{place}: other machines read all pages without a password: put a proxy with a login in front"
        return CheckFinding("web", text, note=True)
    return CheckFinding("web", place)


async def _try_web(web: WebSettings) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), web.host, web.port)
    server.close()
    await server.wait_closed()


async def _check_broker(settings: CollectorSettings) -> CheckFinding:
    connected = asyncio.Event()

    async def note() -> None:
        connected.set()

    try:
        session = Session(
            settings.broker,
            # A client id of its own: a broker closes the older of two connections with one id.
            f"plancher-collector-check-{os.getpid()}",
            subscriptions=topics.of_collector(),
            on_connected=note,
            clock_synchronised=lambda: Clock().read().synchronised,
        )
    except BrokerError as error:
        return CheckFinding("broker", str(error), code_of(error))
    problem = await _connect(session, connected)
    if problem is None:
        broker = settings.broker
        but = (
            "" if session.dates_checked else ", dates of the certificate not checked: clock not synchronised"
        )
        open_way = unprotected(broker)
        text = f"{broker.host}:{broker.port}: connected{but}{f', {open_way}' if open_way else ''}"
        return CheckFinding("broker", text, note=open_way is not None)
    return CheckFinding("broker", problem.removeprefix("broker "), Exit.UNAVAILABLE)


async def _connect(session: Session, connected: asyncio.Event) -> str | None:
    """Connect, and return the reason for a failure, or None."""
    before = session.problem
    running = asyncio.create_task(session.run())
    try:
        async with asyncio.timeout(BROKER_SECONDS):
            while not connected.is_set() and session.problem == before:  # noqa: ASYNC110 -- a problem wakes nobody
                await asyncio.sleep(0.05)
    except TimeoutError:
        return f"no answer within {BROKER_SECONDS:.0f} s: the network drops packets, or the broker hangs"
    finally:
        running.cancel()
        await asyncio.wait([running])
    return None if connected.is_set() else session.problem
