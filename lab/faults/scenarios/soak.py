"""Command ``plancher-lab soak``: sites, broker and collector with a fault every few seconds.

Every kind of fault comes in random order and is printed; the account follows at the end.
"""

import argparse
import asyncio
import contextlib
import logging
import secrets
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random

from host.exits import Exit
from lab.faults.accounts.account import Account
from lab.faults.processes.fault_proxy import ConnectionFault, FaultKind, FaultProxy, Way
from lab.faults.processes.stage import FaultStage, StoppedError, Tell, chance, for_a_while, stage
from lab.faults.scenarios.kills import LIE
from lab.programs.installed import MissingProgramError
from lab.programs.places import NoRoomError

SITES = 4
EVERY_S = 0.1
BETWEEN_S = (1.0, 5.0)
LASTS_S = (1.0, 8.0)
CLOSED_WITHIN_S = 180.0
TELL_EVERY_S = 10.0

SPOILED = (
    ConnectionFault(FaultKind.STALL),
    ConnectionFault(FaultKind.SWALLOW),
    ConnectionFault(FaultKind.SWALLOW, frozenset({Way.DOWN})),
    ConnectionFault(FaultKind.GARBAGE),
    ConnectionFault(FaultKind.TRICKLE, seconds=0.1),
    ConnectionFault(FaultKind.DELAY, seconds=0.5),
    ConnectionFault(FaultKind.TRUNCATE),
    ConnectionFault(FaultKind.RESET),
    ConnectionFault(FaultKind.HANG_UP),
    LIE,
)

BreakSomething = Callable[[FaultStage, Random], Awaitable[str]]


def run(options: argparse.Namespace, say: Tell, complain: Tell) -> Exit:
    """Run the soak test and print the account.

    Returns OK if it closes, FAIL if not, INTERRUPTED if a signal ended it early.
    """
    logging.disable(logging.CRITICAL)  # the lab's own log; the programs have log files
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    say(f"seed {seed}: {options.minutes:g} minutes, {SITES} sites, a fault every few seconds; Ctrl-C ends it")
    try:
        with tempfile.TemporaryDirectory(prefix="plancher-soak-") as folder:
            account, ended = asyncio.run(soak(Path(folder), options.minutes * 60, seed, say))
    except (NoRoomError, MissingProgramError) as error:
        complain(f"configuration: {error}")
        return Exit.UNAVAILABLE
    except StoppedError as error:
        complain(str(error))
        return Exit.SOFTWARE
    if account is None:
        say("ended; all programs and files are removed")
        return Exit.INTERRUPTED
    for line in account.lines():
        say(line)
    if not account.closes:
        return Exit.FAIL
    return Exit.INTERRUPTED if ended else Exit.OK


async def soak(folder: Path, seconds: float, seed: int, say: Tell) -> tuple[Account | None, bool]:
    """Return the account, and whether a signal ended the faults; a second signal also ends the wait for the
    account.
    """
    with _asked_to_end() as ends:
        async with stage(folder, sites=SITES, every_s=EVERY_S, seed=seed) as running:
            faults = asyncio.create_task(_faults(running, seconds, seed, say))
            telling = asyncio.create_task(_progress(running, say))
            ended = not await _done_before(faults, ends[0])
            telling.cancel()
            say(str(running.killed))
            closing = asyncio.create_task(running.closed(CLOSED_WITHIN_S, say))
            finished = await _done_before(closing, ends[1])
            return (closing.result() if finished else None), ended


async def _faults(running: FaultStage, seconds: float, seed: int, say: Tell) -> None:
    drawn, began = chance(seed, "soak"), time.monotonic()
    while (spent := time.monotonic() - began) < seconds:
        break_something = drawn.choice(BREAKS)
        say(f"{spent:6.0f} s  {await break_something(running, drawn)}")
        await asyncio.sleep(drawn.uniform(*BETWEEN_S))


async def _progress(running: FaultStage, say: Tell) -> None:
    while True:
        await asyncio.sleep(TELL_EVERY_S)
        account = await asyncio.to_thread(running.account)
        say(f"          {account.journalled:,} journalled, {account.held:,} of them in the ledger")


async def _kill_agent(running: FaultStage, drawn: Random) -> str:
    name = drawn.choice(running.names)
    await asyncio.to_thread(running.kill_site, name)
    return f"agent of {name} killed"


async def _kill_broker(running: FaultStage, drawn: Random) -> str:
    wiping = drawn.random() < 0.3
    await asyncio.to_thread(running.kill_broker, wiping=wiping)
    return "broker killed" + (", its store wiped" if wiping else "")


async def _kill_collector(running: FaultStage, drawn: Random) -> str:
    await asyncio.to_thread(running.kill_collector)
    running.start_collector()
    return "collector killed"


async def _kill_in_transaction(running: FaultStage, drawn: Random) -> str:
    running.start_collector(stop_at=drawn.randint(1, 4))
    await running.stopped_within(drawn.uniform(*LASTS_S) * 2)
    within = await asyncio.to_thread(running.kill_collector)
    running.start_collector()
    return "collector killed within a transaction" if within else "collector killed while idle"


async def _refuse(running: FaultStage, drawn: Random) -> str:
    seconds = drawn.uniform(*LASTS_S)
    running.start_collector(refusing=True)
    await asyncio.sleep(seconds)
    running.start_collector()
    return f"collector rejected everything for {seconds:.0f} s"


async def _freeze(running: FaultStage, drawn: Random) -> str:
    name, seconds = drawn.choice(running.names), drawn.uniform(*LASTS_S)
    running.sites[name].signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        running.sites[name].signal(signal.SIGCONT)
    return f"agent of {name} stopped for {seconds:.0f} s"


async def _spoil_uplinks(running: FaultStage, drawn: Random) -> str:
    return await _spoil(running.uplinks, "between sites and broker", drawn)


async def _spoil_intake(running: FaultStage, drawn: Random) -> str:
    return await _spoil(running.intake, "between broker and collector", drawn)


async def _spoil(proxy: FaultProxy, where: str, drawn: Random) -> str:
    fault, seconds = drawn.choice(SPOILED), drawn.uniform(*LASTS_S)
    if fault is LIE and where.endswith("collector"):
        fault = ConnectionFault(FaultKind.LIE, frozenset({Way.DOWN}))
    await for_a_while(proxy, fault, seconds)
    return f"{fault.kind} {where} for {seconds:.0f} s"


BREAKS: tuple[BreakSomething, ...] = (
    _kill_agent,
    _kill_broker,
    _kill_collector,
    _kill_in_transaction,
    _refuse,
    _freeze,
    _spoil_uplinks,
    _spoil_intake,
    _spoil_uplinks,
    _spoil_intake,
)


async def _done_before(task: "asyncio.Task[object]", end: asyncio.Event) -> bool:
    """Wait for a task, or cancel it on ``end``; return whether it completed.

    Raises what the task raises.
    """
    waiting = asyncio.create_task(end.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return False


@contextlib.contextmanager
def _asked_to_end() -> Iterator[list[asyncio.Event]]:
    """Provide two events: of the first signal that asks for the end, and of the second."""
    loop, asked = asyncio.get_running_loop(), [asyncio.Event(), asyncio.Event()]
    left = list(asked)

    def ask() -> None:
        if left:
            left.pop(0).set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, ask)
    try:
        yield asked
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
