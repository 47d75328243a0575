"""Who decides the sending rate of a load: its plan, a search, or the peer that searches.

A sender that hears nothing steps down "as if bad" (RFC 9097 §8.1), whichever of the three it follows.
"""

from abc import ABC, abstractmethod

from wire.udpstp import adjustment, pdu, rates
from wire.udpstp.adjustment import AlgorithmB, Observation, Sign
from wire.udpstp.pdu import RANDOM_SIZE, SendingRate

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
        self._algorithm = adjustment.algorithm(activation, highest_row)
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
