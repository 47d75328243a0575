"""The load sender: when the next Load PDUs are due, and their headers.

Deadlines are absolute, so that a late packet does not make the ones behind it late. A sender that was held
up may catch up by three packets, or two milliseconds' worth where that is more; beyond that the schedule is
put off and the time told as stall. A burst after a stall would overflow the line's queue and read as its
loss.
"""

import random
from dataclasses import dataclass

from wire.udpstp import batches, pdu, rates
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

_Group = tuple[int, int]
"""A size (UDP payload bytes as sent, over IPv6 already reduced) and how many packets have it."""


@dataclass(slots=True)
class _Transmitter:
    """One burst every interval."""

    interval_ns: int
    burst: tuple[_Group, ...]
    due: int

    @property
    def on(self) -> bool:
        return self.interval_ns > 0 and bool(self.burst)


class LoadSender:
    """Sends one load from ``start`` (ns) until ``end``; nothing that is due at ``end`` or later is sent.

    ``segment_bytes`` is the size of each packet last packed; of several, the last may be shorter.
    """

    def __init__(self, rate: SendingRate, *, ipv6: bool, start: int, end: int, wall: int) -> None:
        self.start, self.end = start, end
        self.sent_packets = self.sent_payload_bytes = self.blocked_sends = 0
        self.stall_ns = self.longest_gap_ns = 0
        self.first_sent = self.last_sent = 0
        self.sequence = 0
        self.segment_bytes = 0
        self._ipv6 = ipv6
        self._packed = 0
        self._before = (0, 0)
        self._pending: list[_Group] = []
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
        first = self._burst(rate.payload_1, rate.burst_1, 0)
        second = self._burst(rate.payload_2, rate.burst_2, rate.addon_2)
        self._transmitters = (
            _Transmitter(rate.interval_1_us * 1000, first, dues[0]),
            _Transmitter(rate.interval_2_us * 1000, second, dues[1]),
        )
        self._lag = max(WAKE_NS - rate.interval_1_us * 1000, 0) if self._transmitters[0].on else 0
        packets = rates.packets_per_second(rate)
        spacing = _S / packets if packets else 0
        self._allowed_lateness = max(int(CATCH_UP_PACKETS * spacing), CATCH_UP_NS)

    def _burst(self, payload: int, packets: int, addon: int) -> tuple[_Group, ...]:
        groups = [(size, count) for size, count in ((payload, packets), (addon, 1)) if size and count]
        return tuple((rates.over_ipv6(size) if self._ipv6 else size, count) for size, count in groups)

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
        """Put what is due at ``now`` into ``buffer``, as far as one call can carry it; its bytes, 0 for none.

        Packets go together that are of one size, a shorter one behind them included, and of one burst or of
        bursts that leave together. They bear one send stamp.
        """
        if not self._pending and not self._begin_burst(now):
            return 0
        size = self._pending[-1][0]
        if size & RANDOM_SIZE:
            self._take(1)
            size = random.randint(_SMALLEST_RANDOM - 20 * self._ipv6, size & ~RANDOM_SIZE)
            whole, tail = 1, 0
        else:
            whole, tail = self._gather(size, min(len(buffer), batches.MOST_BYTES) // size, now)
        self._count(size, whole, tail, now)
        self.pack_header(buffer, size, pdu.TESTING, receive_stopped=receive_stopped, wall=wall)
        batches.pack_run(buffer, size, whole, self.sequence)
        self.sequence += whole - 1
        if tail:
            offset = whole * size
            self.pack_header(
                buffer, tail, pdu.TESTING, receive_stopped=receive_stopped, wall=wall, offset=offset
            )
        return self._packed

    def _gather(self, size: int, most: int, now: int) -> tuple[int, int]:
        """Take what is due and fits: how many packets of ``size``, and the size of a shorter one, or 0."""
        most = max(min(most, batches.MOST_SEGMENTS), 1)
        whole = 0
        while whole < most and (self._pending or (self._lag and self._begin_burst(now))):
            following = self._pending[-1][0]
            if following == size:
                whole += self._take(most - whole)
            elif following < size:
                self._take(1)
                return whole, following
            else:
                break
        return whole, 0

    def _take(self, most: int) -> int:
        """Take up to ``most`` packets of the pending group that is next; how many."""
        size, count = self._pending.pop()
        if count > most:
            self._pending.append((size, count - most))
        return min(count, most)

    def pack_header(
        self, buffer: bytearray, size: int, action: int, *, receive_stopped: int, wall: int, offset: int = 0
    ) -> None:
        """Put the next Load header at ``offset``, whatever its testAction; the payload is left alone."""
        self.sequence += 1
        response_delay = min(max(wall - self._feedback_wall, 0) // _MS, 0xFFFF)
        pdu.LOAD_HEADER.pack_into(
            buffer, offset, pdu.LOAD_ID, action, receive_stopped, self.sequence, size, self._feedback_errors,
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
        self._pending = list(reversed(transmitter.burst))
        return True

    def _put_off(self, late: int) -> None:
        self.stall_ns += late
        for transmitter in self._transmitters:
            transmitter.due += late

    def _count(self, size: int, whole: int, tail: int, now: int) -> None:
        self._before = (self.last_sent, self.longest_gap_ns)
        if self.sent_packets:
            self.longest_gap_ns = max(self.longest_gap_ns, now - self.last_sent)
        else:
            self.first_sent = now
        self.last_sent = now
        self.segment_bytes, self._packed = size, whole * size + tail
        self.sent_packets += whole + (tail > 0)
        self.sent_payload_bytes += self._packed

    def blocked(self, sent: int = 0) -> None:
        """Of what was last packed only the first ``sent`` bytes left: whole packets, mostly none.

        Those that the kernel refused took no sequence number and must not read as loss.
        """
        packed = batches.datagrams(self._packed, self.segment_bytes)
        refused = packed - sent // self.segment_bytes
        self.sequence -= refused
        self.sent_packets -= refused
        self.sent_payload_bytes -= self._packed - sent
        self.blocked_sends += refused
        if not sent:
            self.last_sent, self.longest_gap_ns = self._before


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
