"""The bytes that a test may cost the client's line: when to end it so that they are not exceeded."""

from collections import deque
from collections.abc import Callable

EVERY_NS = 20_000_000
AHEAD_NS = 150_000_000
"""A stop takes effect a round trip later, what stands in the line's queue comes as well, and so much more."""

WINDOW_NS = 100_000_000
"""What a search climbs by in so long is at most a doubling (C), or twice ``high_speed_delta`` rows (B)."""

_STEEPEST_BPS = 20e6
_MARKS = 2 * WINDOW_NS // EVERY_NS + 1


def _nothing() -> tuple[int, int]:
    return 0, 0


class ByteLimit:
    """Watches the bytes of a test, both directions together.

    ``highest_bps`` is what the search may climb to; ``doubles`` says that it does so by algorithm C.
    """

    def __init__(
        self, limit: int | None, *, highest_bps: float = float("inf"), doubles: bool = False
    ) -> None:
        self.reached = False
        self._limit = limit
        self._highest, self._steepest = highest_bps / 8e9, _STEEPEST_BPS / 8e9
        self._doubles = doubles
        self._marks: deque[tuple[int, int]] = deque(maxlen=_MARKS)

    def spend(self, total: int, now: int, under_way: Callable[[], tuple[int, int]] = _nothing) -> bool:
        """Whether the test has to end now, at ``total`` bytes so far: told once.

        ``under_way`` gives the round trip that a stop takes, and what the queue adds to it, in ns. What comes
        in that time and 150 ms more counts as spent; during the round trip it climbs on as it did lately.
        """
        if self._limit is None or self.reached:
            return False
        if total < self._limit:
            if self._marks and now - self._marks[-1][0] < EVERY_NS:
                return False
            ahead = self._ahead(total, now, *under_way())
            self._marks.append((now, total))
            total += round(ahead)
        self.reached = total >= self._limit
        return self.reached

    def _ahead(self, total: int, now: int, round_trip_ns: int, queue_ns: int) -> float:
        """Bytes until a stop has taken effect, one window after the other."""
        rate, before = self._rates(total, now)
        climb = min(max(rate - before, 0.0), self._steepest)
        growth = min(max(rate / before, 1.0), 2.0) if before else 2.0
        # A rate is that of the middle of its window.
        climbing, left, ahead = round_trip_ns + WINDOW_NS // 2, round_trip_ns + queue_ns + AHEAD_NS, 0.0
        while left > 0:
            part = min(max(climbing, 0), WINDOW_NS) / WINDOW_NS
            climbed = rate * growth**part if self._doubles else rate + climb * part
            rate = max(min(climbed, self._highest), rate)
            ahead += rate * min(left, WINDOW_NS)
            climbing, left = climbing - WINDOW_NS, left - WINDOW_NS
        return ahead

    def _rates(self, total: int, now: int) -> tuple[float, float]:
        """Bytes per ns in the last window and in the one before it; 0 where nothing was marked yet."""
        middle = self._mark_before(now - WINDOW_NS)
        first = self._mark_before(now - 2 * WINDOW_NS)
        if middle is None or first is None:
            return 0.0, 0.0
        rate = (total - middle[1]) / max(now - middle[0], 1)
        return rate, (middle[1] - first[1]) / (middle[0] - first[0]) if middle[0] > first[0] else rate

    def _mark_before(self, moment: int) -> tuple[int, int] | None:
        """The newest mark as old as ``moment``, or the oldest of all."""
        older = [mark for mark in self._marks if mark[0] <= moment]
        return older[-1] if older else self._marks[0] if self._marks else None
