"""The bytes that a test may cost the client's line: when to end it so that they are not exceeded."""

EVERY_NS = 20_000_000
AHEAD_NS = 150_000_000
"""A stop takes effect this much later: a round trip, and what stands in the line's queue meanwhile."""


class ByteLimit:
    """Watches the bytes of a test, both directions together."""

    def __init__(self, limit: int | None) -> None:
        self.reached = False
        self._limit = limit
        self._last_ns = self._last_bytes = 0

    def spend(self, total: int, now: int) -> bool:
        """Whether the test has to end now, at ``total`` bytes so far: told once.

        What comes in the next 150 ms, at the rate of the last look and the climb that it may make meanwhile,
        counts as spent.
        """
        if self._limit is None or self.reached:
            return False
        elapsed = now - self._last_ns
        if total < self._limit and elapsed < EVERY_NS:
            return False
        ahead = (total - self._last_bytes) * AHEAD_NS // elapsed if self._last_ns else 0
        self._last_ns, self._last_bytes = now, total
        self.reached = total + ahead >= self._limit
        return self.reached
