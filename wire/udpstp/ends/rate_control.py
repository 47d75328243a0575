"""Who decides the sending rate of a load: its plan, a search, or the peer that searches.

A sender that hears nothing steps down "as if bad" (RFC 9097 §8.1), whichever of the three it follows.
"""

from abc import ABC, abstractmethod
from enum import Enum, auto

from msgspec import Struct

from wire.udpstp import pdu, rates
from wire.udpstp.pdu import RANDOM_SIZE, SendingRate

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


_MS = 1_000_000
_LARGEST_PAYLOAD = 1472
"""Of a packet within 1,500 bytes, the most that RFC 9946 §6.1 lets a sender use up to 1 Gbit/s."""

_PACKETS_BEYOND = 2
"""How many times the packets of the highest row any lower row of a table may have."""


class RateControl(ABC):
    """The rate to send at now, ``rate``, and when silence changes it, ``deadline`` (ns).

    The first step for want of feedback comes after upperThresh + 2 feedback intervals, each further one an
    interval later (RFC 9097 §8.1). Before the first Status the path's round-trip time is unknown, so that
    the silence allowed is the watchdog's warning time. ``backoff_steps`` counts such steps.
    """

    FIRST_FEEDBACK_NS = 1_000 * _MS

    def __init__(self, activation: pdu.Activation, rate: SendingRate, start: int) -> None:
        self.rate = rate
        self.deadline = start + self.FIRST_FEEDBACK_NS
        self.backoff_steps = 0
        self._activation = activation
        self._interval = activation.trial_interval * _MS
        self._patience = (activation.upper_threshold + 2 * activation.trial_interval) * _MS
        self._newest = 0

    def heard(self, status: pdu.Status, now: int) -> SendingRate | None:
        """A Status arrived at ``now``: the rate from now on, where it changes.

        One that comes late or again ends the silence, but tells of the past.
        """
        self.deadline = now + self._patience
        if status.sequence <= self._newest:
            return None
        self._newest = status.sequence
        return self._change(self._told(status))

    def silent(self, now: int) -> SendingRate | None:
        """The lower rate to send at from ``now`` on, when the silence has lasted long enough for a step."""
        if now < self.deadline:
            return None
        self.deadline = now + self._interval
        self.backoff_steps += 1
        return self._change(rates.sending_rate(self._step_down()))

    def _change(self, rate: SendingRate) -> SendingRate | None:
        if rate == self.rate:
            return None
        self.rate = rate
        return rate

    @abstractmethod
    def _told(self, status: pdu.Status) -> SendingRate:
        """What the newest Status makes of the rate."""

    @abstractmethod
    def _step_down(self) -> int:
        """The row after one more bad sign."""


class FixedRate(RateControl):
    """One row for the whole test; feedback restores it after silence."""

    def __init__(self, activation: pdu.Activation, start: int) -> None:
        super().__init__(activation, rates.sending_rate(activation.row), start)
        self._planned = self.rate
        self._lowered: AlgorithmB | None = None

    def _told(self, status: pdu.Status) -> SendingRate:
        self._lowered = None
        return self._planned

    def _step_down(self) -> int:
        row = self._activation.row
        self._lowered = self._lowered or AlgorithmB(self._activation, row, row)
        return self._lowered.step(Sign.BAD)


class Searching(RateControl):
    """The server's own search downstream: each Status is one step of the algorithm (RFC 9946 §5.1)."""

    def __init__(self, activation: pdu.Activation, highest_row: int, start: int) -> None:
        self._algorithm = algorithm(activation, highest_row)
        super().__init__(activation, rates.sending_rate(self._algorithm.row), start)

    def _told(self, status: pdu.Status) -> SendingRate:
        sign = Observation.told_by(status).sign(self._activation)
        return rates.sending_rate(self._algorithm.step(sign))

    def _step_down(self) -> int:
        return self._algorithm.step(Sign.BAD)


class Told(RateControl):
    """Obeys the server's search upstream: each Status carries the rate to use next (RFC 9946 §8.2).

    Only within bounds: Status PDUs are not authenticated in mode 1 (§11), so that a rate above the one asked
    for is cut to that, and one that no sending-rate table can mean is ignored.
    """

    def __init__(self, activation: pdu.Activation, highest_row: int, start: int) -> None:
        self._highest_row = highest_row
        first = activation.rate if is_sane(activation.rate) else rates.sending_rate(0)
        super().__init__(activation, self._bounded(first), start)
        self._lowered: AlgorithmB | None = None

    def _bounded(self, rate: SendingRate) -> SendingRate:
        most = rates.sending_rate(self._highest_row)
        too_fast = rates.bits_per_second(rate) > rates.bits_per_second(most)
        too_many = rates.packets_per_second(rate) > _PACKETS_BEYOND * rates.packets_per_second(most)
        return most if too_fast or too_many else rate

    def _told(self, status: pdu.Status) -> SendingRate:
        self._lowered = None
        return self._bounded(status.rate) if is_sane(status.rate) else self.rate

    def _step_down(self) -> int:
        row = min(int(rates.bits_per_second(self.rate) // 1e6), self._highest_row)
        self._lowered = self._lowered or AlgorithmB(self._activation, row, row)
        return self._lowered.step(Sign.BAD)


def is_sane(rate: SendingRate) -> bool:
    """Whether some sending-rate table may mean this: it sends something, in packets that fit the line."""
    for interval, sizes in (
        (rate.interval_1_us, (rate.payload_1,) * bool(rate.burst_1)),
        (rate.interval_2_us, (rate.payload_2,) * bool(rate.burst_2) + (rate.addon_2,) * bool(rate.addon_2)),
    ):
        smallest = pdu.LOAD_HEADER.size
        if interval and not all(smallest <= size & ~RANDOM_SIZE <= _LARGEST_PAYLOAD for size in sizes):
            return False
    return rates.packets_per_second(rate) > 0
