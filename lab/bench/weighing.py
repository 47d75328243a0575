"""What a process weighs and works, sampled from outside, and what it was doing meanwhile.

MB are 10^6 bytes. Times are microseconds of CLOCK_BOOTTIME, the clock of the agent's own records, so that
its measurements can be laid over the samples.
"""

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

KIB = 1024
# A measurement is over before its record is committed and queued for sending: that work belongs to it, too.
AFTERMATH_US = 500_000


class Doing(StrEnum):
    """What the agent was doing during a sample, the heaviest first."""

    SEARCH = "capacity search"
    FLOOR = "floor test"
    TRACE = "path trace"
    TRAIN = "STAMP train"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Weight:
    """Resident and proportional set size in bytes: the second shares out what processes have in common.

    ``anonymous`` is what the process itself made, heap and the like: pages of files come and go without it.
    """

    resident: int
    proportional: int
    anonymous: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process: when, its weight, and the processor time it has used so far."""

    at_us: int
    weight: Weight
    cpu_ns: int


@dataclass(frozen=True, slots=True)
class Span:
    """A measurement's time, from ``begin_us`` to ``end_us``."""

    begin_us: int
    end_us: int
    doing: Doing
    name: str


@dataclass(slots=True)
class Work:
    """Processor time used in some kind of samples, and the time that they cover."""

    cpu_s: float = 0.0
    lasted_s: float = 0.0

    @property
    def share(self) -> float:
        """Of one core."""
        return self.cpu_s / self.lasted_s if self.lasted_s else 0.0


def sample(pid: int) -> Sample:
    """Look at a process now. Raises OSError when it is gone."""
    return Sample(boot_us(), weigh(pid), time.clock_gettime_ns(_cpu_clock(pid)))


def weigh(pid: int) -> Weight:
    """The process's weight now. Raises OSError when it is gone."""
    fields = _kilobytes(Path(f"/proc/{pid}/smaps_rollup"))
    return Weight(fields["Rss"] * KIB, fields["Pss"] * KIB, fields["Anonymous"] * KIB)


def largest_resident(pid: int) -> int:
    """The largest resident set size that the process ever had, in bytes."""
    return _kilobytes(Path(f"/proc/{pid}/status"))["VmHWM"] * KIB


def boot_us() -> int:
    """Now, on CLOCK_BOOTTIME."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def work(samples: Sequence[Sample], spans: Sequence[Span]) -> dict[Doing, Work]:
    """Processor time by what was going on; a sample counts to the heaviest thing it touches."""
    found = {doing: Work() for doing in Doing}
    for earlier, later in itertools.pairwise(samples):
        kind = found[_doing(earlier.at_us, later.at_us, spans)]
        kind.cpu_s += (later.cpu_ns - earlier.cpu_ns) / 1e9
        kind.lasted_s += (later.at_us - earlier.at_us) / 1e6
    return found


def before(samples: Sequence[Sample], at_us: int) -> Sample | None:
    """The last sample taken before that time."""
    return next((one for one in reversed(samples) if one.at_us < at_us), None)


def after(samples: Iterable[Sample], at_us: int) -> Sample | None:
    """The first sample taken at that time or later."""
    return next((one for one in samples if one.at_us >= at_us), None)


def _doing(begin_us: int, end_us: int, spans: Sequence[Span]) -> Doing:
    touched = {
        span.doing for span in spans if span.begin_us < end_us and begin_us < span.end_us + AFTERMATH_US
    }
    return next((doing for doing in Doing if doing in touched), Doing.IDLE)


def _cpu_clock(pid: int) -> int:
    """The clock of another process's processor time, threads that have ended included (see clock(3))."""
    return ~pid << 3 | 2


def _kilobytes(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {parts[0].rstrip(":"): int(parts[1]) for parts in lines if parts[-1] == "kB"}
