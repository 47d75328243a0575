"""``plancher-peer check``: tries ports, file and broker, and reports findings with their remedy."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from host.clock import Clock
from host.exits import Exit, code_of
from host.finding import CheckFinding
from net.addresses.host_text import is_loopback
from net.broker_rules import unprotected
from net.mqtt import Broker, BrokerError
from net.mqtt_trial import access_problem
from outbox.journal import check as journal_check
from outbox.journal import file as journal_file
from outbox.journal.store import counts
from peer.program import PeerService, PortTakenError
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
    text = f"{chosen.host}: load tests on port {chosen.udpstp.port}, STAMP on port {chosen.stamp.port}"
    if chosen.stamp.open and not is_loopback(chosen.host):
        text += "; stamp.open: anybody may have packets reflected to anybody, without a key"
        return CheckFinding("ports", text, note=True)
    return CheckFinding("ports", text)


async def _try_ports(program: PeerService) -> None:
    try:
        await program.start()
    finally:
        await program.close()


def file(tests: TestRecordSettings) -> CheckFinding:
    """Try the file of the test records, without creating it."""
    path = Path(tests.path)
    if problem := journal_check.problem(path, "tests.path"):
        return CheckFinding("tests", problem, Exit.CANNOT_CREATE)
    used = journal_file.place(path)
    if not used.exists():
        return CheckFinding("tests", journal_check.words(used, "peer"))
    try:
        with closing(journal_file.read_only(used)) as connection:
            found = counts(connection)
    except sqlite3.Error as error:
        text = f"{used}: cannot be read ({error}): the peer sets aside a damaged file"
        return CheckFinding("tests", text, note=True)
    kept = found.waiting + found.committed + found.conflict + found.rejected
    text = f"{used}: {kept} kept, {found.waiting + found.rejected} of them without a receipt"
    return CheckFinding("tests", text)


async def _try_broker(chosen: Broker, receipts: str) -> str | None:
    # A client id of its own: a broker closes the older of two connections that have the same one.
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
        return CheckFinding("broker", str(error), code_of(error))
    if problem is not None:
        return CheckFinding("broker", problem.removeprefix("broker "), Exit.UNAVAILABLE)
    place = f"{chosen.host}:{chosen.port}: connected"
    if open_way := unprotected(chosen):
        return CheckFinding("broker", f"{place} {open_way}", note=True)
    return CheckFinding("broker", place)
