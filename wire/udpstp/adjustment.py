"""Load-rate adjustment: which row of the sending-rate table comes next (RFC 9946 §5.1, RFC 9097 §8.1).

Once a trial interval the load's receiver tells what it saw. Errors and delay variation make of it a good
sign, a bad one, or one to hold on; the algorithm turns signs into rows. Algorithm B is RFC 9097's appendix A
(ITU-T Y.1540 Annex B), C multiplies while it climbs and tries that again after a while (RFC 9946 §12.3.8).
"""

from abc import ABC, abstractmethod
from enum import Enum, auto

from msgspec import Struct

from wire.udpstp import pdu, rates

FAST_STEPS_BACK = 3
"""How many fast steps are taken back when congestion is declared (RFC 9097 §8.1)."""

FIRST_RETRY, RETRY_LONGER = 5, 5
"""Slow steps of algorithm C before it multiplies again, and how many more each further time."""


class Sign(Enum):
    """What one trial interval says of the path at the present rate."""

    GOOD = auto()
    HOLD = auto()
    BAD = auto()


class Observation(Struct, frozen=True):
    """What the receiver saw in one trial interval; delays in ms.

    ``delay`` is the mean one-way delay variation, ``rtt_variation`` the newest round-trip one; None where
    there was no sample.
    """

    lost: int = 0
    reordered: int = 0
    duplicated: int = 0
    delay: int | None = None
    rtt_variation: int | None = None

    @classmethod
    def told_by(cls, status: pdu.Status) -> "Observation":
        """That of the trial interval of a Status PDU."""
        mean = round(status.delay_sum / status.delay_count) if status.delay_count else None
        rtt = status.rtt_variation
        return cls(
            status.lost, status.reordered, status.duplicated, mean, None if rtt == pdu.NO_DELAY else rtt
        )

    def sign(self, activation: pdu.Activation) -> Sign:
        """Judged by the thresholds of the test. Without a delay sample errors alone may be a bad sign."""
        errors = self.lost
        if not activation.ignore_reordering:
            errors += self.reordered + self.duplicated
        known = self.delay if activation.one_way_variation else self.rtt_variation
        delay = activation.low_threshold if known is None else known
        if errors > activation.sequence_error_threshold or delay > activation.upper_threshold:
            return Sign.BAD
        return Sign.GOOD if delay < activation.low_threshold else Sign.HOLD


class Algorithm(ABC):
    """The state that both algorithms have: the present row, and the bad signs since it last climbed fast.

    ``highest`` is the last row that may be used; above 1 Gbit/s nothing climbs fast.
    """

    def __init__(self, activation: pdu.Activation, row: int, highest: int) -> None:
        self.row = row
        self._highest = highest
        self._delta = activation.high_speed_delta
        self._threshold = activation.slow_adjust_threshold
        self._bad = 0

    def step(self, sign: Sign) -> int:
        """Take in one sign and return the row from now on."""
        if sign is Sign.GOOD:
            self._good()
        elif sign is Sign.BAD:
            self._worse()
        return self.row

    @property
    def _fast(self) -> bool:
        return self.row < rates.HIGH_SPEED_ROW and self._bad < self._threshold

    @abstractmethod
    def _good(self) -> None: ...

    @abstractmethod
    def _worse(self) -> None: ...

    def _declares_congestion(self) -> bool:
        """Count a bad sign; the one that reaches the threshold takes the fast steps back."""
        self._bad += 1
        if self.row >= rates.HIGH_SPEED_ROW or self._bad != self._threshold:
            return False
        self.row = max(self.row - FAST_STEPS_BACK * self._delta, 0)
        return True


class AlgorithmB(Algorithm):
    """Climbs by ``high_speed_delta`` rows until congestion was declared once, then by single rows."""

    def _good(self) -> None:
        if self._fast:
            self.row = min(self.row + self._delta, rates.HIGH_SPEED_ROW, self._highest)
            self._bad = 0
        else:
            self.row = min(self.row + 1, self._highest)

    def _worse(self) -> None:
        if not self._declares_congestion():
            self.row = max(self.row - 1, 0)


class AlgorithmC(Algorithm):
    """Doubles every second good interval; after enough single steps it forgets congestion and tries again."""

    def __init__(self, activation: pdu.Activation, row: int, highest: int) -> None:
        super().__init__(activation, row, highest)
        self._armed = False
        self._slow_steps, self._retry_after = 0, FIRST_RETRY

    def _good(self) -> None:
        if self._fast:
            self.row = min(self._multiplied(), self._highest)
            self._bad = 0
        elif self.row < self._highest:
            self.row += 1
            if self._may_retry():
                self._retry_after += RETRY_LONGER

    def _multiplied(self) -> int:
        if 2 * self.row > rates.HIGH_SPEED_ROW:
            return rates.HIGH_SPEED_ROW
        row = max(self.row, 1)
        self._armed = not self._armed
        return row if self._armed else 2 * row

    def _worse(self) -> None:
        if not self._declares_congestion() and self.row > 0:
            self.row -= 1
            self._may_retry()

    def _may_retry(self) -> bool:
        self._slow_steps += 1
        if self._slow_steps < self._retry_after:
            return False
        self._bad = self._slow_steps = 0
        return True


def algorithm(activation: pdu.Activation, highest: int) -> Algorithm:
    """The algorithm that the (coerced) activation asks for, at its first row."""
    kind = AlgorithmC if activation.algorithm else AlgorithmB
    return kind(activation, min(start_row(activation), highest), highest)


def is_search(activation: pdu.Activation) -> bool:
    """Whether the rate is to be adjusted: by index, or by the bit that makes the index a start (§7.1)."""
    return activation.row == pdu.SEARCH_INDEX or bool(activation.modifiers & pdu.ACTIVATION_START_INDEX)


def start_row(activation: pdu.Activation) -> int:
    """The first row: 0xFFFF means index 0 with the start bit (§7.1)."""
    return 0 if activation.row == pdu.SEARCH_INDEX else activation.row
