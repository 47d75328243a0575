"""The load sender: headers of the Load PDUs that are due, and the account of what was sent."""

import random

from wire.udpstp import batches, pdu
from wire.udpstp.pdu import RANDOM_SIZE, SendingRate
from wire.udpstp.schedule import Schedule

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
