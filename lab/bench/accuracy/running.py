"""Runs parts as processes of their own: one that hangs, crashes or leaks takes no other with it."""

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Timer
from types import FrameType

import msgspec

from lab.bench.accuracy.part import Measure, Part
from lab.bench.accuracy.report import Measured, failed, kind_of_machine
from lab.bench.accuracy.result import Effort, Result, Tell
from lab.programs import tether

PATIENCE_S = 20.0
CARRIED = 3
"""Lines of a part's own words that are told when it fails."""


def run_all(parts: Sequence[Part], effort: Effort, tell: Tell) -> list[Measured]:
    """Run parts: those that may share the machine beside each other, then the others one by one."""
    # Before the parts themselves make a load.
    machine = kind_of_machine(os.getloadavg()[0])
    with _Children() as children:
        shared, alone = [one for one in parts if not one.alone], [one for one in parts if one.alone]
        with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
            try:
                found = list(pool.map(lambda part: _run(children, part, effort, tell, machine), shared))
                found += [_run(children, part, effort, tell, machine) for part in alone]
            except BaseException:
                # The pool waits for its threads, and those for their parts.
                children.stop()
                raise
    order = [part.name for part in parts]
    return sorted(found, key=lambda one: order.index(one.name))


def run_here(module: str, effort: Effort, target: Path, tell: Tell) -> None:
    """Inside a part's own process: measure and leave the result in ``target``."""
    # Leaving by an exception is what removes links and programs.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    measure: Measure = importlib.import_module(module).measure
    target.write_bytes(msgspec.json.encode(measure(effort, tell)))


def _run(children: "_Children", part: Part, effort: Effort, tell: Tell, machine: str) -> Measured:
    tell(f"{part.name}: {part.question}")
    began = time.monotonic()
    with TemporaryDirectory(prefix="plancher-bench-") as folder:
        result = children.run(part, effort, Path(folder) / "result.json", tell)
    seconds = time.monotonic() - began
    day = datetime.now(UTC).date().isoformat()
    return Measured(part.name, part.question, day, machine, effort, seconds, result)


class _Children:
    """The processes now running; leaving the block ends them."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []
        self._lock = Lock()
        self._stopping = False

    def __enter__(self) -> "_Children":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, part: Part, effort: Effort, target: Path, tell: Tell) -> Result:
        with self._started(_command(part, effort, target)) as process:
            said = _listen(process, part, tell, part.deadline_s(effort))
        if process.returncode == 0:
            return msgspec.json.decode(target.read_bytes(), type=Result)
        return failed(f"did not finish (status {process.returncode}): {' | '.join(said[-CARRIED:])}")

    @contextlib.contextmanager
    def _started(self, command: Sequence[str]) -> "Iterator[subprocess.Popen[str]]":
        with self._lock:
            if self._stopping:
                raise KeyboardInterrupt
            # A session of its own: the terminal's Ctrl-C is for us, who pass it on.
            process = subprocess.Popen(  # noqa: S603 -- our own command, no shell
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
            )
            self._running.append(process)
        with process:
            try:
                yield process
            finally:
                _end(process)

    def stop(self) -> None:
        """End what runs, and start nothing more."""
        with self._lock:
            self._stopping = True
            for process in self._running:
                _end(process)


def _command(part: Part, effort: Effort, target: Path) -> tuple[str, ...]:
    told = msgspec.json.encode(effort).decode()
    python = sys.executable
    ours = (
        python,
        "-u",
        "-m",
        "lab.bench.accuracy",
        "--inside",
        part.module,
        "--effort",
        told,
        "--result",
        str(target),
    )
    return (python, "-I", "-S", tether.__file__, str(os.getpid()), *ours)


def _listen(process: "subprocess.Popen[str]", part: Part, tell: Tell, limit_s: float) -> list[str]:
    """Pass a part's lines on until it ends, or is ended because it takes far too long."""
    said: list[str] = []
    late = Timer(limit_s, _end, (process,))
    late.start()
    try:
        for line in process.stdout or ():
            said.append(line.rstrip())
            tell(f"{part.name}: {said[-1]}")
        process.wait()
    finally:
        late.cancel()
    return said


def _end(process: "subprocess.Popen[str]") -> None:
    """Ask it to end, which removes its links; then insist."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
