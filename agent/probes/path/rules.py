"""Whether the way to the peer has changed, told by the trains of one class: time for a new trace.

A core without clock: one train after the other comes in, a sentence comes out where they stay different.
"""

from collections import deque

SHIFT_US = 5_000
SHIFT_RATIO = 0.2
"""A median round-trip time has shifted when it is off its level by more than both: 5 ms, and 20 %."""

LOSS_RATIO = 0.01
IN_A_ROW = 3
LEVEL_TRAINS = 15
"""The level is the median of so many trains; with fewer than IN_A_ROW there is none."""

QUIET_US = 3_600_000_000
"""After a change the next one is told when an hour is over: a line that flaps is traced once an hour."""


class ChangeDetector:
    """Takes the trains of one class. Times are microseconds, ``now`` of CLOCK_BOOTTIME."""

    def __init__(self) -> None:
        self._level: deque[int] = deque(maxlen=LEVEL_TRAINS)
        self._shifted: list[int] = []
        self._losses: deque[bool] = deque(maxlen=IN_A_ROW)
        self._lossy: bool | None = None
        self._told_us: int | None = None
        self._untold = ""

    def take(self, rtt_us: int | None, loss_ratio: float, now_us: int) -> str | None:
        """One train: its median round-trip time, None if nothing came back, and its loss.

        Returns what has changed, once it was so for three trains in a row, and at most once an hour.
        """
        found = [self._take_loss(loss_ratio), None if rtt_us is None else self._take_rtt(rtt_us)]
        told = ", ".join(part for part in found if part) or self._untold
        if not told:
            return None
        if self._told_us is not None and now_us - self._told_us < QUIET_US:
            self._untold = told
            return None
        self._told_us, self._untold = now_us, ""
        return told

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
        self._level = deque(self._shifted, maxlen=LEVEL_TRAINS)
        self._shifted.clear()
        return f"round-trip time went from {level / 1000:.1f} to {_median(self._level) / 1000:.1f} ms"

    def _is_shifted(self, rtt_us: int, level: int) -> bool:
        """Off its level, and to the same side as the trains before: jitter goes to both."""
        if abs(rtt_us - level) <= max(SHIFT_US, SHIFT_RATIO * level):
            return False
        if self._shifted and (self._shifted[-1] > level) != (rtt_us > level):
            self._shifted.clear()
        return True

    def _take_loss(self, loss_ratio: float) -> str | None:
        """Loss is news only where there was none for as long before."""
        self._losses.append(loss_ratio > LOSS_RATIO)
        if len(set(self._losses)) != 1 or len(self._losses) < IN_A_ROW or self._losses[0] is self._lossy:
            return None
        before, self._lossy = self._lossy, self._losses[0]
        is_news = self._lossy and before is False
        return f"loss went from below {LOSS_RATIO:.0%} to {loss_ratio:.0%}" if is_news else None


def _median(values: deque[int]) -> int:
    return sorted(values)[len(values) // 2]
