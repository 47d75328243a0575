"""Load of this machine between two readings (proc_stat(5), getloadavg(3))."""

import os
from pathlib import Path

from wire.records import HostLoad

_STAT = Path("/proc/stat")
# Digits of a 64-bit number.
_MOST_DIGITS = 20
# Columns idle and iowait of proc_stat(5).
_IDLE = (3, 4)


def read() -> tuple[int, int] | None:
    """Read busy and total time of all cores since boot, in ticks; None where the kernel gives none."""
    try:
        with _STAT.open("rb") as file:
            return parse(file.readline())
    except OSError:
        return None


def parse(line: bytes) -> tuple[int, int] | None:
    """Parse the first line of /proc/stat."""
    name, *fields = line.split() or [b""]
    if name != b"cpu" or len(fields) < 5 or not all(_is_count(field) for field in fields):
        return None
    # The columns behind the eighth are guest time, which is part of user time.
    ticks = [int(field) for field in fields[:8]]
    idle = sum(ticks[index] for index in _IDLE)
    return sum(ticks) - idle, sum(ticks)


def _is_count(field: bytes) -> bool:
    return field.isdigit() and len(field) <= _MOST_DIGITS


def between(before: tuple[int, int] | None, after: tuple[int, int] | None) -> HostLoad:
    """Compute the busy share of all cores between two readings, and read the load average."""
    busy_ratio = None
    # No share where too little time has passed, or where a counter decreased, as iowait may.
    if before and after and after[1] > before[1] and before[0] <= after[0]:
        busy_ratio = min(1.0, (after[0] - before[0]) / (after[1] - before[1]))
    try:
        load_1min = round(os.getloadavg()[0], 2)
    except OSError:
        load_1min = None
    return HostLoad(busy_ratio=busy_ratio, load_1min=load_1min)
