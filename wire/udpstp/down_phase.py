"""Load phase of a test down, at the client: it receives the load and reports on it to the server.

| state | event | next state |
|---|---|---|
| lead-in | the first packet of a planned size | counting |
| counting | a packet sent after the planned duration, or the server's stop | closing |
| counting | the server's stop as a header alone, at the planned end | draining |
| draining | 0.7 s of such stops | closing |
| any | the hard stop, the watchdog, a stop by the caller | closing |
| counting | the byte limit | stopping |
| stopping | no packet for 0.1 s, or 2 s | closing |

Packets are counted up to the one that ends the load, whenever they arrive; later ones never are.
"""

from collections.abc import Iterator

from wire.udpstp import pdu, rates
from wire.udpstp.client_phase import LINGER_NS, NEVER, TOLERANCE_NS, LoadPhase
from wire.udpstp.ends import batches
from wire.udpstp.ends.batches import LoadRun
from wire.udpstp.ends.receiver import ReceivingEnd
from wire.udpstp.ends.schedule import CATCH_UP_NS, CATCH_UP_PACKETS
from wire.udpstp.ends.series import ArrivalSeries
from wire.udpstp.ends.watchdog import Tempo
from wire.udpstp.load import DrainSample, Ending, LoadSoFar, Plan

_MS = 1_000_000
_S = 1_000_000_000

HARD_STOP_NS = 3_500 * _MS
"""Time after the planned duration at which a load that no packet has ended is stopped (§9, §11)."""

DRAINING_NS = 700 * _MS
"""Time in which the server's repeated stops show the drain of the load's queue, and how still the path is."""

MOST_PROBES = 1000

LEAD_IN_LOSS = 3
"""Packets missing before the load that may be of the lead-in; more of them are load that was lost."""

STOPPING_NS = 2_000 * _MS
"""Longest wait for the effect of a stop: a geostationary round trip and a second of queue, with a reserve."""


class DownPhase(LoadPhase):
    """Receives the load.

    At a fixed rate it begins with the first packet of the planned size. A search begins with the first
    packet, and its sender's schedule is not known.
    """

    def __init__(
        self, plan: Plan, activation: pdu.Activation, duration_ns: int, now: int, overhead: int
    ) -> None:
        super().__init__(plan, duration_ns, now)
        self.tempo = Tempo.RECEIVE
        rate = plan.table.sending_rate(plan.row)
        sizes = {size for size in (rate.payload_1, rate.payload_2, rate.addon_2) if size}
        self._sizes = {rates.over_ipv6(size) for size in sizes} if plan.ipv6 else sizes
        # A server sends a lead-in of other sizes until its client has proved that it hears, the reference
        # server until its first Status.
        self._any_size = plan.search is not None or any(size & pdu.RANDOM_SIZE for size in sizes)
        # 0 stands for a schedule that is not known: stalls and lost packets at the end cannot be inferred
        # then.
        self._spacing = 0.0 if plan.search else _S / rates.packets_per_second(rate)
        self._overhead = overhead
        # For a lead-in, which is longer than a load of a second may be.
        self._hard_stop = now + max(duration_ns, 2 * _S) + HARD_STOP_NS
        self._counting_until = 0
        self._end_of_load: int | None = None
        self._drained = NEVER
        self._probes: list[tuple[int, int]] = []  # receive stamp and delay of each, ns
        self.begun = False
        self._led_in = 0  # newest sequence number of the lead-in
        self.receiving = ReceivingEnd(activation)
        self.series = ArrivalSeries(overhead=overhead, spacing_ns=self._spacing)

    @property
    def deadline(self) -> int:
        """Time of the next Status PDU or change of state."""
        stop = self._hard_stop if self._closing == NEVER else self._closing
        return min(self.receiving.deadline, self._watchdog.deadline, self._drained, stop)

    @property
    def segment_bytes(self) -> int:
        """Size of the Status PDU last transmitted."""
        return self.receiving.segment_bytes

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        """Put the due Status PDU into ``buffer`` and return its bytes, 0 for none."""
        self._check_silence(now)
        if now >= self._hard_stop:
            self._stop_hard(now)
        elif now >= self._drained:
            self._drained = NEVER
            self.finish(now)
        if self.finished:
            return 0
        return self.receiving.transmit(buffer, now, wall, self._watchdog.receive_stopped(now))

    def _stop_hard(self, now: int) -> None:
        if self.begun:
            self.finish(now)
        elif self._watchdog.receive_stopped(now):
            self.finish(now, Ending.WATCHDOG, "the peer heard too few of our reports to begin its load")
        else:
            self.finish(now, Ending.BAD_RESPONSE, "the peer sends packets of another size than agreed on")

    def blocked(self, sent: int) -> None:
        """Count a Status that the kernel refused as a lost one."""
        self.receiving.blocked(sent)

    def _send_stop(self, now: int) -> None:
        self.receiving.stop(now)

    def end_at_byte_limit(self, now: int) -> None:
        """Stop, and count the packets that arrive until the server has stopped: they cost bytes as well."""
        if self._closing == NEVER:
            super().end_at_byte_limit(now)
            self._counting_until = now + STOPPING_NS

    def cancel(self, now: int) -> None:
        """Stop, and do not wait until the server has stopped."""
        self._counting_until = 0
        super().cancel(now)

    def receive(self, data: bytes | memoryview, now: int, wall: int, segment_bytes: int = 0) -> None:
        """Process Load PDUs: of the lead-in, of the test, or after its end."""
        # Each packet that still arrives puts the end off: the server has not stopped yet.
        if self._closing < self._counting_until:
            self._closing = min(max(self._closing, now + LINGER_NS), self._counting_until)
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
            self._stopped_by_peer(run, now, wall)
        # Lead-in: the server needs feedback on it, but it is no part of the series.
        elif not self.begun and not self._begin(run, now, wall):
            self.receiving.load(run, now, wall)
        # By the send stamp, not by the arrival: a queue must not shorten the test.
        elif run.sent >= self.series.first_sent + self.duration_ns:
            self._over(run.first, now)
        elif self._end_of_load is None or run.first <= self._end_of_load:
            self.series.add(run, self.receiving.load(run, now, wall), wall)

    def _begin(self, run: LoadRun, now: int, wall: int) -> bool:
        if run.payload not in self._sizes and not self._any_size:
            self._led_in = max(self._led_in, run.last)
            return False
        self.begun = True
        self._hard_stop = now + self.duration_ns + HARD_STOP_NS
        begins_here = self._led_in and run.first - self._led_in - 1 <= LEAD_IN_LOSS
        self.series.begin(run.first if begins_here else self._led_in + 1, run.first, wall, run.sent)
        return True

    def _over(self, sequence: int, now: int) -> None:
        """End the load at ``sequence``, the first packet after it."""
        # A queue keeps its order: packets before this one have arrived or are lost.
        last = sequence - 1
        self._end_of_load = last if self._end_of_load is None else min(self._end_of_load, last)
        self.finish(now)

    def _stopped_by_peer(self, run: LoadRun, now: int, wall: int) -> None:
        early = not self.begun or run.sent + TOLERANCE_NS < self.series.first_sent + self.duration_ns
        if early and self._closing == NEVER:
            self.finish(now, Ending.STOPPED_BY_PEER, "the peer ended the test early")
        # Stops of a foreign server have the size of its load: they keep the queue full.
        is_probe = run.payload == pdu.LOAD_HEADER.size and self._plan.has_drain_probes
        if not is_probe or self._closing != NEVER:
            self._over(run.first, now)
            return
        if self._end_of_load is None:
            self._end_of_load, self._drained = run.first - 1, now + DRAINING_NS
        if len(self._probes) < MOST_PROBES:
            self._probes.append((wall, wall - run.sent))

    def so_far(self) -> LoadSoFar:
        """Packets received until now; gaps before the newest packet count as lost."""
        series = self.series
        least = self.receiving.receiver.delay_minimum
        if not series.packets or least is None:
            return LoadSoFar()
        distinct = series.packets - series.duplicated
        return LoadSoFar(
            line_bytes=series.payload_bytes + series.packets * self._overhead,
            packets=distinct,
            lost_packets=max(0, series.highest - series.first_sequence + 1 - distinct),
            delay_us=max(0, series.last_wall - series.last_sent - least) // 1000,
        )

    def fields(self) -> dict[str, object]:
        """Fields of the receiver as counted here, of the sender as inferred from the packets received."""
        series = self.series
        last = self._last_sequence()
        sent = last - series.first_sequence + 1 if series.packets else 0
        mean = series.payload_bytes / series.packets if series.packets else 0
        bound = self.receiving.receiver.rtt_bound
        return {
            "sent_packets": sent,
            "sent_ip_bytes": self._sent_ip_bytes(sent, mean + self._overhead),
            "send_span_us": _span_us(series, sent),
            "stall_us": self._stall_us(),
            "longest_gap_us": series.longest_gap_ns // 1000,
            "received_packets": series.packets,
            "received_ip_bytes": series.payload_bytes + series.packets * self._overhead,
            "receive_span_us": (series.last_wall - series.first_wall) // 1000,
            "lost": max(sent - (series.packets - series.duplicated), 0),
            "reordered": series.reordered,
            "duplicated": series.duplicated,
            "intervals": series.intervals(),
            "drain": tuple(self._drain_samples()),
            "rtt_ns": bound,
        }

    def _drain_samples(self) -> Iterator[DrainSample]:
        series = self.series
        for wall, delay in self._probes:
            offset_us = max(0, wall - series.last_wall) // 1000
            yield DrainSample(offset_us, (delay - series.delay_minimum) / 1000)

    def _sent_ip_bytes(self, sent: int, mean: float) -> int:
        if self._spacing:
            return round(sent * mean)
        # A search changes packet sizes as it climbs: lost packets had the mean size of their interval.
        intervals = [one for one in self.series.intervals() if one.datagrams]
        lost = sum(one.lost for one in intervals)
        size = sum(one.lost * one.ip_bytes / one.datagrams for one in intervals) / lost if lost else mean
        distinct = self.series.packets - self.series.duplicated
        return round(distinct * mean + max(sent - distinct, 0) * size)

    def _stall_us(self) -> int:
        if not self._spacing:
            return 0
        # As much as a sender may catch up: that is no stall.
        allowed = max(int(CATCH_UP_PACKETS * self._spacing), CATCH_UP_NS)
        return self.series.stall_ns(allowed) // 1000

    def _last_sequence(self) -> int:
        highest = self.series.highest
        if self._end_of_load is None:
            return highest
        if not self._spacing:
            return max(self._end_of_load, highest)
        # The first stops may be lost, too: then the end seen lies behind the number of packets planned.
        planned = self.series.first_sequence - 1 + round(self.duration_ns / self._spacing)
        return max(min(self._end_of_load, planned), highest)


def _span_us(series: ArrivalSeries, sent: int) -> int:
    """Time from the first to the last packet sent: the span seen, extended over packets lost at its end."""
    seen = series.highest - series.first_sequence
    span = (series.last_sent - series.first_sent) // 1000
    return span * (sent - 1) // seen if seen > 0 else 0
