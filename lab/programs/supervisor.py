"""Programs as children: started, watched, and ended together, so that nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.programs import tether

LAST_LINES = 12
PATIENCE_S = 3.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Program:
    """A child to start. ``wave``: children of higher waves are ended before those of lower ones."""

    name: str
    command: tuple[str, ...]
    wave: int = 0


@dataclass(frozen=True, slots=True)
class Death:
    """A child that ended by itself: how, and the last lines it said."""

    name: str
    status: int
    last_words: tuple[str, ...]

    def __str__(self) -> str:
        how = f"was ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"
        said = "".join(f"\n  | {line}" for line in self.last_words) or "\n  | (it said nothing)"
        return f"{self.name} {how}; its last words:{said}"


@dataclass(frozen=True, slots=True)
class _Child:
    program: Program
    process: "subprocess.Popen[bytes]"
    log: Path


class Supervisor:
    """Children whose output goes to ``<directory>/<name>.log``; leaving the block ends them all.

    Each child leads a session of its own: Ctrl-C at the terminal reaches this process alone, which then ends
    the children in order. Should this process be killed, the kernel ends them (see ``tether``).
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._children: list[_Child] = []

    def start(self, program: Program) -> int:
        """Start a program and return its process id. Raises OSError when it cannot be started."""
        log = self.log_of(program.name)
        command = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *program.command)
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 -- commands are the lab's own, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                start_new_session=True,
            )
        self._children.append(_Child(program, process, log))
        return process.pid

    def log_of(self, name: str) -> Path:
        """Where the output of the child of this name goes."""
        return self._directory / f"{name}.log"

    def death(self) -> Death | None:
        """The first child found to have ended by itself, or None."""
        for child in self._children:
            if (status := child.process.poll()) is not None:
                return Death(child.program.name, status, last_lines(child.log))
        return None

    def wait_until(self, ready: Callable[[], bool], within_s: float) -> Death | bool:
        """Ask until ``ready``: True then, False after ``within_s``, the death of a child meanwhile."""
        limit = time.monotonic() + within_s
        while True:
            if death := self.death():
                return death
            if ready():
                return True
            if time.monotonic() > limit:
                return False
            time.sleep(POLL_S)

    def stop(self, patience_s: float = PATIENCE_S) -> tuple[str, ...]:
        """End all children, wave by wave, and return the names of those that had to be killed.

        All waves together get ``patience_s``; what is then still there is killed with all it started.
        """
        limit = time.monotonic() + patience_s
        for wave in sorted({child.program.wave for child in self._children}, reverse=True):
            children = [child for child in self._children if child.program.wave == wave]
            for child in children:
                if child.process.poll() is None:
                    child.process.terminate()
            _wait(children, limit)
        killed = tuple(child.program.name for child in self._children if _kill(child.process))
        self._children.clear()
        return killed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def last_lines(log: Path, count: int = LAST_LINES) -> tuple[str, ...]:
    """The last lines of a log."""
    return tuple(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def _wait(children: Sequence[_Child], limit: float) -> None:
    for child in children:
        try:
            child.process.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            return


def _kill(process: "subprocess.Popen[bytes]") -> bool:
    """Kill what is left of a child's session; True if the child itself was still there."""
    alive = process.poll() is None
    try:
        # The group also holds what the child started; it may long be empty.
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    process.wait()
    return alive
