"""When the peer was last heard by this program: a train's replies save asking it for a sign of life."""

from collections.abc import Callable

from wire.records import ClockReading


class Hearing:
    """``newest``: the newest authentic reply, None before the first."""

    def __init__(self, clock: Callable[[], ClockReading]) -> None:
        self.newest: ClockReading | None = None
        self._clock = clock

    def heard(self) -> None:
        """The peer has just answered."""
        self.newest = self._clock()
