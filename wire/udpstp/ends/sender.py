"""The load sender: headers of the Load PDUs that are due, and the account of what was sent."""

import random

from wire.udpstp import pdu
from wire.udpstp.ends import batches
from wire.udpstp.ends.rate_control import RateControl
from wire.udpstp.ends.schedule import Schedule
from wire.udpstp.ends.watchdog import Tempo
from wire.udpstp.pdu import RANDOM_SIZE, STOP, TESTING, SendingRate

_MS = 1_000_000
_S = 1_000_000_000
_SMALLEST_RANDOM = 52
_ANY_REORDERING = 0xFFFF


class LoadSender:
    """Sends one load from ``start`` (ns) until ``end``; nothing that is due at ``end`` or later is sent.

    ``segment_bytes`` is the size of each packet last packed; of several, the last may be shorter.
    """

    def __init__(self, rate: SendingRate, *, ipv6: bool, start: int, end: int, wall: int) -> None:
        self.start, self.rate = start, rate
        self.sent_packets = self.sent_payload_bytes = self.blocked_sends = 0
        self.longest_gap_ns = 0
        self.first_sent = self.last_sent = 0
        self.sequence = 0
        self.segment_bytes = 0
        self._schedule = Schedule(rate, ipv6=ipv6, start=start, end=end)
        self._smallest_random = _SMALLEST_RANDOM - 20 * ipv6
        self._packed = 0
        self._before = (0, 0)
        self._feedback_wall = wall
        self._feedback_time = (0, 0)
        self._feedback_sequence = 0
        self._feedback_errors = 0

    def set_rate(self, rate: SendingRate) -> None:
        """Send by these transmitters from each one's next deadline on."""
        self.rate = rate
        self._schedule.set_rate(rate)

    @property
    def end(self) -> int:
        """When the load ends; it may be set earlier."""
        return self._schedule.end

    @end.setter
    def end(self, end: int) -> None:
        self._schedule.end = end

    @property
    def stall_ns(self) -> int:
        """How long the schedule was put off, this host being late by more than it may make up."""
        return self._schedule.stall_ns

    @property
    def deadline(self) -> int:
        """When to send next; after the last packet, ``end``."""
        return self._schedule.deadline

    @property
    def done(self) -> bool:
        """Whether every packet of the schedule was sent."""
        return self._schedule.done

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
        size = self._schedule.next_size(now)
        if not size:
            return 0
        if not self.sequence:
            buffer[:] = bytes(len(buffer))  # payloads are all zeros (§8.1), whatever was sent before
        if size & RANDOM_SIZE:
            whole, tail = self._schedule.take(1), 0
            size = random.randint(self._smallest_random, size & ~RANDOM_SIZE)
        else:
            whole, tail = self._schedule.gather(size, _fitting(size, len(buffer)), now)
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


def _fitting(size: int, room: int) -> int:
    """How many packets of ``size`` one call can carry; a header alone may be larger than a size once told."""
    if size < pdu.LOAD_HEADER.size:
        return 1
    return max(min(min(room, batches.MOST_BYTES) // size, batches.MOST_SEGMENTS), 1)


_MS = 1_000_000
STOP_SPACING_NS = 20 * _MS
"""Between Load PDUs that say stop; repeated because nothing acknowledges them but the other end's stop."""

_NEVER = 1 << 62


class SendingEnd:
    """Sends a load from ``start`` (ns) for ``duration_ns``, at the rate that ``control`` gives.

    ``control`` hears every Status PDU, and every silence.
    """

    tempo = Tempo.SEND

    def __init__(self, control: RateControl, *, ipv6: bool, start: int, duration_ns: int, wall: int) -> None:
        self.action = TESTING
        self.sender = LoadSender(control.rate, ipv6=ipv6, start=start, end=start + duration_ns, wall=wall)
        self.control = control
        self.segment_bytes = 0
        self._stop_due = _NEVER
        self._last_was_load = False

    def stop(self, now: int) -> None:
        """Send no more load; from now on say stop."""
        if self.action == TESTING:
            self.action, self._stop_due = STOP, now

    def status(self, status: pdu.Status, now: int, wall: int) -> None:
        """Take in a Status PDU received at ``now`` with the receive stamp ``wall``."""
        self.sender.feedback(status, wall)
        changed = self.control.heard(status, now)
        if changed is not None:
            self.sender.set_rate(changed)

    @property
    def deadline(self) -> int:
        """When there is next something to send; far in the future when the load is through."""
        if self.action != TESTING:
            return self._stop_due
        return _NEVER if self.sender.done else self.sender.deadline

    def transmit(self, buffer: bytearray, now: int, wall: int, receive_stopped: int) -> int:
        """Put what is due into ``buffer`` and return its bytes, 0 for nothing."""
        self._last_was_load = self.action == TESTING
        if self._last_was_load:
            size = self._load(buffer, now, wall, receive_stopped)
            self.segment_bytes = self.sender.segment_bytes
            return size
        if now < self._stop_due:
            return 0
        self._stop_due = now + STOP_SPACING_NS
        size = self.segment_bytes = pdu.LOAD_HEADER.size
        self.sender.pack_header(buffer, size, STOP, receive_stopped=receive_stopped, wall=wall)
        return size

    def _load(self, buffer: bytearray, now: int, wall: int, receive_stopped: int) -> int:
        lower = None if self.sender.done else self.control.silent(now)
        if lower is not None:
            self.sender.set_rate(lower)
        return self.sender.pack(buffer, now, wall, receive_stopped)

    def blocked(self, sent: int) -> None:
        """Of what was last packed only the first ``sent`` bytes left this host, mostly none."""
        if self._last_was_load:
            self.sender.blocked(sent)
