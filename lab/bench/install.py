"""Disk space of an agent's installation: the base install, and what scapy and cryptography add to it.

The wheel is built from this tree, and installed with the locked packages into an environment made for it.
A new environment consists of pip and setuptools. They are counted apart, because nothing runs them later.
"""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import agent
from host import command_line
from lab.bench import frame

PROGRAM = "bench-install"
BUDGET_BYTES = 40_000_000
SOURCE = Path(agent.__file__).parent.parent
_NOT_BUILT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "var", "tests")
# Packages after the base install, and why they are shown.
_MORE = (("scapy", "extra path"), ("cryptography", "in no extra"))


@dataclass(frozen=True, slots=True)
class InstalledSizes:
    """Bytes on disk: of the new environment, and what each step added to it."""

    environment: int
    base: int
    added: dict[str, int]


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark, print the results, and return the exit status."""
    command_line.parser(PROGRAM, "Measure the disk space of an agent's installation.").parse_args(arguments)
    console = frame.console(100)
    try:
        with tempfile.TemporaryDirectory(prefix="plancher-bench-") as name:
            found = measure(Path(name))
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        return frame.refuse(PROGRAM, f"pip failed: {last}: is the package index reachable from here?")
    for text in lines(found):
        console.print(text)
    return frame.conclude(console, faults(found))


def measure(folder: Path) -> InstalledSizes:
    """Install step by step, and weigh after each. Raises CalledProcessError where pip fails."""
    source, place = folder / "source", folder / "installed"
    shutil.copytree(SOURCE, source, ignore=_NOT_BUILT)
    _run(sys.executable, "-m", "venv", place)
    pip = (place / "bin" / "pip", "--disable-pip-version-check", "--quiet")
    steps = [size_of(place)]
    for what in (str(source), *(name for name, _ in _MORE)):
        _run(*pip, "install", "--constraint", SOURCE / "constraints.txt", what)
        steps.append(size_of(place))
    new = [after - before for before, after in itertools.pairwise(steps)]
    return InstalledSizes(steps[0], new[0], dict(zip((name for name, _ in _MORE), new[1:], strict=True)))


def size_of(folder: Path) -> int:
    """Bytes that a folder takes on its disk; a file with several names counts once."""
    found = {(status.st_dev, status.st_ino): status.st_blocks * 512 for status in _statuses(folder)}
    return sum(found.values())


def lines(found: InstalledSizes) -> list[str]:
    """Results for a reader."""
    added = [f"+ {name} ({why}): {found.added[name] / 1e6:.1f} MB" for name, why in _MORE]
    return [
        f"base install: {found.base / 1e6:.1f} MB (bar: {BUDGET_BYTES / 1e6:g} MB)",
        *added,
        f"pip and setuptools of the environment: {found.environment / 1e6:.1f} MB",
    ]


def faults(found: InstalledSizes) -> list[str]:
    """Bars that were missed."""
    text = f"the base install takes {found.base / 1e6:.1f} MB, more than {BUDGET_BYTES / 1e6:g} MB"
    return [text] if found.base > BUDGET_BYTES else []


def _statuses(folder: Path) -> list[os.stat_result]:
    return [path.lstat() for path in (folder, *folder.rglob("*"))]


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 -- names of this module


if __name__ == "__main__":
    command_line.run(main, PROGRAM)
