"""Receiver of a load: counts Load PDUs and packs the Status PDUs that report them (RFC 9946 §8.2).

``LoadReceiver`` counts. ``ReceivingEnd`` adds the time: a Status every trial interval, with the next rate of
a search. Delays are kept in nanoseconds and rounded to the protocol's milliseconds when they are written. In
this way the sum over an interval gives a mean finer than a millisecond.
"""

from collections import deque
from enum import Enum

from msgspec.structs import replace

from wire import ip_layer
from wire.udpstp import pdu
from wire.udpstp.ends import batches
from wire.udpstp.ends.batches import LoadRun
from wire.udpstp.ends.hearing import StatusBudget
from wire.udpstp.ends.search import RateSearch
from wire.udpstp.ends.watchdog import Tempo
from wire.udpstp.pdu import NO_DELAY, OFF, STOP, TESTING, SendingRate, SubInterval

RECENT = 32
"""Number of accepted sequence numbers kept to distinguish a duplicate from a late packet."""

_MS = 1_000_000
_S = 1_000_000_000
_COUNTER_MAX = 0xFFFFFFFF


def _to_ms(nanoseconds: int) -> int:
    return min((nanoseconds + _MS // 2) // _MS, _COUNTER_MAX - 1)


class PacketOrder(Enum):
    """Class of a Load PDU by its sequence number."""

    IN_ORDER = 1
    LATE = 2
    DUPLICATE = 3


class IntervalCounters:
    """Counters of one interval at the receiver; delays in ns above the minimum known at each packet."""

    __slots__ = (
        "datagrams", "delay_count", "delay_max", "delay_min", "delay_sum", "duplicated", "lost",
        "payload_bytes", "reordered", "rtt_max", "rtt_min",
    )  # fmt: skip

    def __init__(self) -> None:
        self.datagrams = self.payload_bytes = 0
        self.lost = self.reordered = self.duplicated = 0
        self.delay_sum = self.delay_count = self.delay_max = 0
        self.delay_min: int | None = None
        self.rtt_max = 0
        self.rtt_min: int | None = None

    def delay(self, value: int, count: int) -> None:
        """Add ``count`` equal delay samples."""
        self.delay_sum += value * count
        self.delay_count += count
        self.delay_max = max(self.delay_max, value)
        if self.delay_min is None or value < self.delay_min:
            self.delay_min = value

    def rtt(self, value: int) -> None:
        """Add one round-trip variation sample."""
        self.rtt_max = max(self.rtt_max, value)
        if self.rtt_min is None or value < self.rtt_min:
            self.rtt_min = value


def _ms_or_none(value: int | None) -> int:
    return NO_DELAY if value is None else _to_ms(value)


class LoadReceiver:
    """Counters of one load.

    ``packets`` are those received, duplicates included; ``highest`` is the highest sequence number seen.
    ``delay_minimum`` is the smallest one-way delay: receive stamp minus send stamp in ns, negative where the
    clocks differ. ``rtt_minimum`` is the smallest round trip in ns.

    ``rtt_bound`` is the smallest round trip whose response delay was 0. Others may be too small: the response
    delay is subtracted, and it is stated in whole milliseconds.
    """

    def __init__(self, activation: pdu.Activation) -> None:
        self.highest = 0
        self.packets = 0
        self.delay_minimum: int | None = None
        self.rtt_minimum: int | None = None
        self.rtt_bound: int | None = None
        self.first_wall = self.last_wall = 0
        self._recent = deque([0] * RECENT, RECENT)
        self._trial, self._running = IntervalCounters(), IntervalCounters()
        self._interval_begin = 0
        self._last_echo = (0, 0)
        self._rtt_sample: int | None = None
        self._minimum_updated = 0
        self._status_sequence = 0
        # The Status nearest to the period ends it, as in the reference program: one is sent each trial
        # interval.
        self._period_ns = (activation.sub_interval - activation.trial_interval // 2) * _MS
        self._period_begin: int | None = None
        self._finished = pdu.NO_SUB_INTERVAL
        self._finished_number = 0
        self._elapsed_ns = 0

    def load(self, run: LoadRun, now: int, wall: int) -> PacketOrder:
        """Count valid Load PDUs of the test, received at ``now`` with the receive stamp ``wall``.

        A run of several packets must begin above ``highest``, which puts all of it in order.
        """
        if not self.packets:
            self.first_wall, self._interval_begin = wall, now
        self.last_wall = wall
        self.packets += run.count
        for counters in (self._trial, self._running):
            counters.datagrams += run.count
            counters.payload_bytes += run.payload * run.count
        arrival = PacketOrder.IN_ORDER
        if run.first > self.highest:
            self._in_order(run, wall - run.sent)
        else:
            arrival = self._out_of_order(run.first)
            if arrival is PacketOrder.DUPLICATE:
                return arrival
        # Duplicates have returned before: they would push out numbers that may still come twice.
        self._recent.extend(range(run.first, run.last + 1))
        if run.echo != self._last_echo:
            self._last_echo = run.echo
            echo_s, echo_ns = run.echo
            self._round_trip(wall - echo_s * _S - echo_ns, run.response_delay * _MS)
        return arrival

    def probe(self, delay: int, count: int) -> None:
        """Take drain probes of this delay (ns): they give delays to the trial interval, and count nowhere."""
        if self.delay_minimum is None or delay < self.delay_minimum:
            self.delay_minimum, self._minimum_updated = delay, 1
        self._trial.delay(delay - self.delay_minimum, count)

    def _in_order(self, run: LoadRun, delay: int) -> None:
        missing, samples = run.first - self.highest - 1, run.count
        self.highest = run.last
        self._trial.lost += missing
        self._running.lost += missing
        if self.delay_minimum is None:
            # The first packet sets the minimum and gives no sample above it, as in the reference program.
            samples -= 1
        if self.delay_minimum is None or delay < self.delay_minimum:
            self.delay_minimum = delay
            self._minimum_updated = 1
        if samples:
            self._trial.delay(delay - self.delay_minimum, samples)
            self._running.delay(delay - self.delay_minimum, samples)

    def _out_of_order(self, sequence: int) -> PacketOrder:
        duplicate = sequence in self._recent
        for counters in (self._trial, self._running):
            if duplicate:
                counters.duplicated += 1
            else:
                counters.reordered += 1
                # Its gap was counted as a loss, unless a Status has reported that interval already.
                counters.lost -= counters.lost > 0
        return PacketOrder.DUPLICATE if duplicate else PacketOrder.LATE

    def _round_trip(self, elapsed: int, response_delay: int) -> None:
        """Add one sample for each Status echoed."""
        rtt = elapsed - response_delay
        if rtt < 0:
            # A response delay rounded up by less than 1 ms means 0; a larger one is not trusted at all.
            rtt = 0 if rtt >= -_MS else max(elapsed, 0)
        if not response_delay and (self.rtt_bound is None or rtt < self.rtt_bound):
            self.rtt_bound = rtt
        if self.rtt_minimum is None or rtt < self.rtt_minimum:
            self.rtt_minimum = rtt
            self._minimum_updated = 1
        self._rtt_sample = rtt - self.rtt_minimum
        self._running.rtt(self._rtt_sample)

    def status(self, now: int, wall: int, *, action: int, receive_stopped: int, rate: SendingRate) -> bytes:
        """Pack the Status PDU of the trial interval that ends now, and begin the next one."""
        trial = self._trial
        self._status_sequence += 1
        packed = pdu.Status(
            sequence=self._status_sequence, action=action, receive_stopped=receive_stopped, rate=rate,
            sub_interval_number=self._finished_number, sub_interval=self._finished,
            lost=min(trial.lost, _COUNTER_MAX), reordered=trial.reordered, duplicated=trial.duplicated,
            clock_delta_min=self._clock_delta(), delay_min=_ms_or_none(trial.delay_min),
            delay_max=_to_ms(trial.delay_max), delay_sum=_to_ms(trial.delay_sum),
            delay_count=trial.delay_count, rtt_minimum=_ms_or_none(self.rtt_minimum),
            rtt_variation=_ms_or_none(self._rtt_sample), minimum_updated=self._minimum_updated,
            interval_us=min((now - self._interval_begin) // 1000, _COUNTER_MAX),
            datagrams=trial.datagrams, payload_bytes=trial.payload_bytes & _COUNTER_MAX,
            sent_s=wall // _S & _COUNTER_MAX, sent_ns=wall % _S,
        ).pack()  # fmt: skip
        self._trial, self._interval_begin = IntervalCounters(), now
        self._rtt_sample, self._minimum_updated = None, 0
        self._close_sub_interval(now)
        return packed

    def _clock_delta(self) -> int:
        delta = _to_ms(self.delay_minimum or 0)
        return max(-(2**31), min(delta, 2**31 - 1))

    def _close_sub_interval(self, now: int) -> None:
        # The first begins with the first Status; a finished one is part of the Status PDUs after it (§8.2).
        if self._period_begin is not None:
            length = now - self._period_begin
            if length <= self._period_ns:
                return
            self._elapsed_ns += length
            self._finished = self._sub_interval(length // 1000)
            self._finished_number += 1
        self._running, self._period_begin = IntervalCounters(), now

    def _sub_interval(self, duration_us: int) -> SubInterval:
        running = self._running
        return SubInterval(
            datagrams=running.datagrams, payload_bytes=running.payload_bytes, duration_us=duration_us,
            lost=min(running.lost, _COUNTER_MAX), reordered=running.reordered, duplicated=running.duplicated,
            delay_min=_ms_or_none(running.delay_min), delay_max=_to_ms(running.delay_max),
            delay_sum=_to_ms(running.delay_sum), delay_count=running.delay_count,
            rtt_min=_ms_or_none(running.rtt_min), rtt_max=_to_ms(running.rtt_max),
            elapsed=self._elapsed_ns // _MS,
        )  # fmt: skip


_NEVER = 1 << 62
_STATUS_BYTES = pdu.STATUS.size + ip_layer.IPV4_UDP_BYTES


class ReceivingEnd:
    """Receiving end of a load: sends a Status every trial interval from the first Load on (§8.2).

    Each Status requests a rate of the sender: ``rate``, or the next step of ``search`` from the interval that
    the Status reports. ``payload_bytes`` is the UDP payload received, ``duplicated`` the number of
    duplicates. A ``budget`` bounds the Status PDUs until the client has proved that it hears them.
    """

    tempo = Tempo.RECEIVE

    def __init__(
        self,
        activation: pdu.Activation,
        rate: SendingRate = OFF,
        search: RateSearch | None = None,
        budget: StatusBudget | None = None,
    ) -> None:
        self.action = TESTING
        self.budget = budget
        self.search = search
        self.receiver = LoadReceiver(activation)
        self.payload_bytes = self.duplicated = 0
        self.segment_bytes = 0
        self._interval = activation.trial_interval * _MS
        self._rate = rate
        self._due: int | None = None

    def load(self, run: batches.LoadRun, now: int, wall: int) -> PacketOrder:
        """Count Load PDUs of the test received at ``now`` with the receive stamp ``wall``.

        A run of several packets must be one for which ``takes_whole`` is true.
        """
        if self._due is None:
            self._due = now + self._interval
        arrival = self.receiver.load(run, now, wall)
        self.payload_bytes += run.payload * run.count
        if self.budget is not None:
            self.budget.received((run.payload + ip_layer.IPV4_UDP_BYTES) * run.count, run.echo)
        self.duplicated += arrival is PacketOrder.DUPLICATE
        return arrival

    def probe(self, run: batches.LoadRun, wall: int) -> None:
        """Take drain probes received with the receive stamp ``wall``."""
        self.receiver.probe(wall - run.sent, run.count)

    def takes_whole(self, run: batches.LoadRun) -> bool:
        """Check if all packets of ``run`` are in order and may be counted together."""
        return run.count == 1 or run.first > self.receiver.highest

    def stop(self, now: int) -> None:
        """Send testAction 2 in every Status PDU from now on, the first one at once."""
        if self.action == TESTING:
            self.action, self._due = STOP, now

    @property
    def deadline(self) -> int:
        """Time of the next Status; far in the future before the first Load."""
        return _NEVER if self._due is None else self._due

    def transmit(self, buffer: bytearray, now: int, wall: int, receive_stopped: int) -> int:
        """Put the due Status into ``buffer`` and return its bytes, 0 for none."""
        if self._due is None or now < self._due:
            return 0
        # A receiver late by whole intervals reports them as one longer interval, not as a burst of PDUs.
        self._due = max(self._due + self._interval, now + self._interval // 2)
        if self.budget is not None and not self.budget.allows(_STATUS_BYTES):
            return 0
        packed = self.receiver.status(
            now, wall, action=self.action, receive_stopped=receive_stopped, rate=self._rate
        )
        if self.search is not None and self.action == TESTING:
            packed = self._searched(packed, self.search, now)
        if self.budget is not None:
            self.budget.sent(_STATUS_BYTES, (wall // _S & _COUNTER_MAX, wall % _S))
        buffer[: len(packed)] = packed
        self.segment_bytes = len(packed)
        return len(packed)

    def _searched(self, packed: bytes, search: RateSearch, now: int) -> bytes:
        """Set the next rate of the search in a Status, from the interval that it reports (§5.1)."""
        status = pdu.parse_status(packed)
        if status is None:
            return packed
        self._rate = search.table.sending_rate(search.step(status, now))
        return replace(status, rate=self._rate).pack()

    def blocked(self, sent: int) -> None:
        """Count a Status that the kernel refused as a lost one: the next sub-interval repeats its counts."""
