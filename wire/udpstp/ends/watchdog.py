"""Watchdog and tempo of either end of a test."""

from enum import Enum

_MS = 1_000_000
WARNING_NS = 1_000 * _MS
TERMINATION_NS = 3_000 * _MS
"""The watchdog of §6.1: a warning after 1 s of silence, the end 2 s later."""


class Tempo(Enum):
    """What the shell that runs a core has to be prompt at."""

    ANSWER = 1
    """Reading what comes."""
    SEND = 2
    """Sending at the deadlines; what comes may wait a little."""
    RECEIVE = 3
    """Reading all that has come before it sends at a deadline; nothing in between is urgent."""


class Watchdog:
    """When the other end was last heard of."""

    def __init__(self, now: int) -> None:
        self._heard = now

    def feed(self, now: int) -> None:
        """A valid PDU came."""
        self._heard = max(self._heard, now)

    def receive_stopped(self, now: int) -> int:
        """The value of rxStopped to send (§8.1)."""
        return int(now - self._heard >= WARNING_NS)

    @property
    def deadline(self) -> int:
        """When silence ends the test."""
        return self._heard + TERMINATION_NS
