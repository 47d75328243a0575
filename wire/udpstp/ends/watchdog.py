"""Watchdog of either end of a test (RFC 9946 §6.1), and the tempo that an end asks of its shell."""

from enum import Enum

_MS = 1_000_000
WARNING_NS = 1_000 * _MS
"""Silence after which rxStopped is sent (§6.1)."""

TERMINATION_NS = 3_000 * _MS
"""Silence that ends the test: the warning and 2 s more (§6.1)."""


class Tempo(Enum):
    """Demand of a core on the promptness of the shell that runs it."""

    ANSWER = 1
    """Read received packets at once."""
    SEND = 2
    """Send at the deadlines; received packets may wait a little."""
    RECEIVE = 3
    """Read all received packets before one is sent at a deadline; between deadlines nothing is urgent."""


class Watchdog:
    """Time since the last valid PDU of the other end."""

    def __init__(self, now: int) -> None:
        self._last_pdu = now

    def feed(self, now: int) -> None:
        """Note a valid PDU."""
        self._last_pdu = max(self._last_pdu, now)

    def receive_stopped(self, now: int) -> int:
        """Value of rxStopped to send (§8.1)."""
        return int(now - self._last_pdu >= WARNING_NS)

    @property
    def deadline(self) -> int:
        """Time at which silence ends the test."""
        return self._last_pdu + TERMINATION_NS
