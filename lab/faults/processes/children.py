"""Processes to be killed: forked from one that has imported their programs, so that they start in no time.

A program that is started hundreds of times would spend the run on imports. Each child is a process with its
own session and its output in a log. It ends by itself if the rig is killed.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, Self

from lab.programs.tether import PR_SET_PDEATHSIG

PRELOADED = (
    "agent.uplink.uplink",
    "outbox.journal.thread",
    "aiomqtt",
    "collector.service.service",
    "collector.settings",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "lab.faults.processes.collector_process",
    "lab.faults.processes.site_process",
)
ENDING_S = 10.0


class Child:
    """One process, from its start to its end."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid or 0

    @property
    def alive(self) -> bool:
        """True until it ends."""
        return self._process.is_alive()

    @property
    def status(self) -> int | None:
        """Exit status, as ``multiprocessing`` gives it; None while it lives."""
        return self._process.exitcode

    @property
    def stopped(self) -> bool:
        """True if it has stopped itself at a fault point."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return False
        # The name before it is in parentheses, and may contain any character.
        return stat.rpartition(")")[2].split()[0] == "T"

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it lives."""
        if self.alive:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._process.kill()
        self._process.join(ENDING_S)

    def end(self) -> None:
        """SIGTERM; SIGKILL where that is not enough."""
        self._process.terminate()
        self._process.join(ENDING_S)
        self.kill()


class Nursery:
    """Starts children; what is still there when the block ends is killed. Logs go to ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(PRELOADED))
        self._children: list[Child] = []

    def start(self, name: str, run: Callable[..., None], *arguments: Any) -> Child:
        """Run ``run(*arguments)``, both of which must pickle, in a process of its own."""
        log = self._folder / f"{name}.log"
        process = self._context.Process(target=_begin, args=(log, run, arguments), name=name, daemon=True)
        process.start()
        child = Child(process)
        self._children = [one for one in self._children if one.alive]
        self._children.append(child)
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.kill()


def _begin(log: Path, run: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """In the child: out of the terminal's reach, tied to its parent's life, its words in a log."""
    # The terminal sends Ctrl-C to a whole session; only the rig is to get it, and ends its children.
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Unbuffered: what a killed child wrote last is what is looked for.
    with log.open("ab", buffering=0) as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    run(*arguments)
