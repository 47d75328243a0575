"""``plancher-peer check``: tries ports, file and broker, and reports findings with their remedy."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from host.clock import Clock
from host.exits import Exit
from host.finding import CheckFinding
from net.mqtt import Broker, BrokerError
from net.mqtt_trial import access_problem
from peer.program import PeerService, PortTakenError
from peer.record_file import FileError, RecordFile, is_broken
from peer.settings import PeerSettings, TestRecordSettings
from wire.messages.topics import PeerKind, peer_topic


def findings(chosen: PeerSettings, secrets: dict[int, bytes]) -> Iterator[CheckFinding]:
    """Try everything that ``run`` needs, without creating or changing anything."""
    try:
        # Without its broker: a broker that cannot be used has a finding of its own.
        yield ports(PeerService(msgspec.structs.replace(chosen, broker=None), secrets), chosen)
    except PortTakenError as error:
        yield CheckFinding("ports", str(error), Exit.UNAVAILABLE)
    if chosen.broker is None:
        yield CheckFinding("broker", "none: load tests are kept in the log only, one line each", note=True)
        return
    yield file(chosen.tests)
    yield broker(chosen.name, chosen.broker)


def ports(program: PeerService, chosen: PeerSettings) -> CheckFinding:
    """Try both ports. Raises PortTakenError."""
    asyncio.run(_try_ports(program))
    return CheckFinding(
        "ports", f"{chosen.host}: load tests on port {chosen.udpstp.port}, STAMP on port {chosen.stamp.port}"
    )


async def _try_ports(program: PeerService) -> None:
    try:
        await program.start()
    finally:
        await program.close()


def file(tests: TestRecordSettings) -> CheckFinding:
    """Try the file of the test records, without creating it."""
    path = Path(tests.path)
    if not path.exists():
        return _new_file(path)
    try:
        opened = RecordFile(path, tests.rows, int(tests.size))
        kept, unsent = opened.counts()
        opened.close()
    except (FileError, OSError, sqlite3.Error) as error:
        return _no_file(path, error)
    return CheckFinding("tests", f"{path}: {kept} kept, {unsent} of them without a receipt")


def _no_file(path: Path, error: Exception) -> CheckFinding:
    if isinstance(error, sqlite3.Error) and is_broken(error):
        text = f"{path}: damaged ({error}): the next start begins a new one"
        return CheckFinding("tests", text, note=True)
    why = getattr(error, "strerror", None) or str(error)
    remedy = "" if isinstance(error, FileError) else ": give tests.path a file this user may write"
    return CheckFinding("tests", f"{path}: {why}{remedy}", Exit.CANNOT_CREATE)


def _new_file(path: Path) -> CheckFinding:
    absolute = path.absolute()
    parent = next(folder for folder in absolute.parents if folder.exists())
    if not os.access(parent, os.W_OK | os.X_OK) or not parent.is_dir():
        text = f"{parent} cannot be written: give tests.path a directory this user may write in"
        return CheckFinding("tests", text, Exit.CANNOT_CREATE)
    return CheckFinding("tests", f"{path}: does not exist yet; it will be created")


async def _try_broker(chosen: Broker, receipts: str) -> str | None:
    client_id, clock = f"plancher-peer-check-{os.getpid()}", Clock()
    return await access_problem(
        chosen, client_id, (receipts,), clock_synchronised=lambda: clock.read().synchronised
    )


def broker(name: str, chosen: Broker) -> CheckFinding:
    """Try the broker, under a client id of its own so that a running peer stays connected."""
    try:
        receipts = peer_topic(name, PeerKind.RECEIPTS)
        problem = asyncio.run(_try_broker(chosen, receipts))
    except BrokerError as error:
        return CheckFinding("broker", str(error), Exit.CONFIGURATION)
    if problem is not None:
        return CheckFinding("broker", problem.removeprefix("broker "), Exit.UNAVAILABLE)
    return CheckFinding("broker", f"{chosen.host}:{chosen.port} accepts {name}")
