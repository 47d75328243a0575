"""The load sender: when the next Load PDU is due, and its header.

Deadlines are absolute, so that a late packet does not make the ones behind it late. A sender that was held
up may catch up by three packets, or two milliseconds' worth where that is more; beyond that the schedule is
put off and the time told as stall. A burst after a stall would overflow the line's queue and read as its
loss.
"""

import random
from dataclasses import dataclass

from wire.udpstp import pdu, rates
from wire.udpstp.pdu import RANDOM_SIZE, SendingRate

CATCH_UP_PACKETS = 3
CATCH_UP_NS = 2_000_000
WAKE_NS = 500_000
"""Bursts that are closer together leave together: waking for each would cost more than sending them."""

_MS = 1_000_000
_S = 1_000_000_000
_SMALLEST_RANDOM = 52
_ANY_REORDERING = 0xFFFF
_NEVER = 1 << 62


@dataclass(slots=True)
class _Transmitter:
    """One burst every interval. ``sizes`` are UDP payload bytes as sent, over IPv6 already reduced."""

    interval_ns: int
    sizes: tuple[int, ...]
    due: int

    @property
    def on(self) -> bool:
        return self.interval_ns > 0 and bool(self.sizes)


class LoadSender:
    """Sends one load from ``start`` (ns) until ``end``; nothing that is due at ``end`` or later is sent."""

    def __init__(self, rate: SendingRate, *, ipv6: bool, start: int, end: int, wall: int) -> None:
        self.start, self.end = start, end
        self.sent_packets = self.sent_payload_bytes = self.blocked_sends = 0
        self.stall_ns = self.longest_gap_ns = 0
        self.first_sent = self.last_sent = 0
        self.sequence = 0
        self._ipv6 = ipv6
        self._last_payload = 0
        self._pending: list[int] = []
        self._feedback_wall = wall
        self._feedback_time = (0, 0)
        self._feedback_sequence = 0
        self._feedback_errors = 0
        self._transmitters: tuple[_Transmitter, ...] = ()
        self.set_rate(rate)

    def set_rate(self, rate: SendingRate) -> None:
        """Send by these transmitters from each one's next deadline on."""
        self.rate = rate
        running = self._next().due if self._transmitters else self.start
        # The deadline of one that was off stands still: it starts with the other's.
        dues = [one.due if one.on else running for one in self._transmitters] or [running, running]
        first = self._sizes(rate.payload_1, rate.burst_1, 0)
        second = self._sizes(rate.payload_2, rate.burst_2, rate.addon_2)
        self._transmitters = (
            _Transmitter(rate.interval_1_us * 1000, first, dues[0]),
            _Transmitter(rate.interval_2_us * 1000, second, dues[1]),
        )
        self._lag = max(WAKE_NS - rate.interval_1_us * 1000, 0) if self._transmitters[0].on else 0
        packets = rates.packets_per_second(rate)
        spacing = _S / packets if packets else 0
        self._allowed_lateness = max(int(CATCH_UP_PACKETS * spacing), CATCH_UP_NS)

    def _sizes(self, payload: int, burst: int, addon: int) -> tuple[int, ...]:
        sizes = (payload,) * burst + ((addon,) if addon else ())
        return tuple(rates.over_ipv6(size) for size in sizes) if self._ipv6 else sizes

    @property
    def deadline(self) -> int:
        """When to send next; after the last packet, ``end``."""
        return min(self._due + self._lag, self.end)

    @property
    def _due(self) -> int:
        return self._next().due if any(transmitter.on for transmitter in self._transmitters) else _NEVER

    @property
    def done(self) -> bool:
        """Whether every packet of the schedule was sent."""
        return not self._pending and self._due >= self.end

    def _next(self) -> _Transmitter:
        first, second = self._transmitters
        if not second.on:
            return first
        return second if not first.on or second.due < first.due else first

    def feedback(self, status: pdu.Status, wall: int) -> None:
        """Take note of a Status PDU received at ``wall``; the coming Load PDUs echo its time (§8.1)."""
        missed = status.sequence - self._feedback_sequence - 1
        self._feedback_errors = min(missed, _ANY_REORDERING) if missed >= 0 else _ANY_REORDERING
        self._feedback_sequence = max(status.sequence, self._feedback_sequence)
        self._feedback_time = (status.sent_s, status.sent_ns)
        self._feedback_wall = wall

    def pack(self, buffer: bytearray, now: int, wall: int, receive_stopped: int = 0) -> int:
        """Put the packet that is due at ``now`` into ``buffer``; its size, or 0 when none is due yet."""
        if not self._pending and not self._begin_burst(now):
            return 0
        size = self._pending.pop()
        if size & RANDOM_SIZE:
            size = random.randint(_SMALLEST_RANDOM - 20 * self._ipv6, size & ~RANDOM_SIZE)
        self._count(size, now)
        self.pack_header(buffer, size, pdu.TESTING, receive_stopped=receive_stopped, wall=wall)
        return size

    def pack_header(
        self, buffer: bytearray, size: int, action: int, *, receive_stopped: int, wall: int
    ) -> None:
        """Put the next Load header into ``buffer``, whatever its testAction; the payload is left alone."""
        self.sequence += 1
        response_delay = min(max(wall - self._feedback_wall, 0) // _MS, 0xFFFF)
        pdu.LOAD_HEADER.pack_into(
            buffer, 0, pdu.LOAD_ID, action, receive_stopped, self.sequence, size, self._feedback_errors,
            *self._feedback_time, wall // _S & 0xFFFFFFFF, wall % _S, response_delay, 0,
        )  # fmt: skip

    def _begin_burst(self, now: int) -> bool:
        if now < self._due or self._due >= self.end:
            return False
        transmitter = self._next()
        late = now - transmitter.due - self._allowed_lateness
        if late > 0:
            self._put_off(late)
            if transmitter.due >= self.end:
                return False
        transmitter.due += transmitter.interval_ns
        self._pending = list(reversed(transmitter.sizes))
        return True

    def _put_off(self, late: int) -> None:
        self.stall_ns += late
        for transmitter in self._transmitters:
            transmitter.due += late

    def _count(self, size: int, now: int) -> None:
        if self.sent_packets:
            self.longest_gap_ns = max(self.longest_gap_ns, now - self.last_sent)
        else:
            self.first_sent = now
        self.last_sent = now
        self.sent_packets += 1
        self.sent_payload_bytes += size
        self._last_payload = size

    def blocked(self) -> None:
        """The kernel refused the packet last packed: it took no sequence number and must not read as loss."""
        self.sequence -= 1
        self.sent_packets -= 1
        self.sent_payload_bytes -= self._last_payload
        self.blocked_sends += 1


class FeedbackBackoff:
    """Steps the rate down while no Status arrives (RFC 9097 §8.1: "as if bad").

    The first step comes after upperThresh + 2 feedback intervals, each further one an interval later, by
    algorithm B. A Status ends it. Before the first Status the path's round-trip time is unknown, so that
    the silence allowed is the watchdog's warning time.
    """

    FIRST_FEEDBACK_NS = _S

    def __init__(self, row: int, activation: pdu.Activation, start: int) -> None:
        self.steps = 0
        self._planned = self._row = row
        self._interval = activation.trial_interval * _MS
        self._patience = (activation.upper_threshold + 2 * activation.trial_interval) * _MS
        self._delta = activation.high_speed_delta
        self._threshold = activation.slow_adjust_threshold
        self._bad = 0
        self.deadline = start + self.FIRST_FEEDBACK_NS

    def heard(self, now: int) -> SendingRate | None:
        """A Status arrived: the planned rate again, where it had been left."""
        self.deadline = now + self._patience
        self._bad = 0
        if self._row == self._planned:
            return None
        self._row = self._planned
        return rates.sending_rate(self._row)

    def silent(self, now: int) -> SendingRate | None:
        """The lower rate to send at from now on, when the silence has lasted long enough for a step."""
        if now < self.deadline:
            return None
        self.deadline = now + self._interval
        self._bad += 1
        self.steps += 1
        fast = self._row < rates.HIGH_SPEED_ROW and self._bad == self._threshold
        self._row = max(self._row - (3 * self._delta if fast else 1), 0)
        return rates.sending_rate(self._row)
