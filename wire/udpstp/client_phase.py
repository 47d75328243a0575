"""What the client's part of a running test has in common in both directions."""

from abc import ABC, abstractmethod

from wire.udpstp.ends.watchdog import Tempo, Watchdog
from wire.udpstp.load import Ending, LoadSoFar, Plan

_MS = 1_000_000
NEVER = 1 << 62

LINGER_NS = 100 * _MS
"""How long to go on listening for late packets, and repeating the stop, when a test is over."""

BYTES_SPENT = "ended early: its limit of bytes was reached"

TOLERANCE_NS = 100 * _MS
"""A peer that stops a test by so much before its planned end has not stopped it early."""


class LoadPhase(ABC):
    """What both directions have in common: the watchdog, cancelling, and how it ended."""

    tempo: Tempo

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
        """When there is next something to send or to decide."""

    @property
    @abstractmethod
    def segment_bytes(self) -> int:
        """The size of each datagram last transmitted; the last of them may be shorter."""

    @abstractmethod
    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        """Put what is due into ``buffer`` and return its bytes, 0 for nothing."""

    @abstractmethod
    def receive(self, data: bytes | memoryview, now: int, wall: int, segment_bytes: int = 0) -> None:
        """Take in what was received at ``now`` with the receive stamp ``wall``.

        Several datagrams are of ``segment_bytes`` each, the last may be shorter; 0 stands for a single one.
        """

    @abstractmethod
    def blocked(self, sent: int) -> None:
        """Of what was last transmitted only the first ``sent`` bytes left this host, mostly none."""

    @abstractmethod
    def so_far(self) -> LoadSoFar:
        """What is known of the load now; may be asked from another thread."""

    @abstractmethod
    def fields(self) -> dict[str, object]:
        """The report's fields that this direction knows."""

    @abstractmethod
    def _say_stop(self, now: int) -> None:
        """Begin to send PDUs that say stop."""

    def cancel(self, now: int) -> None:
        """Stop now; what was counted so far is reported."""
        self.finish(now, Ending.STOPPED, "stopped by its caller")

    def spent(self, now: int) -> None:
        """Stop now, because the test may cost no more bytes."""
        self.finish(now, Ending.STOPPED, BYTES_SPENT)

    def unreachable(self) -> None:
        """The peer's port is closed: its way of ending after the load; before, the watchdog decides."""
        if self._closing != NEVER:
            self.finished = True

    def finish(self, now: int, ending: Ending = Ending.COMPLETED, detail: str = "") -> None:
        """Begin to close: say stop a few times, as nothing acknowledges it (§9)."""
        if self._closing == NEVER:
            self.ending, self.detail = ending, detail
            self._closing = now + LINGER_NS
            self._say_stop(now)

    def _check_silence(self, now: int) -> None:
        if now >= self._closing:
            self.finished = True
        elif self._closing == NEVER and now >= self._watchdog.deadline:
            self.finish(now, Ending.WATCHDOG, "the peer fell silent for 3 s during the test")
