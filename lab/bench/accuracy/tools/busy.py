"""Busy processes, to load the machine during a measurement."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from lab.programs import tether

WORK = "while True: pass"


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Run busy processes of ordinary priority for the length of the block; they end with this process."""
    with contextlib.ExitStack() as leaving:
        for _ in range(processes):
            command = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()))
            process = subprocess.Popen((*command, sys.executable, "-I", "-S", "-c", WORK))  # noqa: S603 -- ours
            leaving.enter_context(process)
            leaving.callback(process.kill)
        yield
