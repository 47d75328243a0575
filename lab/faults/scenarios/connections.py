"""Part ``connections``: a broker that is silent, half open, resetting or sends garbage, with one site behind
each.

Each site must continue to measure, notice within 90 s that its connection is useless, and need no more
memory, however long the fault lasts. It must deliver everything once the broker works again.
"""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from lab.faults.accounts import reading
from lab.faults.accounts.account import Account
from lab.faults.accounts.effort import Effort
from lab.faults.processes import site_process
from lab.faults.processes.fault_proxy import NONE, ConnectionFault, FaultKind, FaultProxy, Way, fault_proxy
from lab.faults.processes.site_process import SiteProcess
from lab.faults.processes.stage import FaultStage, Tell, stage

DETECTED_WITHIN_S = 90.0
EVERY_S = 0.05
DELIVERED_WITHIN_S = 90.0
MORE_MEMORY_BYTES = 3_000_000
KEEPALIVE_S, RECEIPT_S = 30, 60.0  # what agents in service have
LOOK_EVERY_S = 0.1

FAULTS = {
    "silent": ConnectionFault(FaultKind.SWALLOW),
    "half-open-up": ConnectionFault(FaultKind.SWALLOW, frozenset({Way.UP})),
    "half-open-down": ConnectionFault(FaultKind.SWALLOW, frozenset({Way.DOWN})),
    "stalled": ConnectionFault(FaultKind.STALL),
    "trickling": ConnectionFault(FaultKind.TRICKLE, seconds=2.0),
    "garbage": ConnectionFault(FaultKind.GARBAGE),
    "truncating": ConnectionFault(FaultKind.TRUNCATE),
    "resetting": ConnectionFault(FaultKind.RESET),
    "hanging-up": ConnectionFault(FaultKind.HANG_UP),
}
# Faults that end a connection at once, and are therefore noticed in a short run.
AT_ONCE = ("truncating", "resetting", "hanging-up")


@dataclass(frozen=True, slots=True)
class Bad:
    """One site behind a proxy of its own, and its behaviour during the fault.

    ``noticed_s``: seconds until the site reported it, None if it did not. ``grown``: growth of its memory in
    bytes from the first quarter to the end. ``measured``: measurements journalled.
    """

    name: str
    noticed_s: float | None
    grown: int
    measured: int
    wanted: int

    @property
    def well(self) -> bool:
        """True if it noticed in time, continued to measure, and did not grow."""
        noticed = self.noticed_s is not None and self.noticed_s <= DETECTED_WITHIN_S
        return noticed and self.grown <= MORE_MEMORY_BYTES and self.measured >= self.wanted

    def __str__(self) -> str:
        noticed = "NOT noticed" if self.noticed_s is None else f"noticed after {self.noticed_s:.1f} s"
        return f"{self.name}: {noticed}, {self.measured:,} measurements, memory {self.grown / 1e6:+.1f} MB"


def run(effort: Effort, tell: Tell) -> bool:
    """Run every fault at once, each on its own site; return True if all were noticed and all was
    delivered.
    """
    names, seconds = (AT_ONCE, 4.0) if effort.short else (tuple(FAULTS), DETECTED_WITHIN_S + 30)
    with tempfile.TemporaryDirectory(prefix="plancher-connections-") as folder:
        fared, account = asyncio.run(_spoil(Path(folder), names, seconds, effort.seed, tell))
    for bad in fared:
        tell(str(bad))
    for line in account.lines():
        tell(line)
    return account.closes and all(bad.well for bad in fared)


async def _spoil(
    folder: Path, names: tuple[str, ...], seconds: float, seed: int, tell: Tell
) -> tuple[list[Bad], Account]:
    async with stage(folder, sites=0, every_s=EVERY_S) as running, AsyncExitStack() as leaving:
        running.names.extend(names)
        proxies = {
            name: await leaving.enter_async_context(
                fault_proxy(running.broker.port, mqtt=True, seed=seed + at)
            )
            for at, name in enumerate(names)
        }
        for name in names:
            running.sites[name] = running.nursery.start(name, site_process.run, _site(running, name, proxies))
        await running.until(lambda account: account.held > len(names), DELIVERED_WITHIN_S)
        work = [_one(running, name, proxies[name], seconds) for name in names]
        fared = await asyncio.gather(*work)
        for proxy in proxies.values():
            proxy.set(NONE)
        return fared, await running.closed(DELIVERED_WITHIN_S, tell)


def _site(running: FaultStage, name: str, proxies: dict[str, FaultProxy]) -> SiteProcess:
    journal, notes = reading.journal_of(running.folder, name), reading.notes_of(running.folder, name)
    return SiteProcess(
        name, journal, notes, proxies[name].port, 0, EVERY_S, receipt_s=RECEIPT_S, keepalive_s=KEEPALIVE_S
    )


async def _one(running: FaultStage, name: str, proxy: FaultProxy, seconds: float) -> Bad:
    """Disturb one site's connection for ``seconds``; memory is compared from the end of the first quarter
    on.
    """
    site, child = running.site(name), running.sites[name]
    before, began = _journalled(running, name), time.monotonic()
    proxy.set(FAULTS[name])
    noticed: float | None = None
    small = 0
    while (spent := time.monotonic() - began) < seconds:
        if noticed is None and (trouble := _trouble_after(site.troubles, began)):
            noticed = trouble - began
        if not small and spent > seconds / 4:
            small = _resident(child.pid)
        await asyncio.sleep(LOOK_EVERY_S)
    measured = _journalled(running, name) - before
    return Bad(name, noticed, _resident(child.pid) - small, measured, round(seconds / EVERY_S / 4))


def _trouble_after(path: Path, moment: float) -> float | None:
    """Return the time after ``moment`` at which a site first reported a problem of its connection."""
    for line in path.read_text(encoding="utf-8").splitlines():
        at, _, problem = line.partition(" ")
        if problem and float(at) >= moment:
            return float(at)
    return None


def _journalled(running: FaultStage, name: str) -> int:
    return len(reading.noted_of(running.folder, [name]).committed)


def _resident(pid: int) -> int:
    """Return the resident bytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) * 1024
