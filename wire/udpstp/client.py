"""Client of RFC 9946: one attempt at a load test, from the Setup Request to the report.

The attempt has two phases, each a state machine of its own, and goes from the first to the second once:

| phase | module | ends |
|---|---|---|
| control | ``client_control`` | with an accepted activation, or with a failure |
| load | ``up_phase``, ``down_phase`` | after the planned duration, by the watchdog, or by a stop |

The client plans one row of the sending-rate table, or a search, and one length. It ends the test
if the server would run another one. It stops by itself after the planned duration, as §9 allows, whatever
length the server insists on.

Packets that wait in the line's queue at that moment are still counted. Down, the client waits for the first
packet sent after the planned duration. Up, it waits for the Status PDUs that report the last packets.
"""

from msgspec import Struct
from msgspec.structs import replace

from wire import ip_layer
from wire.records import Algorithm, Direction
from wire.udpstp import client_control, pdu, rates
from wire.udpstp.byte_limit import ByteLimit
from wire.udpstp.client_control import ControlPhase
from wire.udpstp.client_phase import LoadPhase
from wire.udpstp.down_phase import DownPhase
from wire.udpstp.ends import batches
from wire.udpstp.ends.watchdog import Tempo
from wire.udpstp.load import Address, Ending, LoadReport, LoadSoFar, Plan, session_id
from wire.udpstp.up_phase import UpPhase

_S = 1_000_000_000


class Client:
    """One attempt.

    ``segment_bytes`` is the size of each datagram last transmitted; the last of them may be shorter. The
    caller sets ``receiver_drops``, the packets that its socket dropped, before it reads ``report``.
    """

    def __init__(self, plan: Plan, now: int, wall: int) -> None:
        self.plan = plan
        self.bytes_sent = self.bytes_received = 0
        self.segment_bytes = 0
        self.receiver_drops = 0
        self._control = ControlPhase(plan, now, wall)
        self._load: LoadPhase | None = None
        self._overhead = ip_layer.IPV6_UDP_BYTES if plan.ipv6 else ip_layer.IPV4_UDP_BYTES
        self._last_size = 0
        self._clock = _ClockComparison(now, wall)
        self._byte_limit = _byte_limit(plan)

    @property
    def destination(self) -> Address:
        """Address to send to."""
        return self._control.destination

    @property
    def connectable(self) -> bool:
        """True once ``destination`` is final and the socket may be connected to it."""
        return self._control.connectable

    @property
    def session(self) -> str:
        """Session id, which both ends derive from the Setup Request and the test port of its answer."""
        test_port = self.destination[1] if self.connectable else 0
        return session_id(self._control.auth_time, self.plan.ident, test_port)

    @property
    def dscp_ecn(self) -> int:
        """Octet for the IP header of all packets; ECN is not used (§7.1)."""
        return self.plan.dscp << 2

    @property
    def finished(self) -> bool:
        """True once only ``report`` remains to be read."""
        return self._control.failed if self._load is None else self._load.finished

    @property
    def loading(self) -> bool:
        """True while the load runs, the wait for late packets included; its lead-in is left out."""
        return self._load is not None and self._load.begun and not self._load.finished

    @property
    def so_far(self) -> LoadSoFar:
        """Counts of the running load; may be read from another thread."""
        return LoadSoFar() if self._load is None else self._load.so_far()

    @property
    def tempo(self) -> Tempo:
        """Demand on the promptness of the shell."""
        return Tempo.ANSWER if self._load is None else self._load.tempo

    @property
    def deadline(self) -> int:
        """Time at which ``transmit`` has something to do."""
        return self._control.deadline if self._load is None else self._load.deadline

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        """Put what is due into ``buffer`` and return its bytes, 0 for nothing."""
        self._clock.compare(now, wall)
        phase = self._control if self._load is None else self._load
        size = self._last_size = self.segment_bytes = phase.transmit(buffer, now, wall)
        if size and self._load is not None:
            self.segment_bytes = self._load.segment_bytes
        self.bytes_sent += self._ip_bytes(size, self.segment_bytes)
        self._check_byte_limit(now)
        return size

    def _check_byte_limit(self, now: int) -> None:
        if self._load is None:
            return
        if self._byte_limit.spend(self.bytes_sent + self.bytes_received, now, self._stop_delay):
            self._load.end_at_byte_limit(now)

    def _stop_delay(self) -> tuple[int, int]:
        """Round trip and queue (ns) until a stop takes effect; none if this end sends."""
        if self.plan.direction is Direction.UP:
            return 0, 0
        # Packets behind the newest one may have been sent at twice the line's rate: twice its delay to drain.
        return self._control.rtt_ns or 0, 2 * self.so_far.delay_us * 1000

    def _ip_bytes(self, size: int, segment_bytes: int) -> int:
        return size + self._overhead * batches.datagrams(size, segment_bytes) if size else 0

    def blocked(self, sent: int = 0) -> None:
        """Correct the counts: only the first ``sent`` bytes last transmitted left this host."""
        self.bytes_sent -= self._ip_bytes(self._last_size, self.segment_bytes)
        self.bytes_sent += self._ip_bytes(sent, self.segment_bytes)
        if self._load is not None:
            self._load.blocked(sent)

    def receive(
        self, data: bytes | memoryview, source: Address, now: int, wall: int, segment_bytes: int = 0
    ) -> None:
        """Process data received at ``now`` with the receive stamp ``wall`` (Unix ns).

        Several datagrams have ``segment_bytes`` each, the last may be shorter; 0 means a single datagram.
        """
        self.bytes_received += len(data) + self._overhead * batches.datagrams(len(data), segment_bytes)
        if self._load is not None:
            # Packets still cost the line bytes, but a closed report no longer changes.
            if not self._load.finished:
                self._load.receive(data, now, wall, segment_bytes)
                self._check_byte_limit(now)
            return
        for packet in batches.pieces(data, segment_bytes):
            self._receive_one(packet, source, now, wall)

    def _receive_one(self, packet: bytes, source: Address, now: int, wall: int) -> None:
        # Load may follow the Activation Response within one batch.
        if self._load is not None:
            self._load.receive(packet, now, wall)
            return
        response = self._control.receive(packet, source, now, wall)
        if response is not None:
            self.plan = self._control.plan
            # From here on the control phase has no say: its limit must not end a load that runs.
            self._load = begin_load(
                self.plan, response, now, wall, self._overhead, has_probes=self._control.takes_probes
            )

    def unreachable(self, ending: Ending, reason: str) -> None:
        """Process an ICMP error: nothing listens there, or there is no route."""
        if self._load is not None:
            self._load.unreachable()
        else:
            self._control.fail(ending, reason)

    def cancel(self, now: int) -> None:
        """Stop as soon as the peer has been notified."""
        if self._load is not None:
            self._load.cancel(now)
        else:
            self._control.fail(Ending.STOPPED, "stopped before the test began")

    def report(self) -> LoadReport:
        """Report of the attempt; complete once ``finished``."""
        control = self._control
        summary = AttemptSummary(
            ending=control.ending,
            detail=control.detail,
            refusal=control.refusal,
            rtt_ns=control.rtt_ns,
            wall_step_ns=self._clock.step_ns,
            receiver_drops=self.receiver_drops,
            bytes_sent=self.bytes_sent,
            bytes_received=self.bytes_received,
            bytes_spent=self._byte_limit.reached,
        )
        return report(self.plan, self.session, self._load, summary)


class _ClockComparison:
    """Largest step of the wall clock against the monotonic clock: ``step_ns``."""

    def __init__(self, now: int, wall: int) -> None:
        self.step_ns = 0
        self._offset = wall - now
        self._last_deviation = 0

    def compare(self, now: int, wall: int) -> None:
        # The smaller of two deviations in a row: a thread that was delayed between reading the two clocks
        # shows a deviation once, a step of the wall clock shows it from then on.
        deviation = abs(wall - now - self._offset)
        self.step_ns = max(self.step_ns, min(deviation, self._last_deviation))
        self._last_deviation = deviation


def _byte_limit(plan: Plan) -> ByteLimit:
    if plan.search is None:
        return ByteLimit(None)
    highest_bps = rates.bits_per_second(plan.table.sending_rate(plan.row))
    doubles = plan.search.algorithm is Algorithm.C
    return ByteLimit(plan.search.byte_limit, highest_bps=highest_bps, doubles=doubles)


def begin_load(
    plan: Plan, response: pdu.Activation, now: int, wall: int, overhead: int, *, has_probes: bool = False
) -> LoadPhase:
    """Begin the load that the server has accepted; a test other than the planned one is stopped at once.

    A shorter test length than asked for is adopted, a longer one is stopped early.
    """
    difference = client_control.difference(plan, response)
    if difference:
        # Values of a bad response must not drive timers: a trial interval of 0 would be an endless burst of
        # Status PDUs.
        response = replace(response, trial_interval=50, sub_interval=250, row=plan.row, modifiers=0)
    duration_ns = min(plan.duration_s, response.test_s) * _S
    phase: LoadPhase
    if plan.direction is Direction.DOWN:
        phase = DownPhase(plan, response, duration_ns, now, overhead)
    else:
        phase = UpPhase(plan, response, duration_ns, now, wall, overhead, has_probes=has_probes)
    if difference:
        phase.finish(now, Ending.COERCED, difference)
    return phase


class AttemptSummary(Struct, frozen=True, kw_only=True):
    """Part of a report that is not about the load; ``ending`` and ``detail`` are of the control phase."""

    ending: Ending
    detail: str
    refusal: int | None = None
    rtt_ns: int | None = None
    wall_step_ns: int = 0
    receiver_drops: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    bytes_spent: bool = False


def report(plan: Plan, session: str, phase: LoadPhase | None, summary: AttemptSummary) -> LoadReport:
    """Build the report of an attempt; ``phase`` is None where no load began."""
    rate = plan.table.sending_rate(plan.row)
    fields: dict[str, object] = {}
    ending, detail, duration_ns = summary.ending, summary.detail, plan.duration_s * _S
    if phase is not None:
        ending, detail, duration_ns = phase.ending, phase.detail, phase.duration_ns
        fields = phase.fields()
    # A search has no plan of packets: its rate depends on the line.
    planned = 0 if plan.search else round(rates.packets_per_second(rate) * duration_ns / _S)
    round_trips = [value for value in (summary.rtt_ns, fields.pop("rtt_ns", None)) if isinstance(value, int)]
    return LoadReport(
        session=session,
        direction=plan.direction,
        row=plan.row,
        planned_bps=round(rates.bits_per_second(rate)),
        planned_duration_us=duration_ns // 1000,
        planned_packets=planned,
        ending=ending,
        detail=detail,
        refusal=summary.refusal,
        rtt_min_us=min(round_trips) // 1000 if round_trips else None,
        wall_step_us=summary.wall_step_ns // 1000,
        receiver_drops=summary.receiver_drops,
        bytes_sent=summary.bytes_sent,
        bytes_received=summary.bytes_received,
        algorithm=plan.search.algorithm if plan.search else None,
        bytes_spent=summary.bytes_spent,
        **fields,  # type: ignore[arg-type]
    )
