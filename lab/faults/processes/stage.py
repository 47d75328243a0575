"""Testbed of faults: sites, broker and collector, each of which can be killed and started again."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.faults.accounts import reading
from lab.faults.accounts.account import Account
from lab.faults.processes import collector_process, site_process
from lab.faults.processes.broker import BrokerProcess, free_port
from lab.faults.processes.children import Child, Nursery
from lab.faults.processes.collector_process import Collector
from lab.faults.processes.fault_proxy import NONE, ConnectionFault, FaultKind, FaultProxy, fault_proxy
from lab.faults.processes.site_process import SiteProcess

POLL_S = 0.02
ACCOUNT_EVERY_S = 0.4
RESTART_EVERY_S = 10.0
TELL_EVERY_S = 2.0

Tell = Callable[[str], None]


class StoppedError(Exception):
    """A program ended by itself; the text names its log."""


@dataclass(slots=True)
class Killed:
    """Number of kills. ``within``: collectors that were killed during a transaction."""

    agent: int = 0
    broker: int = 0
    collector: int = 0
    within: int = 0
    wiped: int = 0
    refusing: int = 0

    def __str__(self) -> str:
        return (
            f"kill -9: agent {self.agent}, broker {self.broker} ({self.wiped} with its store wiped),"
            f" collector {self.collector} ({self.within} of them within a transaction);"
            f" collectors that refused everything: {self.refusing}"
        )


@dataclass
class FaultStage:
    """Running programs: sites reach the broker through ``uplinks``, the collector through ``intake``."""

    folder: Path
    nursery: Nursery
    broker: BrokerProcess
    uplinks: FaultProxy
    intake: FaultProxy
    names: list[str]
    every_s: float
    killed: Killed = field(default_factory=Killed)
    sites: dict[str, Child] = field(default_factory=dict)
    collector: Child | None = None
    _lives: int = 0

    def site(self, name: str) -> SiteProcess:
        """Return the settings of a site that starts now."""
        journal, notes = reading.journal_of(self.folder, name), reading.notes_of(self.folder, name)
        return SiteProcess(
            reading.site_of(name), journal, notes, self.uplinks.port, self._lives, self.every_s
        )

    def start_site(self, name: str) -> None:
        """Start a site's process; the previous one must have ended."""
        self._lives += 1
        self.sites[name] = self.nursery.start(name, site_process.run, self.site(name))

    async def end_site(self, name: str) -> None:
        """Terminate a site's process."""
        # In a thread: the site's last packets pass a proxy of this event loop.
        await asyncio.to_thread(self.sites.pop(name).end)

    def kill_site(self, name: str) -> None:
        """Kill a site's process and start it again. Raises StoppedError if it had ended by itself."""
        self._check(name, self.sites[name])
        self.sites[name].kill()
        self.killed.agent += 1
        self.start_site(name)

    def kill_broker(self, *, wiping: bool) -> None:
        """Kill the broker and start it again."""
        self.broker.kill(wiping=wiping)
        self.killed.broker += 1
        self.killed.wiped += wiping
        self.broker.start()

    def start_collector(self, *, stop_at: int | None = None, refusing: bool = False) -> None:
        """Start a collector in place of the running one."""
        if self.collector is not None:
            self.collector.kill()
        chosen = Collector(self._settings(), stop_at, refusing)
        self.killed.refusing += refusing
        self.collector = self.nursery.start("collector", collector_process.run, chosen)

    def kill_collector(self) -> bool:
        """Kill the collector; return whether it was stopped within a transaction."""
        if self.collector is None:
            return False
        self._check("collector", self.collector)
        within = self.collector.stopped
        self.collector.kill()
        self.killed.collector += 1
        self.killed.within += within
        return within

    async def stopped_within(self, seconds: float) -> bool:
        """Wait until the collector has stopped at its fault point; return False if it does not in time."""
        limit = time.monotonic() + seconds
        while self.collector is not None and not self.collector.stopped:
            self._check("collector", self.collector)
            if time.monotonic() > limit:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def until(self, met: Callable[[Account], bool], within_s: float) -> Account:
        """Wait until the account meets a condition; return the last account, also when time is up."""
        limit = time.monotonic() + within_s
        while True:
            account = await asyncio.to_thread(self.account)
            if met(account) or time.monotonic() > limit:
                return account
            await asyncio.sleep(ACCOUNT_EVERY_S / 2)

    async def closed(
        self, within_s: float, tell: Tell, enough: Callable[[Account], bool] = lambda account: account.closes
    ) -> Account:
        """End all faults and measurements, and let the sites send until it is ``enough``; return the account.

        The sites are restarted from time to time: rejected measurements are sent again at the start.
        """
        self.every_s = 0.0
        # Without faults from here on: what is still missing then is lost, not late.
        for proxy in (self.uplinks, self.intake):
            proxy.set(NONE)
        self.start_collector()
        limit, restart, reported = time.monotonic() + within_s, 0.0, time.monotonic()
        while True:
            if time.monotonic() >= restart:
                await self._restart_sites()
                restart = time.monotonic() + RESTART_EVERY_S
            await asyncio.sleep(ACCOUNT_EVERY_S)
            self._check_all()
            account = await asyncio.to_thread(self.account)
            if enough(account) or time.monotonic() > limit:
                return account
            if time.monotonic() > reported + TELL_EVERY_S:
                reported = time.monotonic()
                tell(f"not in the ledger yet: {len(account.lost):,} of {account.journalled:,}")

    def account(self) -> Account:
        """Return the present account."""
        return reading.account_of(self.folder, self.names)

    async def _restart_sites(self) -> None:
        names = list(self.sites)
        await asyncio.gather(*(self.end_site(name) for name in names))
        for name in names:
            self.start_site(name)

    def _check_all(self) -> None:
        for name, child in self.sites.items():
            self._check(name, child)
        if self.collector is not None:
            self._check("collector", self.collector)

    def _check(self, name: str, child: Child) -> None:
        if not child.alive:
            log = self.folder / f"{name}.log"
            raise StoppedError(f"{name} ended by itself with status {child.status}: see {log}")

    def _settings(self) -> Path:
        return self.folder / "collector.yaml"


@asynccontextmanager
async def stage(folder: Path, *, sites: int, every_s: float, seed: int = 0) -> AsyncIterator[FaultStage]:
    """Run everything in ``folder`` until the block ends. Raises NoRoomError."""
    names = [f"SITE{number}" for number in range(1, sites + 1)]
    with Nursery(folder) as nursery, BrokerProcess(folder) as broker:
        async with (
            fault_proxy(broker.port, mqtt=True, seed=seed) as uplinks,
            fault_proxy(broker.port, mqtt=True, seed=seed + 1) as intake,
        ):
            made = FaultStage(folder, nursery, broker, uplinks, intake, names, every_s)
            _write_settings(folder, names, intake.port)
            made.start_collector()
            for name in names:
                made.start_site(name)
            yield made
            await _all_closed(uplinks, intake)


def chance(seed: int, purpose: str) -> random.Random:
    """Return a random sequence for one purpose, independent of the others."""
    return random.Random(f"{seed} {purpose}")


async def for_a_while(proxy: FaultProxy, fault: ConnectionFault, seconds: float) -> None:
    """Set ``fault`` on a proxy for ``seconds``."""
    proxy.set(fault)
    try:
        await asyncio.sleep(seconds)
    finally:
        proxy.set(NONE)


async def _all_closed(*proxies: FaultProxy) -> None:
    for proxy in proxies:
        proxy.set(ConnectionFault(FaultKind.RESET))
    while any(proxy.open_connections for proxy in proxies):  # noqa: ASYNC110 -- it can only be asked
        await asyncio.sleep(POLL_S)


def _write_settings(folder: Path, names: list[str], port: int) -> None:
    rows = "".join(f"{name},{name}\n" for name in names)
    (folder / "sites.csv").write_text(f"site_id,name\n{rows}", encoding="utf-8")
    (folder / "collector.yaml").write_text(
        f"inventory: {folder}/sites.csv\nbroker: {{port: {port}, keepalive_s: 5}}\n"
        f"ledger: {{path: {folder / reading.LEDGER}}}\nweb: {{port: {free_port()}}}\n",
        encoding="utf-8",
    )
