"""``plancher-peer check``: tries what the settings ask for, and says what is wrong and how to mend it."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from host.clock import Clock
from host.exits import Exit
from host.finding import Finding
from net.mqtt import Broker, BrokerError
from net.mqtt_trial import why_not
from peer.program import PortTakenError, Program
from peer.record_file import FileError, RecordFile, is_broken
from peer.settings import PeerSettings, Tests
from wire.messages.topics import PeerKind, peer_topic


def findings(chosen: PeerSettings, secrets: dict[int, bytes]) -> Iterator[Finding]:
    """Everything that can be tried, one after the other."""
    try:
        # The broker's part has its own finding, whatever it is.
        yield ports(Program(msgspec.structs.replace(chosen, broker=None), secrets), chosen)
    except PortTakenError as error:
        yield Finding("ports", str(error), Exit.UNAVAILABLE)
    if chosen.broker is None:
        yield Finding("broker", "none: of a load test nothing is kept but its line in the log", note=True)
        return
    yield file(chosen.tests)
    yield broker(chosen.name, chosen.broker)


def ports(program: Program, chosen: PeerSettings) -> Finding:
    """Can both ports be had? Raises PortTakenError."""
    asyncio.run(_try_ports(program))
    return Finding(
        "ports", f"{chosen.host}: load tests on port {chosen.udpstp.port}, STAMP on port {chosen.stamp.port}"
    )


async def _try_ports(program: Program) -> None:
    try:
        await program.start()
    finally:
        await program.close()


def file(tests: Tests) -> Finding:
    """Can the file of the tests be written? One that is not there yet is not made."""
    path = Path(tests.path)
    if not path.exists():
        return _new_file(path)
    try:
        opened = RecordFile(path, tests.rows, int(tests.size))
        kept, unsent = opened.counts()
        opened.close()
    except (FileError, OSError, sqlite3.Error) as error:
        return _no_file(path, error)
    return Finding("tests", f"{path}: {kept} kept, {unsent} of them without a receipt")


def _no_file(path: Path, error: Exception) -> Finding:
    if isinstance(error, sqlite3.Error) and is_broken(error):
        text = f"{path}: damaged ({error}): the next start begins a fresh one"
        return Finding("tests", text, note=True)
    why = getattr(error, "strerror", None) or str(error)
    remedy = "" if isinstance(error, FileError) else ": give tests.path a file this user may write"
    return Finding("tests", f"{path}: {why}{remedy}", Exit.CANNOT_CREATE)


def _new_file(path: Path) -> Finding:
    absolute = path.absolute()
    place = next(folder for folder in absolute.parents if folder.exists())
    if not os.access(place, os.W_OK | os.X_OK) or not place.is_dir():
        text = f"{place} cannot be written: give tests.path a directory this user may write in"
        return Finding("tests", text, Exit.CANNOT_CREATE)
    return Finding("tests", f"{path}: will be made")


async def _try_broker(chosen: Broker, receipts: str) -> str | None:
    client_id, clock = f"plancher-peer-check-{os.getpid()}", Clock()
    return await why_not(chosen, client_id, (receipts,), clock_synchronised=lambda: clock.read().synchronised)


def broker(name: str, chosen: Broker) -> Finding:
    """Does the broker let this peer in? Under a client id of its own: a running peer stays in."""
    try:
        receipts = peer_topic(name, PeerKind.RECEIPTS)
        problem = asyncio.run(_try_broker(chosen, receipts))
    except BrokerError as error:
        return Finding("broker", str(error), Exit.CONFIGURATION)
    if problem is not None:
        return Finding("broker", problem.removeprefix("broker "), Exit.UNAVAILABLE)
    return Finding("broker", f"{chosen.host}:{chosen.port} lets {name} in")
