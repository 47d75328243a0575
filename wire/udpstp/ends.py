"""The two ends of a load, each with its share of the feedback: the same on client and server.

Either end hands out datagrams through ``transmit`` when they are due, says with ``segment_bytes`` how large
each of them is, and with ``deadline`` when the next one is due.
"""

from enum import Enum

from msgspec.structs import replace

from wire.udpstp import batches, pdu, rates
from wire.udpstp.adjustment import Algorithm, Observation
from wire.udpstp.pdu import OFF, STOP, TESTING, SendingRate
from wire.udpstp.rate_control import RateControl
from wire.udpstp.receiver import Arrival, LoadReceiver
from wire.udpstp.sender import LoadSender

_MS = 1_000_000
WARNING_NS = 1_000 * _MS
TERMINATION_NS = 3_000 * _MS
"""The watchdog of §6.1: a warning after 1 s of silence, the end 2 s later."""

STOP_SPACING_NS = 20 * _MS
"""Between Load PDUs that say stop; repeated because nothing acknowledges them but the other end's stop."""

_NEVER = 1 << 62


class Tempo(Enum):
    """What the shell that runs a core has to be prompt at."""

    ANSWER = 1
    """Reading what comes."""
    SEND = 2
    """Sending at the deadlines; what comes may wait a little."""
    RECEIVE = 3
    """Reading all that has come before it sends at a deadline; nothing in between is urgent."""


class Watchdog:
    """When the other end was last heard of."""

    def __init__(self, now: int) -> None:
        self._heard = now

    def feed(self, now: int) -> None:
        """A valid PDU came."""
        self._heard = max(self._heard, now)

    def receive_stopped(self, now: int) -> int:
        """The value of rxStopped to send (§8.1)."""
        return int(now - self._heard >= WARNING_NS)

    @property
    def deadline(self) -> int:
        """When silence ends the test."""
        return self._heard + TERMINATION_NS


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


class ReceivingEnd:
    """Receives a load and sends a Status PDU every trial interval, the first after the first Load (§8.2).

    Each tells the sender the rate to use from now on: ``rate``, or what a ``search`` makes of the interval
    that the Status itself tells of. ``payload_bytes`` is the UDP payload received, ``duplicated`` how many
    packets came again.
    """

    tempo = Tempo.RECEIVE

    def __init__(
        self, activation: pdu.Activation, rate: SendingRate = OFF, search: Algorithm | None = None
    ) -> None:
        self.action = TESTING
        self.search = search
        self._activation = activation
        self.receiver = LoadReceiver(activation)
        self.payload_bytes = self.duplicated = 0
        self.segment_bytes = 0
        self._interval = activation.trial_interval * _MS
        self._rate = rate
        self._due: int | None = None

    def load(self, run: batches.LoadRun, now: int, wall: int) -> Arrival:
        """Take in Load PDUs of the test received at ``now`` with the receive stamp ``wall``.

        More than one only where ``takes_whole`` says so.
        """
        if self._due is None:
            self._due = now + self._interval
        arrival = self.receiver.load(run, now, wall)
        self.payload_bytes += run.payload * run.count
        self.duplicated += arrival is Arrival.DUPLICATE
        return arrival

    def takes_whole(self, run: batches.LoadRun) -> bool:
        """Whether all packets of ``run`` are in order, so that they may be counted together."""
        return run.count == 1 or run.first > self.receiver.highest

    def stop(self, now: int) -> None:
        """Say stop in every Status PDU from now on, the first one at once."""
        if self.action == TESTING:
            self.action, self._due = STOP, now

    @property
    def deadline(self) -> int:
        """When the next Status is due; far in the future before the first Load."""
        return _NEVER if self._due is None else self._due

    def transmit(self, buffer: bytearray, now: int, wall: int, receive_stopped: int) -> int:
        """Put the Status that is due into ``buffer`` and return its size, 0 for none."""
        if self._due is None or now < self._due:
            return 0
        # Late by whole intervals: those that passed in the meantime are one longer interval, not a burst of
        # PDUs.
        self._due = max(self._due + self._interval, now + self._interval // 2)
        packed = self.receiver.status(
            now, wall, action=self.action, receive_stopped=receive_stopped, rate=self._rate
        )
        if self.search is not None and self.action == TESTING:
            packed = self._searched(packed, self.search)
        buffer[: len(packed)] = packed
        self.segment_bytes = len(packed)
        return len(packed)

    def _searched(self, packed: bytes, search: Algorithm) -> bytes:
        """The same Status with the next rate, a step of the search from what the Status tells (§5.1)."""
        status = pdu.parse_status(packed)
        if status is None:
            return packed
        self._rate = rates.sending_rate(search.step(Observation.told_by(status).sign(self._activation)))
        return replace(status, rate=self._rate).pack()

    def blocked(self, sent: int) -> None:
        """A Status that did not leave is one that was lost: the next sub-interval makes good for it."""
