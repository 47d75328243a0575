"""Sender of a load: Load PDUs packed at their deadlines, and the counts of packets sent (RFC 9946 §8.1).

``LoadSender`` packs the packets of a schedule. ``SendingEnd`` adds the feedback: Status PDUs, or their
absence, set the rate. With a lead-in the load waits until the client has proved that it hears.

After the load it sends drain probes if asked to, and after a stop PDUs with testAction 2. Both are Load
headers without payload, whose send stamps show how the load's queue drains.
"""

import random

from wire.udpstp import pdu
from wire.udpstp.ends import batches
from wire.udpstp.ends.hearing import Hearing, LeadIn
from wire.udpstp.ends.rate_control import RateControl
from wire.udpstp.ends.schedule import Schedule
from wire.udpstp.ends.watchdog import Tempo
from wire.udpstp.pdu import RANDOM_SIZE, STOP, TESTING, SendingRate

_MS = 1_000_000
_S = 1_000_000_000
_SMALLEST_RANDOM = 52
_ANY_REORDERING = 0xFFFF


class LoadSender:
    """Load PDUs due from ``start`` (ns) until before ``end``, with the counts of those sent.

    ``segment_bytes`` is the size of each packet last packed; of several, the last may be shorter.
    """

    def __init__(self, rate: SendingRate, *, ipv6: bool, start: int, end: int, wall: int) -> None:
        self.start, self.rate = start, rate
        self.sent_packets = self.sent_payload_bytes = self.blocked_sends = 0
        self.longest_gap_ns = 0
        self.first_sent = self.last_sent = 0
        self.sequence = 0
        self.segment_bytes = 0
        self._ipv6 = ipv6
        self._is_blank = False
        self._schedule = Schedule(rate, ipv6=ipv6, start=start, end=end)
        # Over IPv6 both ends of the range are 20 bytes lower, as in the reference program.
        self._smallest_random = _SMALLEST_RANDOM - 20 * ipv6
        self._packed = 0
        self._before = (0, 0)
        self._feedback_wall = wall
        self._feedback_time = (0, 0)
        self._feedback_sequence = 0
        self._feedback_errors = 0

    def set_rate(self, rate: SendingRate) -> None:
        """Use these transmitters, each from its next deadline on."""
        self.rate = rate
        self._schedule.set_rate(rate)

    def begin(self, start: int, end: int) -> None:
        """Plan the load anew, for a later start."""
        self.start = start
        self._schedule = Schedule(self.rate, ipv6=self._ipv6, start=start, end=end)

    @property
    def end(self) -> int:
        """End of the load; it may be set to an earlier time."""
        return self._schedule.end

    @end.setter
    def end(self, end: int) -> None:
        self._schedule.end = end

    @property
    def stall_ns(self) -> int:
        """Time by which the schedule was shifted because this host was later than the catch-up allows."""
        return self._schedule.stall_ns

    @property
    def deadline(self) -> int:
        """Time of the next packet; ``end`` after the last one."""
        return self._schedule.deadline

    @property
    def done(self) -> bool:
        """True once every packet of the schedule has been sent."""
        return self._schedule.done

    def feedback(self, status: pdu.Status, wall: int) -> None:
        """Note a Status PDU received at ``wall``; the next Load PDUs echo its time (§8.1)."""
        missed = status.sequence - self._feedback_sequence - 1
        self._feedback_errors = min(missed, _ANY_REORDERING) if missed >= 0 else _ANY_REORDERING
        self._feedback_sequence = max(status.sequence, self._feedback_sequence)
        self._feedback_time = (status.sent_s, status.sent_ns)
        self._feedback_wall = wall

    def pack(self, buffer: bytearray, now: int, wall: int, receive_stopped: int = 0) -> int:
        """Put the packets due at ``now`` into ``buffer``, as many as one call carries; return their bytes.

        A batch has packets of one size, perhaps with a shorter one behind them. They have one send stamp.
        """
        size = self._schedule.next_size(now)
        if not size:
            return 0
        if not self._is_blank:
            self._is_blank = True
            # Payloads are all zeros (§8.1), but the buffer has been used for control PDUs.
            buffer[:] = bytes(len(buffer))
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
        """Put the next Load header at ``offset``, with any testAction; the payload is left as it is."""
        self.sequence += 1
        response_delay = min(max(wall - self._feedback_wall, 0) // _MS, 0xFFFF)
        pdu.LOAD_HEADER.pack_into(
            buffer, offset, pdu.LOAD_ID, action, receive_stopped, self.sequence, size, self._feedback_errors,
            *self._feedback_time, wall // _S & 0xFFFFFFFF, wall % _S, response_delay, 0,
        )  # fmt: skip

    def count_one(self, size: int, now: int) -> None:
        """Count a packet of the lead-in, which a search begins with."""
        self._count(size, 1, 0, now)

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
        """Correct the counts: only the first ``sent`` bytes last packed, whole packets, left this host.

        The refused packets give back their sequence numbers. Otherwise the receiver would count them as lost.
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
    # A peer's rate may state a size below the header's: then the header alone is sent.
    if size < pdu.LOAD_HEADER.size:
        return 1
    return max(min(min(room, batches.MOST_BYTES) // size, batches.MOST_SEGMENTS), 1)


_MS = 1_000_000
PROBE_SPACING_NS = 4 * _MS
"""Interval of the header-only Load PDUs after a load: drain probes, and PDUs with testAction 2.

A dozen of them arrive within 50 ms, so that the least delay of these is free of jitter. They cost 0.12
Mbit/s. PDUs with testAction 2 are repeated anyway, because only the other end's stop acknowledges them.
"""

_NEVER = 1 << 62


class SendingEnd:
    """Sending end of a load, from ``start`` (ns) for ``duration_ns``, at the rate that ``control`` gives.

    With a ``lead_in`` the load begins once that has proved the client. A search then ends as if it had begun
    with the lead-in, since its client counts these packets too.
    """

    tempo = Tempo.SEND

    def __init__(
        self,
        control: RateControl,
        *,
        ipv6: bool,
        start: int,
        duration_ns: int,
        wall: int,
        lead_in: LeadIn | None = None,
    ) -> None:
        self.action = TESTING
        self.sender = LoadSender(control.rate, ipv6=ipv6, start=start, end=start + duration_ns, wall=wall)
        self.control = control
        self.lead_in = lead_in
        self.segment_bytes = 0
        self._duration_ns = duration_ns
        self._header_due = _NEVER
        self._probes_from = _NEVER
        self._last_was_load = False

    @property
    def leads_in(self) -> bool:
        """True until the client has proved that it hears."""
        return self.lead_in is not None and self.lead_in.hearing is not Hearing.PROVEN

    @property
    def done(self) -> bool:
        """True once every packet of the load has been sent."""
        return not self.leads_in and self.sender.done

    def stop(self, now: int) -> None:
        """Send no more load; from now on send testAction 2."""
        if self.action == TESTING:
            self.action, self._header_due = STOP, now

    def probe(self, now: int) -> None:
        """Send drain probes from now on, once the load is done."""
        if self._probes_from == _NEVER:
            self._probes_from = self._header_due = now

    def status(self, status: pdu.Status, now: int, wall: int) -> None:
        """Process a Status PDU received at ``now`` with the receive stamp ``wall``."""
        self.sender.feedback(status, wall)
        if self.lead_in is not None and self.leads_in:
            if self.lead_in.status(status, now) is not Hearing.PROVEN:
                return
            self.sender.begin(now, now + self._duration_ns if self.control.is_fixed else self.sender.end)
        changed = self.control.status(status, now)
        if changed is not None:
            self.sender.set_rate(changed)

    @property
    def deadline(self) -> int:
        """Time of the next packet; far in the future once the load has ended."""
        if self.lead_in is not None and self.leads_in:
            return min(self.lead_in.deadline, self._header_due)
        return self.sender.deadline if self._loads else self._header_due

    @property
    def _loads(self) -> bool:
        return self.action == TESTING and not self.leads_in and not self.sender.done

    def transmit(self, buffer: bytearray, now: int, wall: int, receive_stopped: int) -> int:
        """Put what is due into ``buffer`` and return its bytes, 0 for nothing."""
        self._last_was_load = self._loads
        if self._last_was_load:
            size = self._load(buffer, now, wall, receive_stopped)
            self.segment_bytes = self.sender.segment_bytes
            return size
        if self.lead_in is not None and self.leads_in:
            return self._pack_lead_in(self.lead_in, buffer, now, wall, receive_stopped)
        if now < self._header_due:
            return 0
        self._header_due = now + PROBE_SPACING_NS
        size = self.segment_bytes = pdu.LOAD_HEADER.size
        self.sender.pack_header(buffer, size, self.action, receive_stopped=receive_stopped, wall=wall)
        return size

    def _pack_lead_in(
        self, lead_in: LeadIn, buffer: bytearray, now: int, wall: int, receive_stopped: int
    ) -> int:
        size = self.segment_bytes = lead_in.next_size(now)
        if size:
            buffer[:size] = bytes(size)
            self.sender.pack_header(buffer, size, TESTING, receive_stopped=receive_stopped, wall=wall)
            if not self.control.is_fixed:
                self.sender.count_one(size, now)
        return size

    def _load(self, buffer: bytearray, now: int, wall: int, receive_stopped: int) -> int:
        lower = self.control.no_status(now)
        if lower is not None:
            self.sender.set_rate(lower)
        return self.sender.pack(buffer, now, wall, receive_stopped)

    def blocked(self, sent: int) -> None:
        """Correct the counts: only the first ``sent`` bytes last packed left this host."""
        if self._last_was_load:
            self.sender.blocked(sent)
