"""Time of the peer's newest authentic reply in this program: it replaces a poll of the peer."""

from collections.abc import Callable

from wire.records import ClockReading


class PeerLastSeen:
    """Clock reading at the newest authentic reply of the peer; None before the first."""

    def __init__(self, clock: Callable[[], ClockReading]) -> None:
        self.newest: ClockReading | None = None
        self._clock = clock

    def record_answer(self) -> None:
        """Record that the peer has just answered."""
        self.newest = self._clock()
