"""Agent's journal and uplink, a real Mosquitto and the real collector: what is committed, what is marked."""

import asyncio
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest

from agent.journal.journal import Journal, State
from agent.journal.thread import JournalThread
from agent.settings import Uplink as UplinkSettings
from agent.uplink import Uplink
from collector.__main__ import command
from collector.ledger.holdings import of_sites
from host.clock import Clock
from host.exits import Exit
from host.units import Seconds
from net.mqtt import Broker
from tests.agent.journalled import CLOCK, build, connection
from tests.brokers import mosquitto
from tests.processes import free_port

SITE = "0631234A"
MEASUREMENTS = 60
WITHIN_S = 40.0

Key = tuple[str, int]


def query(path: Path, statement: str) -> list[Key]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def in_state(folder: Path, state: State) -> set[Key]:
    statement = f"SELECT epoch, seq FROM measurement WHERE state = {state.value}"
    return set(query(folder / "journal.db", statement))


def marked(folder: Path) -> set[Key]:
    return in_state(folder, State.MARKED)


def journalled(folder: Path) -> list[Key]:
    return query(folder / "journal.db", "SELECT epoch, seq FROM measurement")


def in_ledger(folder: Path) -> list[Key]:
    statement = "SELECT e.epoch, seq FROM measurements m JOIN epochs e ON e.key = m.epoch_key"
    return query(folder / "ledger.db", statement)


@asynccontextmanager
async def agent(folder: Path, broker: Broker) -> AsyncIterator["JournalThread"]:
    """A site's journal with its uplink running, which sends at once what is committed."""
    journal = JournalThread(lambda: Journal(folder / "journal.db", 10**8, CLOCK))
    pace = UplinkSettings(Seconds(0.05), Seconds(0.05), Seconds(0.5))
    uplink = Uplink(SITE, "0.1.0", broker, pace, journal, Clock().read)
    await journal.open()
    running = [asyncio.create_task(uplink.run()), asyncio.create_task(_measure(journal, uplink))]
    try:
        yield journal
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await journal.close()


async def _measure(journal: JournalThread, uplink: Uplink) -> None:
    for _ in range(MEASUREMENTS):
        await journal.do(lambda opened: opened.commit(partial(build), CLOCK))
        uplink.committed()
        await asyncio.sleep(0.02)  # spread over several batches, hence several commits of the collector


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


def test_a_collector_restored_from_a_backup_gets_back_what_agents_still_hold(tmp_path: Path) -> None:
    """The ledger of half-way takes the place of the whole one, whose receipts the agent has."""
    path, backup = tmp_path / "ledger.db", tmp_path / "backup.db"

    async def scenario(port: int) -> None:
        chosen = settings(tmp_path, port)
        async with asyncio.timeout(WITHIN_S), collector(tmp_path, "collector", "run", chosen) as running:
            async with agent(tmp_path, Broker(port=port)) as journal:
                while (await journal.do(Journal.counts)).marked < MEASUREMENTS // 2:
                    await asyncio.sleep(0.02)
                await asyncio.to_thread(command, ["ledger", "backup", str(path), str(backup)])
                while (await journal.do(Journal.counts)).marked < MEASUREMENTS:
                    await asyncio.sleep(0.02)
            running.terminate()
            await running.wait()
        assert command(["ledger", "restore", str(path), str(backup)]) == Exit.OK
        assert MEASUREMENTS // 2 <= len(in_ledger(tmp_path)) < MEASUREMENTS
        async with (
            asyncio.timeout(WITHIN_S),
            collector(tmp_path, "collector", "run", chosen),
            agent(tmp_path, Broker(port=port)),
        ):
            while len(in_ledger(tmp_path)) < 2 * MEASUREMENTS:
                await asyncio.sleep(0.05)

    with mosquitto(tmp_path) as broker:
        asyncio.run(scenario(broker.port))
    assert sorted(in_ledger(tmp_path)) == sorted(journalled(tmp_path))
    assert command(["ledger", "verify", str(path)]) == Exit.OK
    (held,) = of_sites(path, 2**53)
    assert (held.committed, held.is_whole, held.under_way) == (2 * MEASUREMENTS, True, 0)


def test_what_the_collector_cannot_decode_holds_back_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two make no JSON of their batch, so that it is refused whole; the identity of one does not read."""
    bad = {17: b'{"probe":"stamp"', 55: b"\0", 56: b'{"probe":"stamp","epoch":"none"}'}
    with Journal(tmp_path / "journal.db", 10**8, CLOCK) as journal:
        for _ in range(100):
            journal.commit(partial(build), CLOCK)
        for seq, record in bad.items():
            connection(journal).execute("UPDATE measurement SET record = ? WHERE seq = ?", (record, seq))
        refused = {(journal.epoch, seq) for seq in bad}

    async def scenario(port: int) -> None:
        async with (
            asyncio.timeout(WITHIN_S),
            collector(tmp_path, "collector", "run", settings(tmp_path, port)),
            agent(tmp_path, Broker(port=port)) as site,
        ):
            while (await site.do(Journal.counts)).marked < 100 - len(bad) + MEASUREMENTS:
                await asyncio.sleep(0.05)
            while caplog.text.count("even alone") < len(bad):
                await asyncio.sleep(0.05)

    with mosquitto(tmp_path) as broker:
        asyncio.run(scenario(broker.port))
    assert set(journalled(tmp_path)) - set(in_ledger(tmp_path)) == refused
    assert in_state(tmp_path, State.QUARANTINED) == refused
    named = [record.getMessage() for record in caplog.records if "even alone" in record.getMessage()]
    assert sorted(int(text.split()[4]) for text in named) == sorted(bad)


@pytest.mark.parametrize("nth", [1, 3])
def test_a_collector_killed_before_its_commit_loses_nothing_and_nothing_is_marked_before(
    tmp_path: Path, nth: int
) -> None:
    async def scenario(port: int) -> None:
        chosen = settings(tmp_path, port)
        async with agent(tmp_path, Broker(port=port)) as journal, asyncio.timeout(WITHIN_S):
            async with collector(tmp_path, "tests.collector.killed", chosen, str(nth)) as victim:
                assert await victim.wait() == -signal.SIGKILL
            held = set(in_ledger(tmp_path))
            assert marked(tmp_path) <= held
            assert len(held) < MEASUREMENTS
            async with collector(tmp_path, "collector", "run", chosen):
                while (await journal.do(Journal.counts)).marked < MEASUREMENTS:
                    assert marked(tmp_path) <= set(in_ledger(tmp_path))
                    await asyncio.sleep(0.05)

    with mosquitto(tmp_path) as broker:
        asyncio.run(scenario(broker.port))
    assert sorted(in_ledger(tmp_path)) == sorted(journalled(tmp_path))
    assert len(in_ledger(tmp_path)) == MEASUREMENTS == len(marked(tmp_path))
