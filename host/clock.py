"""Clocks of the machine, and the synchronisation state of its wall clock (adjtimex(2))."""

import ctypes
import time
from pathlib import Path

from wire.records import ClockReading

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# adjtimex(2): the clock is not synchronised.
_TIME_ERROR = 5
_STA_UNSYNC = 0x0040
_READINGS = 5
_TOGETHER_NS = 100_000


def second_of_week(wall_us: int) -> int:
    """Compute the second of the local week (Monday 00:00 is 0) in this machine's time zone."""
    local = time.localtime(wall_us // 1_000_000)
    return ((local.tm_wday * 24 + local.tm_hour) * 60 + local.tm_min) * 60 + min(local.tm_sec, 59)


def _one_moment() -> tuple[int, int]:
    """Read wall clock and CLOCK_BOOTTIME together, in nanoseconds."""
    # The closest pair of a few readings: a delay of the thread between two clocks would look like a clock
    # step.
    nearest, found = 1 << 62, (0, 0)
    for _ in range(_READINGS):
        before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        wall = time.time_ns()
        after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if after - before < nearest:
            nearest, found = after - before, (wall, (before + after) // 2)
        if nearest <= _TOGETHER_NS:
            break
    return found


class _Timex(ctypes.Structure):
    """Part of struct timex of <sys/timex.h> that is read here, padded to more than its size."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


class Clock:
    """Reader of wall clock, CLOCK_BOOTTIME and synchronisation state; it never sets a clock."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.boot_id = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "unknown"

    def read(self) -> ClockReading:
        """Read all clocks at one moment, in integer microseconds."""
        synchronised, max_error_us = self._synchronisation()
        wall_ns, boot_ns = _one_moment()
        return ClockReading(
            wall_us=wall_ns // 1000,
            boot_us=boot_ns // 1000,
            boot_id=self.boot_id,
            synchronised=synchronised,
            max_error_us=max_error_us,
        )

    def _synchronisation(self) -> tuple[bool, int | None]:
        timex = _Timex()
        state: int = self._libc.adjtimex(ctypes.byref(timex))
        if state < 0:
            return False, None
        synchronised = state != _TIME_ERROR and not timex.status & _STA_UNSYNC
        return synchronised, timex.maxerror if synchronised and timex.maxerror >= 0 else None
