"""A program whose wall clock is wrong, without touching the machine's: a shim that the test builds."""

import mmap
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("wrong_clock.c")
YEAR_S = 365.25 * 86400


class WrongClock:
    """The clock of a program that is started with ``variables``; ``set_to`` may be called meanwhile."""

    def __init__(self, folder: Path) -> None:
        library, told = folder / "wrong_clock.so", folder / "wrong_clock"
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        told.write_bytes(bytes(16))
        with told.open("r+b") as opened:
            self._told = mmap.mmap(opened.fileno(), 16)
        self.variables = [f"LD_PRELOAD={library}", f"WRONG_CLOCK={told}"]

    def set_to(self, offset_s: float, *, synchronised: bool = False) -> None:
        """Let the wall clock be the machine's and ``offset_s``."""
        self._told[:] = struct.pack("qq", round(offset_s * 1e9), synchronised)
