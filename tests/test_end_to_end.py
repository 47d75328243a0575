"""Agent's journal and uplink, a real Mosquitto and the real collector."""

import asyncio
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest

from agent.settings.sections import UplinkSettings as UplinkSettings
from agent.uplink.uplink import Uplink
from collector.__main__ import command
from collector.ledger.read.completeness import of_sites
from host.clock import Clock
from host.exits import Exit
from host.units import Seconds
from net.mqtt import Broker
from outbox.journal.journal import Journal
from outbox.journal.thread import JournalThread
from outbox.rows import State
from tests.brokers import mosquitto
from tests.outbox.journalled import CLOCK, build, connection
from tests.processes import free_port

SITE = "0631234A"
HALF = 30
WITHIN_S = 40.0

Key = tuple[str, int]


def query(path: Path, statement: str) -> list[Key]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def in_state(folder: Path, state: State) -> set[Key]:
    statement = f"SELECT epoch, seq FROM record WHERE state = {state.value}"
    return set(query(folder / "journal.db", statement))


def committed(folder: Path) -> set[Key]:
    return in_state(folder, State.COMMITTED)


def journalled(folder: Path) -> list[Key]:
    return query(folder / "journal.db", "SELECT epoch, seq FROM record")


def in_ledger(folder: Path) -> list[Key]:
    statement = "SELECT e.epoch, seq FROM measurements m JOIN epochs e ON e.key = m.epoch_key"
    return query(folder / "ledger.db", statement)


class Site:
    """Journal of a site with its uplink, which sends measurements at once."""

    def __init__(self, journal: JournalThread, uplink: Uplink) -> None:
        self._journal = journal
        self._uplink = uplink

    async def measure(self, count: int) -> None:
        for _ in range(count):
            await self._journal.do(lambda opened: opened.commit(partial(build), CLOCK))
            self._uplink.committed()

    async def committed(self) -> int:
        return (await self._journal.do(Journal.counts)).committed


@asynccontextmanager
async def agent(folder: Path, broker: Broker) -> AsyncIterator[Site]:
    """Run a site that measures on request, with its uplink."""
    journal = JournalThread(lambda: Journal(folder / "journal.db", 10**8, CLOCK))
    pace = UplinkSettings(Seconds(0.05), Seconds(0.05), Seconds(0.5))
    uplink = Uplink(SITE, "0.1.0", broker, pace, journal, Clock().read)
    await journal.open()
    running = asyncio.create_task(uplink.run())
    try:
        yield Site(journal, uplink)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await journal.close()


@asynccontextmanager
async def collector(folder: Path, *command: str) -> AsyncIterator["asyncio.subprocess.Process"]:
    with (folder / "collector.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", *command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def settings(folder: Path, port: int) -> str:
    (folder / "sites.csv").write_text(f"site_id,name\n{SITE},Lycée\n")
    path = folder / "collector.yaml"
    path.write_text(
        f"inventory: {folder}/sites.csv\nbroker: {{port: {port}}}\n"
        f"ledger: {{path: {folder}/ledger.db}}\nweb: {{port: {free_port()}}}\n"
    )
    return str(path)


def test_a_collector_restored_from_a_backup_gets_later_measurements_again(tmp_path: Path) -> None:
    """Replace the ledger by a backup taken half-way, after the agent has all receipts."""
    path, backup = tmp_path / "ledger.db", tmp_path / "backup.db"

    async def scenario(port: int) -> None:
        chosen = settings(tmp_path, port)
        async with asyncio.timeout(WITHIN_S), collector(tmp_path, "collector", "run", chosen) as running:
            async with agent(tmp_path, Broker(port=port)) as site:
                for done in (HALF, 2 * HALF):
                    await site.measure(HALF)
                    while await site.committed() < done:
                        await asyncio.sleep(0.02)
                    if done == HALF:
                        await asyncio.to_thread(command, ["ledger", "backup", str(path), str(backup)])
            running.terminate()
            await running.wait()
        assert command(["ledger", "restore", str(path), str(backup)]) == Exit.OK
        assert len(in_ledger(tmp_path)) == HALF
        async with (
            asyncio.timeout(WITHIN_S),
            collector(tmp_path, "collector", "run", chosen),
            agent(tmp_path, Broker(port=port)) as site,
        ):
            await site.measure(HALF)
            while len(in_ledger(tmp_path)) < 3 * HALF:
                await asyncio.sleep(0.05)

    with mosquitto(tmp_path) as broker:
        asyncio.run(scenario(broker.port))
    assert sorted(in_ledger(tmp_path)) == sorted(journalled(tmp_path))
    assert command(["ledger", "verify", str(path)]) == Exit.OK
    (held,) = of_sites(path, 2**53)
    assert (held.committed, held.is_complete, held.pending) == (3 * HALF, True, 0)


def test_undecodable_measurements_do_not_delay_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two make no JSON of their batch, so that it is refused whole; the identity of one does not read."""
    bad = {17: b'{"probe":"stamp"', 55: b"\0", 56: b'{"probe":"stamp","epoch":"none"}'}
    with Journal(tmp_path / "journal.db", 10**8, CLOCK) as journal:
        for _ in range(100):
            journal.commit(partial(build), CLOCK)
        for seq, record in bad.items():
            connection(journal).execute("UPDATE record SET record = ? WHERE seq = ?", (record, seq))
        refused = {(journal.epoch, seq) for seq in bad}

    async def scenario(port: int) -> None:
        async with (
            asyncio.timeout(WITHIN_S),
            collector(tmp_path, "collector", "run", settings(tmp_path, port)),
            agent(tmp_path, Broker(port=port)) as site,
        ):
            await site.measure(HALF)
            while await site.committed() < 100 - len(bad) + HALF:
                await asyncio.sleep(0.05)
            while caplog.text.count(" is rejected (") < len(bad):
                await asyncio.sleep(0.05)

    with mosquitto(tmp_path) as broker:
        asyncio.run(scenario(broker.port))
    assert set(journalled(tmp_path)) - set(in_ledger(tmp_path)) == refused
    assert in_state(tmp_path, State.REJECTED) == refused
    named = [record.getMessage() for record in caplog.records if " is rejected (" in record.getMessage()]
    assert sorted(int(text.split()[1]) for text in named) == sorted(bad)


@pytest.mark.parametrize("nth", [1, 3])
def test_a_collector_killed_before_its_commit_loses_nothing(tmp_path: Path, nth: int) -> None:
    async def scenario(port: int) -> None:
        chosen = settings(tmp_path, port)
        async with agent(tmp_path, Broker(port=port)) as site, asyncio.timeout(WITHIN_S):
            async with collector(tmp_path, "tests.collector.killed", chosen, str(nth)) as victim:
                while victim.returncode is None:  # as many batches as it takes
                    await site.measure(1)
                    await asyncio.sleep(0.02)
                assert victim.returncode == -signal.SIGKILL
            held = set(in_ledger(tmp_path))
            assert committed(tmp_path) <= held
            assert len(held) < len(journalled(tmp_path))
            async with collector(tmp_path, "collector", "run", chosen):
                while await site.committed() < len(journalled(tmp_path)):
                    assert committed(tmp_path) <= set(in_ledger(tmp_path))
                    await asyncio.sleep(0.05)

    with mosquitto(tmp_path) as broker:
        asyncio.run(scenario(broker.port))
    assert sorted(in_ledger(tmp_path)) == sorted(journalled(tmp_path))
    assert sorted(in_ledger(tmp_path)) == sorted(committed(tmp_path))
