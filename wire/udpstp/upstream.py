"""The client's part of a running test upstream: it sends the load and hears from the server what came."""

from wire.udpstp import pdu, rates
from wire.udpstp.client_phase import BYTES_SPENT, NEVER, TOLERANCE_NS, LoadPhase
from wire.udpstp.ends import batches
from wire.udpstp.ends.rate_control import FixedRate, Told
from wire.udpstp.ends.sender import SendingEnd
from wire.udpstp.ends.series import FeedbackSeries, SentSeries, Totals, whole_interval_bps
from wire.udpstp.ends.watchdog import Tempo
from wire.udpstp.load import Ending, LoadInterval, LoadSoFar, Plan

_MS = 1_000_000
_S = 1_000_000_000

DRAIN_NS = 2_500 * _MS
"""The longest wait for what still stands in the line's queue; the server's watchdog allows 3 s."""

EMPTY_US = 400_000
"""A receiver that got nothing for so long has got all that will come."""

UNTOLD_NS = 400 * _MS
"""A receiver that said stop and then nothing for so long will not say more."""

_TIMER_SLACK_NS = 5 * _MS


class Upstream(LoadPhase):
    """Sends the load, then listens until the server has told of the last packet that came through."""

    def __init__(
        self, plan: Plan, activation: pdu.Activation, duration_ns: int, now: int, wall: int, overhead: int
    ) -> None:
        super().__init__(plan, duration_ns, now)
        self.tempo = Tempo.SEND
        control = Told(activation, plan.row, now) if plan.search else FixedRate(activation, now)
        self._interval_ns = activation.trial_interval * _MS
        self._overhead = overhead
        self._drained = NEVER
        self._untold = NEVER
        self.sending = SendingEnd(control, ipv6=plan.ipv6, start=now, duration_ns=duration_ns, wall=wall)
        self.series = FeedbackSeries(overhead=overhead)
        self.sent = SentSeries()

    @property
    def deadline(self) -> int:
        """The next Load PDU, the back-off, the watchdog, the end of the wait or of the linger."""
        return min(self.sending.deadline, self._watchdog.deadline, self._drained, self._untold, self._closing)

    @property
    def segment_bytes(self) -> int:
        """The size of each Load PDU last transmitted."""
        return self.sending.segment_bytes

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        """The Load PDUs that are due."""
        self._check_silence(now)
        if self.finished:
            return 0
        size = self.sending.transmit(buffer, now, wall, self._watchdog.receive_stopped(now))
        if self.sending.sender.done and self._drained == NEVER:
            self._drained = now + DRAIN_NS
        if now >= min(self._drained, self._untold):
            self._end_of_wait(now)
        return size

    def _end_of_wait(self, now: int) -> None:
        if self._untold == NEVER and self._watchdog.receive_stopped(now):
            self.finish(now, Ending.WATCHDOG, "the peer fell silent before it had told what it received")
        else:
            self.finish(now, self.ending, self.detail)

    def blocked(self, sent: int) -> None:
        """Count what the kernel refused."""
        self.sending.blocked(sent)

    def _say_stop(self, now: int) -> None:
        self.sending.stop(now)

    def spent(self, now: int) -> None:
        """Send no more load; what is on its way is still told, lest it read as loss."""
        sender = self.sending.sender
        if self._closing == NEVER and self._drained == NEVER:
            self.ending, self.detail = Ending.STOPPED, BYTES_SPENT
            sender.end, self._drained = min(sender.end, now), now + DRAIN_NS

    def receive(self, data: bytes | memoryview, now: int, wall: int, segment_bytes: int = 0) -> None:
        """Status PDUs."""
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
            self._mark_sent(now)
            self.sending.status(status, now, wall)
        if self._drained != NEVER and self._all_told():
            self.finish(now, self.ending, self.detail)

    def _mark_sent(self, now: int) -> None:
        sender = self.sending.sender
        if self._plan.search is None or sender.done or not sender.sent_packets:
            return
        ip_bytes = sender.sent_payload_bytes + sender.sent_packets * self._overhead
        self.sent.mark(sender.first_sent, now, ip_bytes, rates.bits_per_second(sender.rate))

    def _stopped_by_peer(self, now: int) -> None:
        """No more load; but the server may still tell of what was on its way."""
        sender = self.sending.sender
        if self._untold == NEVER and not sender.done:
            if now + TOLERANCE_NS < sender.end:
                self.ending, self.detail = Ending.STOPPED_BY_PEER, "the peer ended the test early"
            sender.end = now
        self._untold = now + UNTOLD_NS

    def _all_told(self) -> bool:
        totals = self.series.totals()
        if not totals.complete:
            return False
        sent = self.sending.sender.sent_packets
        distinct = totals.datagrams - totals.duplicated
        return distinct >= sent or self.series.empty_us >= EMPTY_US

    def so_far(self) -> LoadSoFar:
        """What has been sent; the rest as the Status PDUs have told it until now."""
        sender, series = self.sending.sender, self.series
        return LoadSoFar(
            line_bytes=sender.sent_payload_bytes + sender.sent_packets * self._overhead,
            packets=series.told_packets,
            lost_packets=series.told_lost,
            delay_us=series.newest_delay_us,
        )

    def fields(self) -> dict[str, object]:
        """The sender's side as it was; the receiver's as the Status PDUs told it."""
        sender = self.sending.sender
        intervals = self.series.intervals()
        totals = self.series.totals()
        estimated = self._untold_first(totals)
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
            "sent_intervals": self.sent.intervals(),
            "rtt_ns": None if rtt is None else (rtt + 1) * _MS,
        }

    def _untold_first(self, totals: Totals) -> int:
        """Packets received before the first Status, when that one was lost.

        All sent before it are unaccounted for, and no more than one trial interval's worth; of these the same
        share came through as of the others.
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
        told = min(max(unaccounted, 0), most)
        return round(told * distinct / (distinct + totals.lost))


def _receive_span_us(intervals: tuple[LoadInterval, ...], packets: int, ip_bytes: int) -> int:
    """The span that makes the report's rate that of the whole intervals."""
    rate = whole_interval_bps(intervals)
    if not rate or not packets:
        return sum(interval.duration_us for interval in intervals)
    return round(ip_bytes * (packets - 1) / packets * 8e6 / rate)
