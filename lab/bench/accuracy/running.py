"""Runner of the parts. Each is a process of its own: one that hangs or crashes does not stop the others."""

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
from lab.bench.accuracy.report import MeasuredPart, failed, kind_of_machine
from lab.bench.accuracy.result import BenchEffort, PartResult, Tell
from lab.programs import tether

PATIENCE_S = 20.0
# Lines of a failed part's output in its bar.
CARRIED = 3


def run_all(parts: Sequence[Part], effort: BenchEffort, tell: Tell) -> list[MeasuredPart]:
    """Run parts: those that may share the machine beside each other, then the others one by one."""
    # Read before the parts themselves load the machine.
    machine = kind_of_machine(os.getloadavg()[0])
    with _Children() as children:
        shared, alone = [one for one in parts if not one.alone], [one for one in parts if one.alone]
        with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
            try:
                found = list(pool.map(lambda part: _run(children, part, effort, tell, machine), shared))
                found += [_run(children, part, effort, tell, machine) for part in alone]
            except BaseException:
                # The pool waits for its threads, and each thread for its part.
                children.stop()
                raise
    order = [part.name for part in parts]
    return sorted(found, key=lambda one: order.index(one.name))


def run_here(module: str, effort: BenchEffort, target: Path, tell: Tell) -> None:
    """Measure inside a part's own process and write the result to ``target``."""
    # Only an exception leaves the blocks that remove links and programs.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    measure: Measure = importlib.import_module(module).measure
    target.write_bytes(msgspec.json.encode(measure(effort, tell)))


def _run(children: "_Children", part: Part, effort: BenchEffort, tell: Tell, machine: str) -> MeasuredPart:
    tell(f"{part.name}: {part.question}")
    began = time.monotonic()
    with TemporaryDirectory(prefix="plancher-bench-") as folder:
        result = children.run(part, effort, Path(folder) / "result.json", tell)
    seconds = time.monotonic() - began
    day = datetime.now(UTC).date().isoformat()
    return MeasuredPart(part.name, part.question, day, machine, effort, seconds, result)


class _Children:
    # The parts' processes now running; leaving the block ends them.
    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []
        self._lock = Lock()
        self._stopping = False

    def __enter__(self) -> "_Children":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, part: Part, effort: BenchEffort, target: Path, tell: Tell) -> PartResult:
        with self._started(_command(part, effort, target)) as process:
            output = _listen(process, part, tell, part.deadline_s(effort))
        if process.returncode == 0:
            return msgspec.json.decode(target.read_bytes(), type=PartResult)
        return failed(f"did not finish (status {process.returncode}): {' | '.join(output[-CARRIED:])}")

    @contextlib.contextmanager
    def _started(self, command: Sequence[str]) -> "Iterator[subprocess.Popen[str]]":
        with self._lock:
            if self._stopping:
                raise KeyboardInterrupt
            # A session of its own: the terminal's Ctrl-C reaches only this process, which ends the parts in
            # order.
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
        """End the running parts, and start no more."""
        with self._lock:
            self._stopping = True
            for process in self._running:
                _end(process)


def _command(part: Part, effort: BenchEffort, target: Path) -> tuple[str, ...]:
    effort_json = msgspec.json.encode(effort).decode()
    python = sys.executable
    ours = (
        python,
        "-u",
        "-m",
        "lab.bench.accuracy",
        "--inside",
        part.module,
        "--effort",
        effort_json,
        "--result",
        str(target),
    )
    return (python, "-I", "-S", tether.__file__, str(os.getpid()), *ours)


def _listen(process: "subprocess.Popen[str]", part: Part, tell: Tell, limit_s: float) -> list[str]:
    """Print a part's lines until it ends, or until its deadline ends it."""
    output: list[str] = []
    late = Timer(limit_s, _end, (process,))
    late.start()
    try:
        for line in process.stdout or ():
            output.append(line.rstrip())
            tell(f"{part.name}: {output[-1]}")
        process.wait()
    finally:
        late.cancel()
    return output


def _end(process: "subprocess.Popen[str]") -> None:
    """Terminate a part, which removes its links; kill it if that takes too long."""
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
