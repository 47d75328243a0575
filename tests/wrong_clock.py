"""Wrong wall clock for a single program, by a shim that the test builds; the machine's clock stays."""

import mmap
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("wrong_clock.c")
YEAR_S = 365.25 * 86400


class WrongClock:
    """Clock of a program started with ``variables``; ``set_to`` may be called while it runs."""

    def __init__(self, folder: Path) -> None:
        library, shared = folder / "wrong_clock.so", folder / "wrong_clock"
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        shared.write_bytes(bytes(16))
        with shared.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), 16)
        self.variables = [f"LD_PRELOAD={library}", f"WRONG_CLOCK={shared}"]

    def set_to(self, offset_s: float, *, synchronised: bool = False) -> None:
        """Set the wall clock to the machine's plus ``offset_s``."""
        self._shared[:] = struct.pack("qq", round(offset_s * 1e9), synchronised)
