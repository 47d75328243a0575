"""Byte limit of a test: the time to end it, early enough that the client's line carries no more bytes.

A stop takes effect a round trip and a queue later. The bytes of that time are predicted from the present
rate. During the round trip the rate climbs on as it did in the last 0.1 s.
"""

from collections import deque
from collections.abc import Callable

EVERY_NS = 20_000_000
"""Time between two predictions, two or three in a trial interval."""

AHEAD_NS = 150_000_000
"""Reserve beyond the round trip and the queue that delay the effect of a stop."""

WINDOW_NS = 100_000_000
"""Two trial intervals: a search then climbs by one doubling (C) or by two fast steps of rows (B) at most."""

# Two fast steps of 10 rows, 1 Mbit/s each.
_STEEPEST_BPS = 20e6
_MARKS = 2 * WINDOW_NS // EVERY_NS + 1


def _nothing() -> tuple[int, int]:
    return 0, 0


class ByteLimit:
    """Limit on the bytes of a test, both directions together; None for no limit.

    ``highest_bps`` bounds the search, ``doubles`` is true for algorithm C.
    """

    def __init__(
        self, limit: int | None, *, highest_bps: float = float("inf"), doubles: bool = False
    ) -> None:
        self.reached = False
        self._limit = limit
        self._highest, self._steepest = highest_bps / 8e9, _STEEPEST_BPS / 8e9
        self._doubles = doubles
        self._marks: deque[tuple[int, int]] = deque(maxlen=_MARKS)

    def spend(self, total: int, now: int, stop_delay: Callable[[], tuple[int, int]] = _nothing) -> bool:
        """Return True, once, if the test has to end now, at ``total`` bytes so far.

        ``stop_delay`` gives the round trip that a stop takes and the delay of the queue, in ns. Bytes of that
        time and of 150 ms more count as spent. During the round trip the rate climbs on.
        """
        if self._limit is None or self.reached:
            return False
        if total < self._limit:
            # Not for each packet: the rate is measured over 0.1 s, and changes once a trial interval at most.
            if self._marks and now - self._marks[-1][0] < EVERY_NS:
                return False
            ahead = self._ahead(total, now, *stop_delay())
            self._marks.append((now, total))
            total += round(ahead)
        self.reached = total >= self._limit
        return self.reached

    def _ahead(self, total: int, now: int, round_trip_ns: int, queue_ns: int) -> float:
        """Bytes until a stop takes effect, summed window by window."""
        rate, before = self._rates(total, now)
        climb = min(max(rate - before, 0.0), self._steepest)
        # Algorithm C doubles once in two trial intervals at most; without a mark before, the worst is
        # assumed.
        growth = min(max(rate / before, 1.0), 2.0) if before else 2.0
        # The measured rate is that of the middle of its window: the climb since then counts, too.
        climbing, left, ahead = round_trip_ns + WINDOW_NS // 2, round_trip_ns + queue_ns + AHEAD_NS, 0.0
        while left > 0:
            part = min(max(climbing, 0), WINDOW_NS) / WINDOW_NS
            climbed = rate * growth**part if self._doubles else rate + climb * part
            rate = max(min(climbed, self._highest), rate)
            ahead += rate * min(left, WINDOW_NS)
            climbing, left = climbing - WINDOW_NS, left - WINDOW_NS
        return ahead

    def _rates(self, total: int, now: int) -> tuple[float, float]:
        """Bytes per ns in the last window and in the one before it; 0 before the first mark."""
        middle = self._mark_before(now - WINDOW_NS)
        first = self._mark_before(now - 2 * WINDOW_NS)
        if middle is None or first is None:
            return 0.0, 0.0
        rate = (total - middle[1]) / max(now - middle[0], 1)
        return rate, (middle[1] - first[1]) / (middle[0] - first[0]) if middle[0] > first[0] else rate

    def _mark_before(self, moment: int) -> tuple[int, int] | None:
        """Newest mark as old as ``moment``, or else the oldest."""
        older = [mark for mark in self._marks if mark[0] <= moment]
        return older[-1] if older else self._marks[0] if self._marks else None
