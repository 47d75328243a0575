"""Detector of changes of the path, by the STAMP trains of one class: a change is a reason for a new trace.
Pure.

The level is the median round-trip time of the newest trains. A change is a round-trip time off its level, to
the same side, or loss where there was none, in three trains in a row. One change an hour is reported; a later
one within the hour is reported at its end.
"""

from collections import deque

SHIFT_US = 5_000
# Distance of a shifted median round-trip time from its level: more than both 5 ms and 20 %.
SHIFT_RATIO = 0.2

LOSS_RATIO = 0.01
IN_A_ROW = 3
# Number of trains whose median is the level; with fewer than ``IN_A_ROW`` there is none.
LEVEL_TRAINS = 15

# Time between two reported changes: a line that flaps is traced once an hour.
QUIET_US = 3_600_000_000


class ChangeDetector:
    """Detector for the trains of one class. Times are microseconds, ``now_us`` of CLOCK_BOOTTIME."""

    def __init__(self) -> None:
        self._level: deque[int] = deque(maxlen=LEVEL_TRAINS)
        self._shifted: list[int] = []
        self._losses: deque[bool] = deque(maxlen=IN_A_ROW)
        self._lossy: bool | None = None
        self._reported_us: int | None = None
        self._pending = ""

    def take(self, rtt_us: int | None, loss_ratio: float, now_us: int) -> str | None:
        """Take a train: its median round-trip time, None without any reply, and its loss.

        Returns a sentence about the change, if there is one to report.
        """
        found = [self._take_loss(loss_ratio), None if rtt_us is None else self._take_rtt(rtt_us)]
        change = ", ".join(part for part in found if part) or self._pending
        if not change:
            return None
        if self._reported_us is not None and now_us - self._reported_us < QUIET_US:
            self._pending = change
            return None
        self._reported_us, self._pending = now_us, ""
        return change

    def _take_rtt(self, rtt_us: int) -> str | None:
        if len(self._level) < IN_A_ROW:
            self._level.append(rtt_us)
            return None
        level = _median(self._level)
        if not self._is_shifted(rtt_us, level):
            self._shifted.clear()
            self._level.append(rtt_us)
            return None
        self._shifted.append(rtt_us)
        if len(self._shifted) < IN_A_ROW:
            return None
        # The new round-trip time is the level from now on: the same change is not reported twice.
        self._level = deque(self._shifted, maxlen=LEVEL_TRAINS)
        self._shifted.clear()
        return f"round-trip time went from {level / 1000:.1f} to {_median(self._level) / 1000:.1f} ms"

    def _is_shifted(self, rtt_us: int, level: int) -> bool:
        """True if a train is off its level; a change of side starts the row again, as jitter goes to both."""
        if abs(rtt_us - level) <= max(SHIFT_US, SHIFT_RATIO * level):
            return False
        if self._shifted and (self._shifted[-1] > level) != (rtt_us > level):
            self._shifted.clear()
        return True

    def _take_loss(self, loss_ratio: float) -> str | None:
        # Loss is a change only after as many trains without loss.
        self._losses.append(loss_ratio > LOSS_RATIO)
        if len(set(self._losses)) != 1 or len(self._losses) < IN_A_ROW or self._losses[0] is self._lossy:
            return None
        before, self._lossy = self._lossy, self._losses[0]
        is_news = self._lossy and before is False
        return f"loss went from below {LOSS_RATIO:.0%} to {loss_ratio:.0%}" if is_news else None


def _median(values: deque[int]) -> int:
    return sorted(values)[len(values) // 2]
