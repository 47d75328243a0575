"""Load phase of a test up, at the client: it sends the load, and the server reports on it.

| state | event | next state |
|---|---|---|
| sending | the planned end, the byte limit, or a stop by the server | draining |
| draining | 14 reports of drain probes alone: the queue of the load is gone | closing |
| draining, without probes | the reports account for every packet, or 0.4 s of empty reports | closing |
| draining | 2.5 s, or 0.4 s after the server's last stop | closing |
| any | 3 s without a report (watchdog), or a stop by the caller | closing |

While draining no load is sent: packets in the line's queue still arrive, and the server still reports them. A
packet must not count as lost because its report was not awaited. A server that accepted drain probes gets
them meanwhile, and reports their delays.
"""

from wire.udpstp import pdu, rates
from wire.udpstp.client_phase import BYTES_SPENT, NEVER, TOLERANCE_NS, LoadPhase
from wire.udpstp.ends import batches
from wire.udpstp.ends.rate_control import FixedRate, RateControl, RemoteSearch
from wire.udpstp.ends.sender import SendingEnd
from wire.udpstp.ends.series import FeedbackSeries, FeedbackTotals, SentSeries, whole_interval_bps
from wire.udpstp.ends.watchdog import Tempo
from wire.udpstp.load import Ending, LoadInterval, LoadSoFar, Plan

_MS = 1_000_000
_S = 1_000_000_000

# A full queue of one second and a geostationary round trip are over by then.
DRAIN_NS = 2_500 * _MS
"""Longest wait for packets in the line's queue; below the 3 s of the server's watchdog."""

PROBE_INTERVALS = 14
"""Reports of drain probes alone, 0.7 s. The first shows the drain, the others how still the path is."""

EMPTY_US = 400_000
"""Time without a packet at the receiver after which no more are expected."""

LAST_REPORT_NS = 400 * _MS
"""Time without a Status after the server's stop after which no more are expected."""

# A Status timer fires late, never early: its interval may have that much more load in it.
_TIMER_SLACK_NS = 5 * _MS


class UpPhase(LoadPhase):
    """Sends the load, then waits until the server has reported the last packet that arrived."""

    def __init__(
        self,
        plan: Plan,
        activation: pdu.Activation,
        duration_ns: int,
        now: int,
        wall: int,
        overhead: int,
        *,
        has_probes: bool = False,
    ) -> None:
        super().__init__(plan, duration_ns, now)
        self.tempo = Tempo.SEND
        searches = plan.search is not None
        control: RateControl = (
            RemoteSearch(activation, plan.row, now, plan.table)
            if searches
            else FixedRate(activation, now, plan.table)
        )
        self._interval_ns = activation.trial_interval * _MS
        self._overhead = overhead
        self._has_probes = has_probes
        self._drained = NEVER
        self._last_report = NEVER
        self.sending = SendingEnd(control, ipv6=plan.ipv6, start=now, duration_ns=duration_ns, wall=wall)
        self.series = FeedbackSeries(overhead=overhead)
        self.sent = SentSeries()

    @property
    def deadline(self) -> int:
        """Time of the next Load PDU, rate reduction, or change of state."""
        return min(
            self.sending.deadline, self._watchdog.deadline, self._drained, self._last_report, self._closing
        )

    @property
    def segment_bytes(self) -> int:
        """Size of each Load PDU last transmitted."""
        return self.sending.segment_bytes

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        """Put the due Load PDUs into ``buffer`` and return their bytes, 0 for none."""
        self._check_silence(now)
        if self.finished:
            return 0
        size = self.sending.transmit(buffer, now, wall, self._watchdog.receive_stopped(now))
        if self.sending.sender.done and self._drained == NEVER:
            self._drained = now + DRAIN_NS
            if self._has_probes:
                self.sending.probe(now)
        if now >= min(self._drained, self._last_report):
            self._end_of_wait(now)
        return size

    def _end_of_wait(self, now: int) -> None:
        if self._last_report == NEVER and self._watchdog.receive_stopped(now):
            self.finish(now, Ending.WATCHDOG, "the peer fell silent before it had reported all it received")
        else:
            self.finish(now, self.ending, self.detail)

    def blocked(self, sent: int) -> None:
        """Take packets that the kernel refused out of the counts."""
        self.sending.blocked(sent)

    def _send_stop(self, now: int) -> None:
        self.sending.stop(now)

    def end_at_byte_limit(self, now: int) -> None:
        """Send no more load, but wait for the reports: a packet not reported would count as lost."""
        sender = self.sending.sender
        if self._closing == NEVER and self._drained == NEVER:
            self.ending, self.detail = Ending.STOPPED, BYTES_SPENT
            sender.end, self._drained = min(sender.end, now), now + DRAIN_NS

    def receive(self, data: bytes | memoryview, now: int, wall: int, segment_bytes: int = 0) -> None:
        """Process Status PDUs."""
        for packet in batches.pieces(data, segment_bytes):
            status = pdu.parse_status(packet)
            if status is not None:
                self._status(status, now, wall)

    def _status(self, status: pdu.Status, now: int, wall: int) -> None:
        self._watchdog.feed(now)
        self.series.add(status)
        if status.action != pdu.TESTING:
            self._stopped_by_peer(now)
        elif self._closing == NEVER:
            self._note_sent(now)
            self.sending.status(status, now, wall)
        if self._drained != NEVER and self._all_reported():
            self.finish(now, self.ending, self.detail)

    def _note_sent(self, now: int) -> None:
        sender = self.sending.sender
        if self._plan.search is None or sender.done or not sender.sent_packets:
            return
        ip_bytes = sender.sent_payload_bytes + sender.sent_packets * self._overhead
        self.sent.add(sender.first_sent, now, ip_bytes, rates.bits_per_second(sender.rate))

    def _stopped_by_peer(self, now: int) -> None:
        sender = self.sending.sender
        if self._last_report == NEVER and not sender.done:
            if now + TOLERANCE_NS < sender.end:
                self.ending, self.detail = Ending.STOPPED_BY_PEER, "the peer ended the test early"
            sender.end = now
        # A server may stop first and report the packets that were in the queue after that.
        self._last_report = now + LAST_REPORT_NS

    def _all_reported(self) -> bool:
        totals = self.series.totals()
        if not totals.complete:
            return False
        sent = self.sending.sender.sent_packets
        if self._has_probes and self.series.probe_intervals >= PROBE_INTERVALS:
            return True
        distinct = totals.datagrams - totals.duplicated
        # Packets lost on the line are never reported: empty reports end the wait for them.
        is_whole = distinct >= sent and not self._has_probes
        return is_whole or self.series.empty_us >= EMPTY_US

    def so_far(self) -> LoadSoFar:
        """Bytes sent until now, and packets that the Status PDUs have reported until now."""
        sender, series = self.sending.sender, self.series
        return LoadSoFar(
            line_bytes=sender.sent_payload_bytes + sender.sent_packets * self._overhead,
            packets=series.reported_packets,
            lost_packets=series.reported_lost,
            delay_us=series.newest_delay_us,
            sent_packets=sender.sent_packets,
        )

    def fields(self) -> dict[str, object]:
        """Fields of the sender as counted here, of the receiver as reported by the Status PDUs."""
        sender = self.sending.sender
        intervals = self.series.intervals()
        totals = self.series.totals()
        estimated = self._received_before_first_status(totals)
        received = totals.datagrams + estimated
        mean = totals.payload_bytes / totals.datagrams if totals.datagrams else 0.0
        ip_bytes = round(received * (mean + self._overhead))
        rtt = self.series.rtt_minimum_ms
        return {
            "sent_packets": sender.sent_packets,
            "sent_ip_bytes": sender.sent_payload_bytes + sender.sent_packets * self._overhead,
            "send_span_us": (sender.last_sent - sender.first_sent) // 1000,
            "stall_us": sender.stall_ns // 1000,
            "longest_gap_us": sender.longest_gap_ns // 1000,
            "blocked_sends": sender.blocked_sends,
            "backoff_steps": self.sending.control.backoff_steps,
            "received_packets": received,
            "received_ip_bytes": ip_bytes,
            "receive_span_us": _receive_span_us(intervals, received, ip_bytes),
            "lost": max(sender.sent_packets - max(received - totals.duplicated, 0), 0),
            "reordered": totals.reordered,
            "duplicated": totals.duplicated,
            "estimated_packets": estimated,
            "status_lost": self.series.missing,
            "intervals": intervals,
            "drain": self.series.drain() if self._has_probes else (),
            "sent_intervals": self.sent.intervals(),
            # Whole milliseconds, perhaps rounded down: the next one is the bound that holds.
            "rtt_ns": None if rtt is None else (rtt + 1) * _MS,
        }

    def _received_before_first_status(self, totals: FeedbackTotals) -> int:
        """Estimate the packets received before the first Status, where that Status was lost.

        They are among the sent packets that no report accounts for, and are those of one trial interval at
        most. The share received is taken from the reported packets.
        """
        if totals.first_known or not totals.datagrams:
            return 0
        distinct = totals.datagrams - totals.duplicated
        if distinct <= 0:
            return 0
        sender = self.sending.sender
        unaccounted = sender.sent_packets - distinct - totals.lost
        rate = rates.packets_per_second(sender.rate)
        most = round(rate * (self._interval_ns + _TIMER_SLACK_NS) / _S)
        candidates = min(max(unaccounted, 0), most)
        return round(candidates * distinct / (distinct + totals.lost))


def _receive_span_us(intervals: tuple[LoadInterval, ...], packets: int, ip_bytes: int) -> int:
    """Span for which the report's rate becomes the rate of the whole intervals."""
    rate = whole_interval_bps(intervals)
    if not rate or not packets:
        return sum(interval.duration_us for interval in intervals)
    return round(ip_bytes * (packets - 1) / packets * 8e6 / rate)
