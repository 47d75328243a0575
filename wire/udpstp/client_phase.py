"""Load phase of the client: the part that both directions have in common.

| state | event | next state |
|---|---|---|
| running | the end of the planned duration, a stop by the caller or by the peer | closing |
| running | 3 s without a valid PDU (watchdog) | closing |
| closing | 0.1 s later, or the peer's port is closed | finished |

While closing, PDUs with testAction 2 are sent and late packets of the load are still counted. The first
reason to close is the one that the report gives. Nothing acknowledges a stop (§9), so it is repeated.
"""

from abc import ABC, abstractmethod

from wire.udpstp.ends.watchdog import Tempo, Watchdog
from wire.udpstp.load import Ending, LoadSoFar, Plan

_MS = 1_000_000
NEVER = 1 << 62

# Two trial intervals, in which a stop is sent two to five times.
LINGER_NS = 100 * _MS
"""Time for late packets, and for repeating the stop, after the end of a test."""

BYTES_SPENT = "ended early: its limit of bytes was reached"

# The server counts from the activation, the client from the first packet, which comes up to 50 ms later.
TOLERANCE_NS = 100 * _MS
"""A stop by the peer counts as early only by more than this before the planned end."""


class LoadPhase(ABC):
    """Load phase in one direction; ``ending`` and ``detail`` are its result once ``finished``.

    ``begun`` is False during a lead-in; may be read from another thread.
    """

    tempo: Tempo
    begun = True

    def __init__(self, plan: Plan, duration_ns: int, now: int) -> None:
        self.ending = Ending.COMPLETED
        self.detail = ""
        self.finished = False
        self.duration_ns = duration_ns
        self._plan = plan
        self._watchdog = Watchdog(now)
        self._closing = NEVER

    @property
    @abstractmethod
    def deadline(self) -> int:
        """Time of the next packet or decision."""

    @property
    @abstractmethod
    def segment_bytes(self) -> int:
        """Size of each datagram last transmitted; the last of them may be shorter."""

    @abstractmethod
    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        """Put what is due into ``buffer`` and return its bytes, 0 for nothing."""

    @abstractmethod
    def receive(self, data: bytes | memoryview, now: int, wall: int, segment_bytes: int = 0) -> None:
        """Process data received at ``now`` with the receive stamp ``wall``.

        Several datagrams have ``segment_bytes`` each, the last may be shorter; 0 means a single datagram.
        """

    @abstractmethod
    def blocked(self, sent: int) -> None:
        """Correct the counts: only the first ``sent`` bytes last transmitted left this host."""

    @abstractmethod
    def so_far(self) -> LoadSoFar:
        """Counts of the load until now; may be called from another thread."""

    @abstractmethod
    def fields(self) -> dict[str, object]:
        """Fields of the report that this direction fills."""

    @abstractmethod
    def _send_stop(self, now: int) -> None:
        """Begin to send PDUs with testAction 2."""

    def cancel(self, now: int) -> None:
        """Stop now; packets counted so far are reported."""
        self.finish(now, Ending.STOPPED, "stopped by its caller")

    def end_at_byte_limit(self, now: int) -> None:
        """Stop now because the byte limit is reached."""
        self.finish(now, Ending.STOPPED, BYTES_SPENT)

    def unreachable(self) -> None:
        """Process an ICMP error: the peer closes its port after the load; earlier the watchdog decides."""
        if self._closing != NEVER:
            self.finished = True

    def finish(self, now: int, ending: Ending = Ending.COMPLETED, detail: str = "") -> None:
        """Begin to close, unless closing already."""
        if self._closing == NEVER:
            self.ending, self.detail = ending, detail
            self._closing = now + LINGER_NS
            self._send_stop(now)

    def _check_silence(self, now: int) -> None:
        if now >= self._closing:
            self.finished = True
        elif self._closing == NEVER and now >= self._watchdog.deadline:
            self.finish(now, Ending.WATCHDOG, "the peer fell silent for 3 s during the test")
