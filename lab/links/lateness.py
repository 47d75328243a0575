"""Lateness with which a link released its packets: the emulator's own error, kept in bounded memory."""

BUCKET_NS = 5_000
BUCKETS = 20_000


class Lateness:
    """Histogram of delays past a deadline, 5 us fine up to 100 ms; what is later counts as 100 ms."""

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self.count = 0
        self.largest = 0

    def add(self, late: int) -> None:
        """Record one release `late` ns after its time."""
        self._counts[min(max(late, 0) // BUCKET_NS, BUCKETS - 1)] += 1
        self.count += 1
        self.largest = max(self.largest, late)

    def quantile(self, share: float) -> int | None:
        """Return the upper edge (ns) of the bucket that completes this share of all, None without any."""
        needed = share * self.count
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= needed:
                return (index + 1) * BUCKET_NS
        return None
