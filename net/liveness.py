"""Whether a connection to a broker is alive, and how long to wait before the next. Times in seconds.

That a library believes in a connection is no evidence: behind a link that forgot it, a kernel goes on taking
what is sent for many minutes. Evidence is an acknowledgement of something that was sent on it.
"""

ASK_AFTER_S = 30.0
"""Without an acknowledgement for so long, the broker is asked for one."""
ANSWER_WITHIN_S = 20.0
"""An acknowledgement that takes longer does not come."""
STABLE_S = 60.0
"""A connection that lasted this long resets the back-off."""
FIRST_PAUSE_S = 1.0
LAST_PAUSE_S = 60.0
_MOST_DOUBLINGS = 10  # unbounded, the power would overflow after hours without a broker


class Liveness:
    """What the broker acknowledged on one connection. ``lost`` once it failed to do so, for good."""

    def __init__(self, now: float) -> None:
        self.lost = False
        self._acknowledged = now

    def acknowledged(self, now: float) -> None:
        """The broker answered what was sent to it."""
        self._acknowledged = max(self._acknowledged, now)

    def unanswered(self, asked: float) -> None:
        """What was sent at ``asked`` got no answer in time; that of something later shows the link alive."""
        if self._acknowledged < asked:
            self.lost = True

    def due_in(self, now: float) -> float:
        """In how many seconds the broker is to be asked; 0 for at once."""
        return max(0.0, self._acknowledged + ASK_AFTER_S - now)


class Backoff:
    """Pauses between attempts: they double up to a minute until a connection proved stable."""

    def __init__(self) -> None:
        self._failures = 0

    def ended(self, lasted_s: float) -> None:
        """An attempt has ended: ``lasted_s`` after it was connected, 0 if it never was."""
        self._failures = 0 if lasted_s > STABLE_S else self._failures + 1

    @property
    def longest_s(self) -> float:
        """The pause is drawn between 0 and this (full jitter), so that 6,000 do not come at once."""
        return min(LAST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, _MOST_DOUBLINGS))
