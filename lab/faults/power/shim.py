"""Build of the shim, and a run of a workload under it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.faults.power import op_log
from lab.faults.power.op_log import Operation
from lab.programs import installed
from lab.programs.places import NoRoomError

SOURCE = Path(__file__).with_name("shim.c")
WITHIN_S = 120.0


def build(folder: Path) -> Path:
    """Compile the shim into ``folder``. Raises MissingProgramError and NoRoomError."""
    compiler = installed.require("cc", "gcc libc6-dev")
    built = folder / "shim.so"
    options = ("-shared", "-fPIC", "-O1", "-o", str(built), str(SOURCE), "-ldl", "-pthread")
    done = subprocess.run((compiler, *options), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise NoRoomError(f"cannot compile the shim: {done.stderr.strip()}")
    return built


def record(shim: Path, root: Path, module: str, arguments: Sequence[str]) -> list[Operation]:
    """Run ``python -m module ROOT ARGUMENT...`` under the shim; return its operations below ``root``.

    Raises RuntimeError with the program's error output where it fails.
    """
    log = root.with_name(root.name + ".log")
    log.unlink(missing_ok=True)
    surroundings = os.environ | {
        "LD_PRELOAD": str(shim),
        "PLANCHER_CUT_ROOT": str(root),
        "PLANCHER_CUT_LOG": str(log),
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    command = (sys.executable, "-m", module, str(root), *arguments)
    done = subprocess.run(  # noqa: S603 -- the lab's own command, no shell
        command, env=surroundings, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{module} ended with status {done.returncode}: {done.stderr.strip()}")
    return list(op_log.read(log.read_bytes()))
