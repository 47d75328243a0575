"""How busy this machine is (proc_stat(5), getloadavg(3)): two readings, and what lies between them."""

import os
from pathlib import Path

from wire.records import HostLoad

_STAT = Path("/proc/stat")
_MOST_DIGITS = 20  # of 64 bits
_IDLE = (3, 4)  # proc_stat(5): idle and iowait


def read() -> tuple[int, int] | None:
    """Busy and all time of all cores since boot, in ticks; None where the kernel does not tell."""
    try:
        with _STAT.open("rb") as file:
            return parse(file.readline())
    except OSError:
        return None


def parse(line: bytes) -> tuple[int, int] | None:
    """The first line of /proc/stat. Guest time is part of user time already and is not added again."""
    name, *fields = line.split() or [b""]
    if name != b"cpu" or len(fields) < 5 or not all(_is_count(field) for field in fields):
        return None
    ticks = [int(field) for field in fields[:8]]
    idle = sum(ticks[index] for index in _IDLE)
    return sum(ticks) - idle, sum(ticks)


def _is_count(field: bytes) -> bool:
    return field.isdigit() and len(field) <= _MOST_DIGITS


def between(before: tuple[int, int] | None, after: tuple[int, int] | None) -> HostLoad:
    """The share of all cores that was busy from one reading to the next, and the load average now.

    The share is absent where too little time passed, or where a counter went back, which iowait may.
    """
    busy_ratio = None
    if before and after and after[1] > before[1] and before[0] <= after[0]:
        busy_ratio = min(1.0, (after[0] - before[0]) / (after[1] - before[1]))
    try:
        load_1min = round(os.getloadavg()[0], 2)
    except OSError:
        load_1min = None
    return HostLoad(busy_ratio=busy_ratio, load_1min=load_1min)
