"""Liveness of a connection to a broker, and the pause before the next attempt. Times in seconds.

A library that believes in a connection is no evidence: on a dead link the kernel accepts data to send for
many minutes. Evidence is an acknowledgement of something that was sent on this connection.
"""

# Time without an acknowledgement after which one is requested.
ASK_AFTER_S = 30.0
# Longest wait for an acknowledgement.
ANSWER_WITHIN_S = 20.0
# Duration of a connection that resets the back-off.
STABLE_S = 60.0
FIRST_PAUSE_S = 1.0
LAST_PAUSE_S = 60.0
# Without a bound the power would overflow after hours without a broker.
_MOST_DOUBLINGS = 10


class Liveness:
    """Acknowledgements of the broker on one connection; ``lost`` is final."""

    def __init__(self, now: float) -> None:
        self.lost = False
        self._acknowledged = now

    def acknowledged(self, now: float) -> None:
        """Note an acknowledgement."""
        self._acknowledged = max(self._acknowledged, now)

    def unanswered(self, asked: float) -> None:
        """Note that a request of ``asked`` got no answer in time."""
        # An acknowledgement of something later shows that the link is alive.
        if self._acknowledged < asked:
            self.lost = True

    def due_in(self, now: float) -> float:
        """Seconds until an acknowledgement is to be requested; 0 for at once."""
        return max(0.0, self._acknowledged + ASK_AFTER_S - now)


class Backoff:
    """Pauses between attempts: they double up to a minute, until a connection was stable."""

    def __init__(self) -> None:
        self._failures = 0

    def ended(self, lasted_s: float) -> None:
        """Note the end of an attempt, ``lasted_s`` after it was connected, 0 if it never was."""
        self._failures = 0 if lasted_s > STABLE_S else self._failures + 1

    @property
    def longest_s(self) -> float:
        """Upper bound of the random pause (full jitter: 6,000 agents must not reconnect at once)."""
        return min(LAST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, _MOST_DOUBLINGS))
