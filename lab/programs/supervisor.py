"""Child processes: started, watched, and ended together."""

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
class ChildProgram:
    """Program to start as a child. Children of a higher ``wave`` are ended before those of a lower one."""

    name: str
    command: tuple[str, ...]
    wave: int = 0


@dataclass(frozen=True, slots=True)
class ChildExit:
    """Unexpected end of a child: its exit status and the last lines of its output."""

    name: str
    status: int
    last_lines: tuple[str, ...]

    def __str__(self) -> str:
        how = f"was ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"
        output = "".join(f"\n  | {line}" for line in self.last_lines) or "\n  | (no output)"
        return f"{self.name} {how}; its last output:{output}"


@dataclass(frozen=True, slots=True)
class _Child:
    program: ChildProgram
    process: "subprocess.Popen[bytes]"
    log: Path


class Supervisor:
    """Children with their output in ``<directory>/<name>.log``; all end with the block.

    Each child leads a session of its own, and Ctrl-C at the terminal reaches only this process, which then
    ends the children in order. If this process is killed, the kernel ends them (see ``tether``).
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._children: list[_Child] = []

    def start(self, program: ChildProgram) -> int:
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
        """Return the path of a child's output."""
        return self._directory / f"{name}.log"

    def first_exit(self) -> ChildExit | None:
        """Return the first child that has ended by itself, or None."""
        for child in self._children:
            if (status := child.process.poll()) is not None:
                return ChildExit(child.program.name, status, last_lines(child.log))
        return None

    def wait_until(self, ready: Callable[[], bool], within_s: float) -> ChildExit | bool:
        """Poll ``ready``: return True once it is true, False after ``within_s``, the exit of a child
        before.
        """
        limit = time.monotonic() + within_s
        while True:
            if ended := self.first_exit():
                return ended
            if ready():
                return True
            if time.monotonic() > limit:
                return False
            time.sleep(POLL_S)

    def stop(self, patience_s: float = PATIENCE_S, *, from_wave: int = 0) -> tuple[str, ...]:
        """End the children of these waves, wave by wave, and return the names of those that had to be killed.

        ``patience_s`` is for all waves together; then the rest is killed with all its descendants.
        """
        limit = time.monotonic() + patience_s
        ended = [child for child in self._children if child.program.wave >= from_wave]
        # Clients first: they would report the end of their servers as a fault.
        for wave in sorted({child.program.wave for child in ended}, reverse=True):
            children = [child for child in ended if child.program.wave == wave]
            for child in children:
                if child.process.poll() is None:
                    child.process.terminate()
            _wait(children, limit)
        killed = tuple(child.program.name for child in ended if _kill(child.process))
        self._children = [child for child in self._children if child not in ended]
        return killed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def last_lines(log: Path, count: int = LAST_LINES) -> tuple[str, ...]:
    """Return the last lines of a log."""
    return tuple(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def _wait(children: Sequence[_Child], limit: float) -> None:
    for child in children:
        try:
            child.process.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            return


def _kill(process: "subprocess.Popen[bytes]") -> bool:
    """Kill the rest of a child's session; return True if the child itself was still running."""
    alive = process.poll() is None
    try:
        # The process group also contains what the child started; it may be empty by now.
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    process.wait()
    return alive
