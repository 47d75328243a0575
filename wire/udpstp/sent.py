"""What a sender did from one Status PDU to the next: the other side of what its receiver told."""

from wire.udpstp.load import SentInterval

MOST_INTERVALS = 20 * 3600


class SentSeries:
    """Begins with the first packet; times are ns of one clock, bytes are totals at the IP layer."""

    def __init__(self) -> None:
        self._begin: int | None = None
        self._last = self._last_bytes = 0
        self._intervals: list[SentInterval] = []

    def mark(self, first_sent: int, now: int, ip_bytes: int, told_bps: float) -> None:
        """A Status arrived at ``now``; up to it the sender was to send at ``told_bps``."""
        if self._begin is None:
            self._begin = self._last = first_sent
        if now <= self._last or len(self._intervals) >= MOST_INTERVALS:
            return
        self._intervals.append(
            SentInterval(
                offset_us=(self._last - self._begin) // 1000,
                duration_us=(now - self._last) // 1000,
                told_bps=told_bps,
                ip_bytes=ip_bytes - self._last_bytes,
            )
        )
        self._last, self._last_bytes = now, ip_bytes

    def intervals(self) -> tuple[SentInterval, ...]:
        """The series so far."""
        return tuple(self._intervals)
