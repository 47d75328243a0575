"""Part ``kills``: agents, broker and collector killed at random while measurements are taken.

Three killers run beside each other, each with a random sequence of its own: a seed repeats the kills. At
least half of the collector's kills come during a transaction. The collector stops there by itself
(``collector_process``), and it is certain that the kill is inside.
"""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.faults.accounts.account import Account
from lab.faults.accounts.effort import Effort
from lab.faults.processes.fault_proxy import ConnectionFault, FaultKind, Way
from lab.faults.processes.stage import FaultStage, Killed, Tell, chance, for_a_while, stage

STOPS_WITHIN_S = 8.0
# One collector of so many rejects everything while it lives.
REFUSES_EVERY = 25
WIPED_SHARE = 0.1
LIES_EVERY_S = 12.0
LIES_FOR_S = 2.0
CLOSED_WITHIN_S = 120.0
# The broker acknowledges results and delivers none.
LIE = ConnectionFault(FaultKind.LIE, frozenset({Way.UP}), topics=lambda topic: topic.endswith("/results"))


@dataclass(frozen=True, slots=True)
class KillPlan:
    """Minimum number of kills of each program, and of measurements to journal."""

    kills: int
    measurements: int
    sites: int = 4
    every_s: float = 0.02


FULL = KillPlan(kills=200, measurements=10_000)
SHORT = KillPlan(kills=6, measurements=200, sites=2)


@dataclass(frozen=True, slots=True)
class KillOutcome:
    """Kills of a run, and its account."""

    killed: Killed
    lies: int
    account: Account


def run(effort: Effort, tell: Tell) -> bool:
    """Kill, recover, and print the account; return True if it closes and enough was killed and journalled."""
    plan = SHORT if effort.short else FULL
    with tempfile.TemporaryDirectory(prefix="plancher-kills-") as folder:
        found = asyncio.run(kill(Path(folder), plan, effort.seed, tell))
    for line in (
        str(found.killed),
        f"publications acknowledged and dropped by the broker: {found.lies}",
        *found.account.lines(),
    ):
        tell(line)
    return enough(found, plan) and clean(found.account)


def clean(account: Account) -> bool:
    """Return whether the account closes without declared losses: no journal is ever full here."""
    return account.closes and not account.declared


def enough(found: KillOutcome, plan: KillPlan) -> bool:
    """Return whether the run reached the plan."""
    killed = found.killed
    return (
        min(killed.agent, killed.broker, killed.collector) >= plan.kills
        and killed.within * 2 >= killed.collector
        and found.account.journalled >= plan.measurements
    )


async def kill(folder: Path, plan: KillPlan, seed: int, tell: Tell) -> KillOutcome:
    """Carry out a plan in ``folder``."""
    async with stage(folder, sites=plan.sites, every_s=plan.every_s, seed=seed) as running:
        lying = asyncio.create_task(_lie(running, seed))
        async with asyncio.TaskGroup() as group:
            group.create_task(_kill_sites(running, plan, seed))
            group.create_task(_kill_broker(running, plan, seed))
            group.create_task(_kill_collector(running, plan, seed, tell))
        while (journalled := (await asyncio.to_thread(running.account)).journalled) < plan.measurements:
            tell(f"{journalled:,} measurements so far")
            await asyncio.sleep(1)
        lying.cancel()
        account = await running.closed(CLOSED_WITHIN_S, tell)
        return KillOutcome(running.killed, running.uplinks.tally.swallowed, account)


async def _kill_sites(running: FaultStage, plan: KillPlan, seed: int) -> None:
    drawn = chance(seed, "agent")
    for _ in range(plan.kills):
        await asyncio.sleep(drawn.uniform(0.2, 1.6))
        await asyncio.to_thread(running.kill_site, drawn.choice(running.names))


async def _kill_broker(running: FaultStage, plan: KillPlan, seed: int) -> None:
    drawn = chance(seed, "broker")
    for _ in range(plan.kills):
        await asyncio.sleep(drawn.uniform(0.3, 1.5))
        await asyncio.to_thread(running.kill_broker, wiping=drawn.random() < WIPED_SHARE)


async def _kill_collector(running: FaultStage, plan: KillPlan, seed: int, tell: Tell) -> None:
    """Kill collectors until the plan is reached, half of the kills during a transaction."""
    drawn, killed = chance(seed, "collector"), running.killed
    while killed.collector < plan.kills or killed.within * 2 < killed.collector:
        if killed.collector % REFUSES_EVERY == REFUSES_EVERY - 2:
            await _live_refusing(running, drawn.uniform(0.5, 2.0))
        elif drawn.random() < 0.6:  # a collector that does not stop in time counts for the other half
            await _stop_in_transaction(running, drawn.randint(1, 4))
        else:
            running.start_collector()
            await asyncio.sleep(drawn.uniform(0.05, 2.0))
        await asyncio.to_thread(running.kill_collector)
        if killed.collector % 20 == 0:
            tell(str(killed))


async def _stop_in_transaction(running: FaultStage, nth: int) -> None:
    running.start_collector(stop_at=nth)
    await running.stopped_within(STOPS_WITHIN_S)


async def _live_refusing(running: FaultStage, seconds: float) -> None:
    running.start_collector(refusing=True)
    await asyncio.sleep(seconds)


async def _lie(running: FaultStage, seed: int) -> None:
    drawn = chance(seed, "lies")
    while True:
        await asyncio.sleep(drawn.uniform(0.2, LIES_EVERY_S))
        await for_a_while(running.uplinks, LIE, LIES_FOR_S)
