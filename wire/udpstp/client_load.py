"""The client's part of a running test, in either direction."""

from abc import ABC, abstractmethod
from dataclasses import replace

from wire.records import Direction
from wire.udpstp import batches, feedback, pdu, rates
from wire.udpstp.arrivals import ArrivalSeries
from wire.udpstp.batches import LoadRun
from wire.udpstp.ends import ReceivingEnd, SendingEnd, Tempo, Watchdog
from wire.udpstp.feedback import FeedbackSeries, Totals
from wire.udpstp.load import Ending, LoadInterval
from wire.udpstp.plan import Plan
from wire.udpstp.sender import CATCH_UP_NS, CATCH_UP_PACKETS

_MS = 1_000_000
_S = 1_000_000_000
_NEVER = 1 << 62

LINGER_NS = 100 * _MS
"""How long to go on listening for late packets, and repeating the stop, when a test is over."""

DRAIN_NS = 2_500 * _MS
"""The longest wait for what still stands in the line's queue; the server's watchdog allows 3 s."""

EMPTY_US = 400_000
"""A receiver that got nothing for so long has got all that will come."""

HARD_STOP_NS = 3_500 * _MS
"""How long after its planned duration a load that no packet ends is stopped all the same (§9, §11)."""

UNTOLD_NS = 400 * _MS
"""A receiver that said stop and then nothing for so long will not say more."""

_TOLERANCE_NS = 100 * _MS
_TIMER_SLACK_NS = 5 * _MS


class LoadPhase(ABC):
    """What both directions have in common: the watchdog, cancelling, and how it ended."""

    tempo: Tempo

    def __init__(self, plan: Plan, duration_ns: int, now: int) -> None:
        self.ending = Ending.COMPLETED
        self.detail = ""
        self.finished = False
        self.duration_ns = duration_ns
        self._plan = plan
        self._watchdog = Watchdog(now)
        self._closing = _NEVER

    @property
    @abstractmethod
    def deadline(self) -> int:
        """When there is next something to send or to decide."""

    @property
    @abstractmethod
    def segment_bytes(self) -> int:
        """The size of each datagram last transmitted; the last of them may be shorter."""

    @abstractmethod
    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        """Put what is due into ``buffer`` and return its bytes, 0 for nothing."""

    @abstractmethod
    def receive(self, data: bytes | memoryview, now: int, wall: int, segment_bytes: int = 0) -> None:
        """Take in what was received at ``now`` with the receive stamp ``wall``.

        Several datagrams are of ``segment_bytes`` each, the last may be shorter; 0 stands for a single one.
        """

    @abstractmethod
    def blocked(self, sent: int) -> None:
        """Of what was last transmitted only the first ``sent`` bytes left this host, mostly none."""

    @abstractmethod
    def fields(self) -> dict[str, object]:
        """The report's fields that this direction knows."""

    @abstractmethod
    def _say_stop(self, now: int) -> None:
        """Begin to send PDUs that say stop."""

    def cancel(self, now: int) -> None:
        """Stop now; what was counted so far is reported."""
        self.finish(now, Ending.STOPPED, "stopped by its caller")

    def unreachable(self) -> None:
        """The peer's port is closed: its way of ending after the load; before, the watchdog decides."""
        if self._closing != _NEVER:
            self.finished = True

    def finish(self, now: int, ending: Ending = Ending.COMPLETED, detail: str = "") -> None:
        """Begin to close: say stop a few times, as nothing acknowledges it (§9)."""
        if self._closing == _NEVER:
            self.ending, self.detail = ending, detail
            self._closing = now + LINGER_NS
            self._say_stop(now)

    def _check_silence(self, now: int) -> None:
        if now >= self._closing:
            self.finished = True
        elif self._closing == _NEVER and now >= self._watchdog.deadline:
            self.finish(now, Ending.WATCHDOG, "the peer fell silent for 3 s during the test")


class Downstream(LoadPhase):
    """Receives the load. It begins with the first packet of the planned size: a server may lead in slower."""

    def __init__(
        self, plan: Plan, activation: pdu.Activation, duration_ns: int, now: int, overhead: int
    ) -> None:
        super().__init__(plan, duration_ns, now)
        self.tempo = Tempo.RECEIVE
        rate = rates.sending_rate(plan.row)
        sizes = {size for size in (rate.payload_1, rate.payload_2, rate.addon_2) if size}
        self._sizes = {rates.over_ipv6(size) for size in sizes} if plan.ipv6 else sizes
        self._any_size = any(size & pdu.RANDOM_SIZE for size in sizes)
        self._spacing = _S / rates.packets_per_second(rate)
        self._overhead = overhead
        self._hard_stop = now + duration_ns + HARD_STOP_NS
        self._end_of_load: int | None = None
        self._begun = self._led_in = False
        self.receiving = ReceivingEnd(activation)
        self.series = ArrivalSeries(overhead=overhead, spacing_ns=self._spacing)

    @property
    def deadline(self) -> int:
        """The next Status PDU, the watchdog, the hard stop, or the end of the linger."""
        stop = self._hard_stop if self._closing == _NEVER else self._closing
        return min(self.receiving.deadline, self._watchdog.deadline, stop)

    @property
    def segment_bytes(self) -> int:
        """The size of the Status PDU last transmitted."""
        return self.receiving.segment_bytes

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        """The Status PDU that is due."""
        self._check_silence(now)
        if now >= self._hard_stop:
            self._stop_hard(now)
        if self.finished:
            return 0
        return self.receiving.transmit(buffer, now, wall, self._watchdog.receive_stopped(now))

    def _stop_hard(self, now: int) -> None:
        if self._begun:
            self.finish(now)
        else:
            self.finish(now, Ending.BAD_RESPONSE, "the peer sends packets of another size than agreed on")

    def blocked(self, sent: int) -> None:
        """A Status that did not leave is as good as lost."""
        self.receiving.blocked(sent)

    def _say_stop(self, now: int) -> None:
        self.receiving.stop(now)

    def receive(self, data: bytes | memoryview, now: int, wall: int, segment_bytes: int = 0) -> None:
        """Load PDUs: of the lead-in, of the test, or after its end."""
        for run in batches.load_runs(data, segment_bytes):
            if self._takes_whole(run):
                self._take(run, now, wall)
            else:
                for single in run.singles():
                    self._take(single, now, wall)

    def _takes_whole(self, run: LoadRun) -> bool:
        end = self._end_of_load
        within = end is None or run.last <= end or run.first > end
        return within and self.receiving.takes_whole(run)

    def _take(self, run: LoadRun, now: int, wall: int) -> None:
        self._watchdog.feed(now)
        if run.action != pdu.TESTING:
            self._stopped_by_peer(run.first, run.sent, now)
        elif not self._begun and not self._begin(run.first, run.payload, wall, run.sent):
            self.receiving.load(run, now, wall)
        elif run.sent >= self.series.first_sent + self.duration_ns:
            self._over(run.first, now)
        elif self._end_of_load is None or run.first <= self._end_of_load:
            self.series.add(run, self.receiving.load(run, now, wall), wall)

    def _begin(self, sequence: int, size: int, wall: int, sent: int) -> bool:
        if size not in self._sizes and not self._any_size:
            self._led_in = True
            return False
        self._begun = True
        self.series.begin(sequence if self._led_in else 1, sequence, wall, sent)
        return True

    def _over(self, sequence: int, now: int) -> None:
        """``sequence`` is the first after the load: a queue keeps its order, so that all before it is due."""
        last = sequence - 1
        self._end_of_load = last if self._end_of_load is None else min(self._end_of_load, last)
        self.finish(now)

    def _stopped_by_peer(self, sequence: int, sent: int, now: int) -> None:
        early = not self._begun or sent + _TOLERANCE_NS < self.series.first_sent + self.duration_ns
        if early and self._closing == _NEVER:
            self.finish(now, Ending.STOPPED_BY_PEER, "the peer ended the test early")
        self._over(sequence, now)

    def fields(self) -> dict[str, object]:
        """Counts of the series; the sender's side is inferred from it."""
        series = self.series
        last = self._last_sequence()
        sent = last - series.first_sequence + 1 if series.packets else 0
        mean = series.payload_bytes / series.packets if series.packets else 0
        allowed = max(int(CATCH_UP_PACKETS * self._spacing), CATCH_UP_NS)
        bound = self.receiving.receiver.rtt_bound
        return {
            "sent_packets": sent,
            "sent_ip_bytes": round(sent * (mean + self._overhead)),
            "send_span_us": _span_us(series, sent),
            "stall_us": series.stall_ns(allowed) // 1000,
            "longest_gap_us": series.longest_gap_ns // 1000,
            "received_packets": series.packets,
            "received_ip_bytes": series.payload_bytes + series.packets * self._overhead,
            "receive_span_us": (series.last_wall - series.first_wall) // 1000,
            "lost": max(sent - (series.packets - series.duplicated), 0),
            "reordered": series.reordered,
            "duplicated": series.duplicated,
            "intervals": series.intervals(),
            "rtt_ns": bound,
        }

    def _last_sequence(self) -> int:
        """Of the last packet sent: the peer's stop follows it, unless the first of the stops was lost, too.

        No more can have been sent than was planned.
        """
        highest = self.series.highest
        if self._end_of_load is None:
            return highest
        planned = self.series.first_sequence - 1 + round(self.duration_ns / self._spacing)
        return max(min(self._end_of_load, planned), highest)


def _span_us(series: ArrivalSeries, sent: int) -> int:
    """From the first to the last packet sent: the span seen, stretched over those lost at its end."""
    seen = series.highest - series.first_sequence
    span = (series.last_sent - series.first_sent) // 1000
    return span * (sent - 1) // seen if seen > 0 else 0


class Upstream(LoadPhase):
    """Sends the load, then listens until the server has told of the last packet that came through."""

    def __init__(
        self, plan: Plan, activation: pdu.Activation, duration_ns: int, now: int, wall: int, overhead: int
    ) -> None:
        super().__init__(plan, duration_ns, now)
        self.tempo = Tempo.SEND
        rate = rates.sending_rate(plan.row)
        self._interval_ns = activation.trial_interval * _MS
        self._overhead = overhead
        self._drained = _NEVER
        self._untold = _NEVER
        self.sending = SendingEnd(
            activation, rate, ipv6=plan.ipv6, start=now, duration_ns=duration_ns, wall=wall
        )
        self.series = FeedbackSeries(overhead=overhead)

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
        if self.sending.sender.done and self._drained == _NEVER:
            self._drained = now + DRAIN_NS
        if now >= min(self._drained, self._untold):
            self._end_of_wait(now)
        return size

    def _end_of_wait(self, now: int) -> None:
        if self._untold == _NEVER and self._watchdog.receive_stopped(now):
            self.finish(now, Ending.WATCHDOG, "the peer fell silent before it had told what it received")
        else:
            self.finish(now, self.ending, self.detail)

    def blocked(self, sent: int) -> None:
        """Count what the kernel refused."""
        self.sending.blocked(sent)

    def _say_stop(self, now: int) -> None:
        self.sending.stop(now)

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
        elif self._closing == _NEVER:
            self.sending.status(status, now, wall)
        if self._drained != _NEVER and self._all_told():
            self.finish(now, self.ending, self.detail)

    def _stopped_by_peer(self, now: int) -> None:
        """No more load; but the server may still tell of what was on its way."""
        sender = self.sending.sender
        if self._untold == _NEVER and not sender.done:
            if now + _TOLERANCE_NS < sender.end:
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
            "backoff_steps": self.sending.backoff.steps,
            "received_packets": received,
            "received_ip_bytes": ip_bytes,
            "receive_span_us": _receive_span_us(intervals, received, ip_bytes),
            "lost": max(sender.sent_packets - max(received - totals.duplicated, 0), 0),
            "reordered": totals.reordered,
            "duplicated": totals.duplicated,
            "estimated_packets": estimated,
            "status_lost": self.series.missing,
            "intervals": intervals,
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
    rate = feedback.whole_interval_bps(intervals)
    if not rate or not packets:
        return sum(interval.duration_us for interval in intervals)
    return round(ip_bytes * (packets - 1) / packets * 8e6 / rate)


def begin(plan: Plan, response: pdu.Activation, now: int, wall: int, overhead: int) -> LoadPhase:
    """Start the load as the server has accepted it; a test of another rate is stopped before it begins.

    The server's test length may differ from the one asked: a longer one is stopped early, a shorter one
    adopted.
    """
    fault = _coerced(plan, response)
    if fault:  # its values are not to be trusted: an interval of 0 would be an endless burst of Status PDUs
        response = replace(response, trial_interval=50, sub_interval=250)
    duration_ns = min(plan.duration_s, response.test_s) * _S
    phase: LoadPhase
    if plan.direction is Direction.DOWN:
        phase = Downstream(plan, response, duration_ns, now, overhead)
    else:
        phase = Upstream(plan, response, duration_ns, now, wall, overhead)
    if fault:
        phase.finish(now, Ending.COERCED, fault)
    return phase


def _coerced(plan: Plan, response: pdu.Activation) -> str:
    """What the server changed that makes it another test; empty when it is the one asked for (§7.3)."""
    if response.row == pdu.SEARCH_INDEX or response.modifiers & pdu.ACTIVATION_START_INDEX:
        return "the peer would search for the capacity instead of sending at a fixed rate"
    if response.row != plan.row:
        return f"the peer would send at row {response.row} instead of {plan.row}"
    if not response.test_s or not 5 <= response.trial_interval <= 250 or response.sub_interval < 100:
        return "the peer answered with impossible test parameters"
    if plan.direction is Direction.UP and response.rate != rates.sending_rate(plan.row):
        return "the peer's sending-rate table has another packet size or interval in that row"
    return ""
