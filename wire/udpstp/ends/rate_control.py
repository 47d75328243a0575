"""Control of a load's sending rate (RFC 9946 §5.1, RFC 9097 §8.1).

One of three controls sets the rate of a sender:

| control | sender | rate |
|---|---|---|
| ``FixedRate`` | either end | the planned row |
| ``LocalSearch`` | server, down | a search by algorithm B or C, one step for each Status received |
| ``RemoteSearch`` | client, up | the rate that each Status of the searching server requests |

A sender without feedback must lower its rate, whichever control it has. It then steps down as by algorithm B
after a bad interval (RFC 9097 §8.1). The next Status ends that.

The search is a state machine of its own. Once a trial interval the load's receiver reports what it received.
Errors and delay variation make it good, bad or neither, and the algorithm turns that into a row:

| interval | climbing fast | after congestion |
|---|---|---|
| good | B: 10 rows up; C: twice the row, every second time | one row up |
| neither | the same row | the same row |
| bad | one row down; at the third bad one 30 rows down, and congestion is declared | one row down |

Ten, three and 30 are the defaults of the activation's parameters. B declares congestion once and for all (RFC
9097 appendix A, ITU-T Y.1540 Annex B). C forgets it after some slow steps (RFC 9946 §12.3.8). At 1 Gbit/s and
above every step is one row.
"""

from abc import ABC, abstractmethod
from enum import Enum, auto

from msgspec import Struct

from wire.udpstp import pdu, rates
from wire.udpstp.pdu import RANDOM_SIZE, SendingRate
from wire.udpstp.rates import DEFAULT_TABLE, RateTable

FAST_STEPS_BACK = 3
"""Fast steps taken back when congestion is declared (RFC 9097 §8.1)."""

FIRST_RETRY, RETRY_LONGER = 5, 5
"""Slow steps of algorithm C before it climbs fast again, and the number added each further time."""

_MS = 1_000_000
_LARGEST_PAYLOAD = 1472
"""UDP payload of a packet of 1,500 bytes, the largest that RFC 9946 §6.1 allows up to 1 Gbit/s."""

_PACKETS_BEYOND = 2
"""Bound on the packet rate of a lower row of any table, in packet rates of the highest row."""


class Sign(Enum):
    """Judgement of one trial interval at the present rate."""

    GOOD = auto()
    HOLD = auto()
    BAD = auto()


class TrialInterval(Struct, frozen=True):
    """Errors and delays of one trial interval at the receiver; delays in ms.

    ``delay`` is the mean one-way delay variation, ``rtt_variation`` the newest round-trip one; None where
    there was no sample.
    """

    lost: int = 0
    reordered: int = 0
    duplicated: int = 0
    delay: int | None = None
    rtt_variation: int | None = None

    @classmethod
    def of(cls, status: pdu.Status) -> "TrialInterval":
        """Read the trial interval of a Status PDU."""
        mean = round(status.delay_sum / status.delay_count) if status.delay_count else None
        rtt = status.rtt_variation
        return cls(
            status.lost, status.reordered, status.duplicated, mean, None if rtt == pdu.NO_DELAY else rtt
        )

    def sign(self, activation: pdu.Activation) -> Sign:
        """Judge by the thresholds of the test; without a delay sample errors alone can make it bad."""
        # Reordering and duplicates are no sign of a full line by default (ignoreOooDup, §7.1).
        errors = self.lost
        if not activation.ignore_reordering:
            errors += self.reordered + self.duplicated
        known = self.delay if activation.one_way_variation else self.rtt_variation
        # The low threshold is neither good nor bad: an interval without a sample changes nothing by itself.
        delay = activation.low_threshold if known is None else known
        if errors > activation.sequence_error_threshold or delay > activation.upper_threshold:
            return Sign.BAD
        return Sign.GOOD if delay < activation.low_threshold else Sign.HOLD


class RateAlgorithm(ABC):
    """Load-rate adjustment algorithm: the present ``row``, and the bad intervals since the last fast step.

    ``highest`` is the last row that may be used.
    """

    def __init__(self, activation: pdu.Activation, row: int, highest: int) -> None:
        self.row = row
        self._highest = highest
        self._delta = activation.high_speed_delta
        self._threshold = activation.slow_adjust_threshold
        self._bad = 0

    def step(self, sign: Sign) -> int:
        """Process one interval and return the row from now on."""
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
        """Count a bad interval; the one that reaches the threshold takes the fast steps back."""
        self._bad += 1
        if self.row >= rates.HIGH_SPEED_ROW or self._bad != self._threshold:
            return False
        self.row = max(self.row - FAST_STEPS_BACK * self._delta, 0)
        return True


class AlgorithmB(RateAlgorithm):
    """Climbs by ``high_speed_delta`` rows until congestion is declared, then by single rows."""

    def _good(self) -> None:
        if self._fast:
            # Fast steps end at 1 Gbit/s, as in the reference program; the RFC's appendix has no such bound.
            self.row = min(self.row + self._delta, rates.HIGH_SPEED_ROW, self._highest)
            self._bad = 0
        else:
            self.row = min(self.row + 1, self._highest)

    def _worse(self) -> None:
        if not self._declares_congestion():
            self.row = max(self.row - 1, 0)


class AlgorithmC(RateAlgorithm):
    """Doubles every second good interval; forgets congestion after enough single steps and doubles again."""

    def __init__(self, activation: pdu.Activation, row: int, highest: int) -> None:
        super().__init__(activation, row, highest)
        self._doubles_next = False
        self._slow_steps, self._retry_after = 0, FIRST_RETRY

    def _good(self) -> None:
        if self._fast:
            # Doubled every second time only, as traced in the reference program 9.0.0.
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
        self._doubles_next = not self._doubles_next
        return row if self._doubles_next else 2 * row

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


def rate_algorithm(activation: pdu.Activation, highest: int) -> RateAlgorithm:
    """Create the algorithm that the (coerced) activation asks for, at its first row."""
    kind = AlgorithmC if activation.algorithm else AlgorithmB
    return kind(activation, min(start_row(activation), highest), highest)


def is_search(activation: pdu.Activation) -> bool:
    """Check if the rate is to be adjusted: index 0xFFFF, or the bit that makes the index a start (§7.1)."""
    return activation.row == pdu.SEARCH_INDEX or bool(activation.modifiers & pdu.ACTIVATION_START_INDEX)


def start_row(activation: pdu.Activation) -> int:
    """First row: 0xFFFF means index 0 with the start bit (§7.1)."""
    return 0 if activation.row == pdu.SEARCH_INDEX else activation.row


class RateControl(ABC):
    """Control of one sender: the present ``rate``, and the ``deadline`` (ns) for the next Status.

    The first step down comes upperThresh + 2 feedback intervals after the last Status, each further one an
    interval later (RFC 9097 §8.1). ``backoff_steps`` counts them.
    """

    # The round-trip time is unknown before the first Status. That of a queueing satellite exceeds the second
    # after which the watchdog warns, and lies well below the 3 s after which it ends the test.
    FIRST_FEEDBACK_NS = 2_000 * _MS
    is_fixed = False

    def __init__(
        self, activation: pdu.Activation, rate: SendingRate, start: int, table: RateTable = DEFAULT_TABLE
    ) -> None:
        self.rate = rate
        self._table = table
        self.deadline = start + self.FIRST_FEEDBACK_NS
        self.backoff_steps = 0
        self._activation = activation
        self._interval = activation.trial_interval * _MS
        self._patience = (activation.upper_threshold + 2 * activation.trial_interval) * _MS
        self._newest = 0

    def status(self, status: pdu.Status, now: int) -> SendingRate | None:
        """Process a Status received at ``now``, and return the new rate where it changes."""
        self.deadline = now + self._patience
        if status.sequence <= self._newest:
            # Late or duplicated: it proves that feedback arrives, but reports an older interval.
            return None
        self._newest = status.sequence
        return self._change(self._next_rate(status, now))

    def no_status(self, now: int) -> SendingRate | None:
        """Return a lower rate at ``now`` where feedback has been missing long enough for a step."""
        if now < self.deadline:
            return None
        self.deadline = now + self._interval
        self.backoff_steps += 1
        return self._change(self._table.sending_rate(self._step_down()))

    def _change(self, rate: SendingRate) -> SendingRate | None:
        if rate == self.rate:
            return None
        self.rate = rate
        return rate

    @abstractmethod
    def _next_rate(self, status: pdu.Status, now: int) -> SendingRate:
        """Rate after the newest Status, received at ``now``."""

    @abstractmethod
    def _step_down(self) -> int:
        """Row after one more bad interval."""


class FixedRate(RateControl):
    """One row for the whole test; a Status restores it after a step down."""

    is_fixed = True

    def __init__(self, activation: pdu.Activation, start: int, table: RateTable = DEFAULT_TABLE) -> None:
        super().__init__(activation, table.sending_rate(activation.row), start, table)
        self._planned = self.rate
        self._lowered: AlgorithmB | None = None

    def _next_rate(self, status: pdu.Status, now: int) -> SendingRate:
        self._lowered = None
        return self._planned

    def _step_down(self) -> int:
        row = self._activation.row
        self._lowered = self._lowered or AlgorithmB(self._activation, row, row)
        return self._lowered.step(Sign.BAD)


class RemoteSearch(RateControl):
    """Search by the server, up: each Status carries the next rate of the client (RFC 9946 §8.2).

    Status PDUs are not authenticated in mode 1 (§11), so that the rate is bounded. A rate above the one asked
    for is reduced to it, and one that no sending-rate table can contain is ignored.
    """

    def __init__(
        self, activation: pdu.Activation, highest_row: int, start: int, table: RateTable = DEFAULT_TABLE
    ) -> None:
        self._highest_row = highest_row
        first = activation.rate if is_sane(activation.rate) else rates.sending_rate(0)
        self._table = table
        super().__init__(activation, self._bounded(first), start, table)
        self._lowered: AlgorithmB | None = None

    def _bounded(self, rate: SendingRate) -> SendingRate:
        most = self._table.sending_rate(self._highest_row)
        too_fast = rates.bits_per_second(rate) > rates.bits_per_second(most)
        # Small packets at the allowed bit rate could still exhaust a router's packet rate.
        too_many = rates.packets_per_second(rate) > _PACKETS_BEYOND * rates.packets_per_second(most)
        return most if too_fast or too_many else rate

    def _next_rate(self, status: pdu.Status, now: int) -> SendingRate:
        self._lowered = None
        return self._bounded(status.rate) if is_sane(status.rate) else self.rate

    def _step_down(self) -> int:
        row = min(int(rates.bits_per_second(self.rate) // 1e6), self._highest_row)
        self._lowered = self._lowered or AlgorithmB(self._activation, row, row)
        return self._lowered.step(Sign.BAD)


def is_sane(rate: SendingRate) -> bool:
    """Check if a sending-rate table can contain this rate: some packets, all within 1,500 bytes."""
    for interval, sizes in (
        (rate.interval_1_us, (rate.payload_1,) * bool(rate.burst_1)),
        (rate.interval_2_us, (rate.payload_2,) * bool(rate.burst_2) + (rate.addon_2,) * bool(rate.addon_2)),
    ):
        smallest = pdu.LOAD_HEADER.size
        if interval and not all(smallest <= size & ~RANDOM_SIZE <= _LARGEST_PAYLOAD for size in sizes):
            return False
    return rates.packets_per_second(rate) > 0
