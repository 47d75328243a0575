"""Memory and processor time of a process, sampled from outside, by its activity.

MB are 10^6 bytes. Times are microseconds of CLOCK_BOOTTIME, as in the agent's records: its measurements can
be laid over the samples.
"""

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

KIB = 1024
# A record is committed and queued after its measurement has ended: that work belongs to the measurement too.
AFTERMATH_US = 500_000


class Activity(StrEnum):
    """Activity of the agent during a sample, the heaviest first."""

    SEARCH = "capacity search"
    FLOOR = "floor test"
    TRACE = "path trace"
    TRAIN = "STAMP train"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Resident and proportional set size in bytes; PSS divides shared pages among processes.

    ``anonymous`` is heap and the like. Pages of files are not in it; they come and go.
    """

    resident: int
    proportional: int
    anonymous: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory of a process at one time, and the processor time it has used so far."""

    at_us: int
    weight: MemoryUse
    cpu_ns: int


@dataclass(frozen=True, slots=True)
class ActivitySpan:
    """Time of a measurement, from ``begin_us`` to ``end_us``."""

    begin_us: int
    end_us: int
    activity: Activity
    name: str


@dataclass(slots=True)
class CpuUse:
    """Processor time used in one kind of samples, and the time that these cover."""

    cpu_s: float = 0.0
    lasted_s: float = 0.0

    @property
    def share(self) -> float:
        """Share of one core."""
        return self.cpu_s / self.lasted_s if self.lasted_s else 0.0


def sample(pid: int) -> Sample:
    """Sample a process now. Raises OSError when it has ended."""
    return Sample(boot_us(), memory_use(pid), time.clock_gettime_ns(_cpu_clock(pid)))


def memory_use(pid: int) -> MemoryUse:
    """Return the memory of a process now. Raises OSError when it has ended."""
    fields = _kilobytes(Path(f"/proc/{pid}/smaps_rollup"))
    return MemoryUse(fields["Rss"] * KIB, fields["Pss"] * KIB, fields["Anonymous"] * KIB)


def peak_resident(pid: int) -> int:
    """Return the largest resident set size that the process ever had, in bytes."""
    return _kilobytes(Path(f"/proc/{pid}/status"))["VmHWM"] * KIB


def boot_us() -> int:
    """Return CLOCK_BOOTTIME in microseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def cpu_use(samples: Sequence[Sample], spans: Sequence[ActivitySpan]) -> dict[Activity, CpuUse]:
    """Return processor time by activity; a sample counts to the heaviest activity that it touches."""
    found = {activity: CpuUse() for activity in Activity}
    for earlier, later in itertools.pairwise(samples):
        kind = found[_activity(earlier.at_us, later.at_us, spans)]
        kind.cpu_s += (later.cpu_ns - earlier.cpu_ns) / 1e9
        kind.lasted_s += (later.at_us - earlier.at_us) / 1e6
    return found


def before(samples: Sequence[Sample], at_us: int) -> Sample | None:
    """Return the last sample taken before ``at_us``."""
    return next((one for one in reversed(samples) if one.at_us < at_us), None)


def after(samples: Iterable[Sample], at_us: int) -> Sample | None:
    """Return the first sample taken at ``at_us`` or later."""
    return next((one for one in samples if one.at_us >= at_us), None)


def _activity(begin_us: int, end_us: int, spans: Sequence[ActivitySpan]) -> Activity:
    touched = {
        span.activity for span in spans if span.begin_us < end_us and begin_us < span.end_us + AFTERMATH_US
    }
    return next((activity for activity in Activity if activity in touched), Activity.IDLE)


def _cpu_clock(pid: int) -> int:
    """Return the clock of another process's processor time, ended threads included (clock(3))."""
    return ~pid << 3 | 2


def _kilobytes(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {parts[0].rstrip(":"): int(parts[1]) for parts in lines if parts[-1] == "kB"}
