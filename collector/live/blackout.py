"""Blackouts: periods in which the collector itself received nothing. Pure; times are Unix microseconds.

During a blackout, a site whose measurements do not arrive is not silent: nobody could hear it. The collector
has a blackout while it is not running, has no broker, has no working ledger, or refuses messages for want of
room.

A measurement of a site is *due* at a time that its schedules give. It counts as absent at its *deadline*:

| due                                      | deadline                                     |
|------------------------------------------|----------------------------------------------|
| before or at the beginning of a blackout | as due: the collector could have received it |
| in a blackout that has ended             | end of the blackout plus the grace period    |
| in the grace period after a blackout     | end of the blackout plus the grace period    |
| after the grace period                   | as due                                       |
| in a blackout that lasts                 | unknown (None)                               |

A deadline that an earlier blackout postpones into a later one is postponed again by that one.

| state | event               | next state | recorded                                                      |
|-------|---------------------|------------|---------------------------------------------------------------|
| clear | ``begin(since_us)`` | blackout   | beginning; blackouts that began at or after it are merged in  |
| clear | ``end``             | clear      | nothing                                                       |
| blackout | ``begin``        | blackout   | nothing: the earlier beginning is right                       |
| blackout | ``end(now_us)``  | clear      | end, never before its beginning                               |

What must never happen: a blackout makes a site silent, or a site that was silent before stops being so.
"""

# An agent notices a dead connection within 90 s, reconnects within 60 s and sends within another 60 s. The
# collector's own back-off is the rest (decision 24).
GRACE_US = 300_000_000
MAX_BLACKOUTS = 64  # a broker that fails every minute must not fill the memory


class Blackouts:
    """Blackouts of this collector, oldest first; the last one may still last."""

    def __init__(self) -> None:
        self._periods: list[tuple[int, int | None]] = []

    @property
    def is_open(self) -> bool:
        """True during a blackout."""
        return bool(self._periods) and self._periods[-1][1] is None

    def begin(self, since_us: int) -> None:
        """Begin a blackout at ``since_us``, after which nothing was received for certain."""
        if self.is_open:
            return
        while self._periods and self._periods[-1][0] >= since_us:
            self._periods.pop()  # connected for a moment and received nothing: still the same blackout
        self._periods.append((since_us, None))
        del self._periods[:-MAX_BLACKOUTS]

    def end(self, now_us: int) -> None:
        """End the blackout: from now on, messages of sites reach the ledger."""
        if self.is_open:
            begin_us, _ = self._periods[-1]
            self._periods[-1] = (begin_us, max(begin_us, now_us))

    def shift(self, by_us: int) -> None:
        """Shift all periods: the collector's own clock was wrong by ``-by_us``."""
        self._periods = [
            (begin_us + by_us, None if end_us is None else end_us + by_us)
            for begin_us, end_us in self._periods
        ]

    def deadline_us(self, due_us: int) -> int | None:
        """Time at which a measurement due at ``due_us`` counts as absent; None while that is unknown."""
        for begin_us, end_us in self._periods:
            if due_us <= begin_us:
                break
            if end_us is None:
                return None
            due_us = max(due_us, end_us + GRACE_US)
        return due_us
