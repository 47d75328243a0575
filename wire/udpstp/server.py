"""Server of RFC 9946: one test after its set-up, at a fixed rate or as a search for the capacity.

| state | action | event | next state |
|---|---|---|---|
| GREET | send a Null Request | sent | AWAIT_ACTIVATION |
| AWAIT_ACTIVATION | | an Activation Request that verifies | ANSWER |
| AWAIT_ACTIVATION | | 2 s | DONE |
| ANSWER | send the Activation Response | sent, accepted | LOAD |
| ANSWER | send the Activation Response | sent, refused | DONE |
| LOAD | send Load PDUs or Status PDUs | the client's stop, 3 s of silence (watchdog) | DONE |
| LOAD, its client unproven | send the lead-in, or few Status PDUs | 5 s without a proof | DONE |
| LOAD, stopping | send testAction 2 | the client's stop, a closed port, 3 s | DONE |

The load is stopped at its planned end or by ``cancel``; the first reason is the outcome. While stopping, PDUs
of the client no longer feed the watchdog.

A client is unproven until its packets show that it hears this server (``ends.hearing``): the sources of
set-up and activation may be forged. Until then there is no load and no repeated stop.

Two rules where the RFC leaves a choice:

- A fixed rate above the configured maximum, or above the bandwidth reserved at set-up, is refused with code
  2. A search climbs no further than the lower of the two (§7.2.1 allows to cap or to refuse).
- A test belongs to the host that set it up, with any source port of its activation. A NAT may map the same
  client socket to another port for the test port; the digest of the activation proves the rest.
"""

from enum import Enum, StrEnum, auto

from msgspec.structs import replace

from wire import ip_layer
from wire.udpstp import auth, pdu, rates
from wire.udpstp.ends import batches, rate_control
from wire.udpstp.ends.hearing import Hearing, LeadIn, StatusBudget
from wire.udpstp.ends.rate_control import FixedRate
from wire.udpstp.ends.receiver import ReceivingEnd
from wire.udpstp.ends.search import LocalSearch, RateSearch
from wire.udpstp.ends.sender import SendingEnd
from wire.udpstp.ends.series import FeedbackCounter
from wire.udpstp.ends.watchdog import TERMINATION_NS, Tempo, Watchdog
from wire.udpstp.load import Address, Ending
from wire.udpstp.load_counts import LoadCounts, of_receiving, of_sending
from wire.udpstp.rates import DEFAULT_TABLE, RateTable
from wire.udpstp.reception import Limits, Offer, coerced

_MS = 1_000_000
_S = 1_000_000_000
_NEVER = 1 << 62

ACTIVATION_NS = 2_000 * _MS
"""Life of a set-up that is not activated: as long as a client waits for the answer to each request."""

GRACE_NS = 500 * _MS
"""Time beyond the test length at which a test up is stopped: its first packet is that late at most."""

DRAIN_GRACE_NS = 3_000 * _MS
"""The same for a test with drain probes: the client stops it once the queue of its load is gone."""

ACCEPTED, BAD_PARAMETERS = 1, 2
"""Activation cmdResponse (§12.3.9)."""


class ServerOutcome(StrEnum):
    """Reason why a test ended at the server."""

    COMPLETED = "completed"
    STOPPED_BY_CLIENT = "stopped-by-client"
    STOPPED = "stopped"
    NOT_ACTIVATED = "not-activated"
    REFUSED = "refused"
    WATCHDOG = "watchdog"
    UNHEARD = "unheard"
    """Activated by a client that did not prove that it hears this server."""
    FAILED = "failed"
    """Error of the server itself; the shell sets it."""


class _Phase(Enum):
    GREET = auto()
    AWAIT_ACTIVATION = auto()
    ANSWER = auto()
    LOAD = auto()
    DONE = auto()


class ServerTest:
    """One test at its own test port, from the accepting Setup Response on.

    ``destination`` is the address to send to; once ``connectable`` the socket may be connected to it.
    ``segment_bytes`` is the size of each datagram last transmitted; the last of them may be shorter.
    ``dscp_ecn`` is the octet for the IP header.

    ``row`` is the sending rate, or the first one of a test that ``searches``; None before the activation.
    ``activated`` is the time of the accepted activation (``now`` and ``wall``), None before.
    """

    def __init__(self, offer: Offer, limits: Limits, now: int) -> None:
        self.offer = offer
        self.destination: Address = offer.source
        self.connectable = False
        self.outcome = ServerOutcome.NOT_ACTIVATED
        self.bytes_sent = self.bytes_received = 0
        self.row: int | None = None
        self.searches = False
        self.activated: tuple[int, int] | None = None
        self.dscp_ecn = 0
        self._limits = limits
        # Above 1 Gbit/s a row sends more than its number of Mbit/s, and in jumbo packets.
        reserved = min(offer.setup.bandwidth_mbps, rates.HIGH_SPEED_ROW)
        self._search_limits = replace(limits, highest_row=min(limits.highest_row, reserved))
        self._phase = _Phase.GREET
        self._watchdog = Watchdog(now)
        self._activate_by = now + ACTIVATION_NS
        self._answer = b""
        self._stop_at = self._close_at = _NEVER
        self._end: SendingEnd | ReceivingEnd | None = None
        self._feedback = FeedbackCounter()
        self._overhead = ip_layer.IPV6_UDP_BYTES if len(offer.source) == 4 else ip_layer.IPV4_UDP_BYTES
        self._grace_ns = DRAIN_GRACE_NS if offer.has_probes else GRACE_NS
        self._last_size = 0
        self.segment_bytes = 0

    @property
    def finished(self) -> bool:
        """True once the socket may be closed."""
        return self._phase is _Phase.DONE

    @property
    def heard(self) -> bool:
        """True once the client has proved that it hears this server; may be read from another thread."""
        end = self._end
        if isinstance(end, SendingEnd):
            return not end.leads_in
        return end is not None and end.budget is not None and end.budget.hearing is Hearing.PROVEN

    @property
    def tempo(self) -> Tempo:
        """Demand on the promptness of the shell."""
        return self._end.tempo if self._phase is _Phase.LOAD and self._end is not None else Tempo.ANSWER

    @property
    def deadline(self) -> int:
        """Time at which ``transmit`` has something to do."""
        if self._phase in (_Phase.GREET, _Phase.ANSWER):
            return 0
        due = self._activate_by if self._end is None else self._end.deadline
        return min(due, self._watchdog.deadline, self._stop_at, self._close_at)

    @property
    def load_packets(self) -> int:
        """Number of Load PDUs of the test sent or received so far."""
        if isinstance(self._end, SendingEnd):
            return self._end.sender.sent_packets
        return 0 if self._end is None else self._end.receiver.packets

    @property
    def counts(self) -> LoadCounts:
        """Counts of the load so far."""
        if isinstance(self._end, SendingEnd):
            return of_sending(self._end, self._feedback, self._overhead)
        return LoadCounts() if self._end is None else of_receiving(self._end, self._overhead)

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        """Put what is due into ``buffer`` and return its bytes, 0 for nothing."""
        size = self._last_size = self._transmit(buffer, now, wall)
        self.bytes_sent += self._ip_bytes(size)
        return size

    def _ip_bytes(self, size: int) -> int:
        return size + self._overhead * batches.datagrams(size, self.segment_bytes) if size else 0

    def _transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        self.segment_bytes = 0
        if self._phase is _Phase.GREET:
            self._phase = _Phase.AWAIT_ACTIVATION
            return _put(buffer, self._null_request(wall))
        if self._phase is _Phase.ANSWER:
            self._phase = _Phase.DONE if self._end is None else _Phase.LOAD
            return _put(buffer, self._answer)
        self._watch(now)
        if self._phase is not _Phase.LOAD or self._end is None:
            return 0
        size = self._end.transmit(buffer, now, wall, self._watchdog.receive_stopped(now))
        self.segment_bytes = self._end.segment_bytes
        return size

    def _null_request(self, wall: int) -> bytes:
        # Opens the firewall on this side for the client's activation (§6.2.2).
        null = pdu.Null(auth_time=wall // _S, key_id=self.offer.setup.key_id)
        return auth.sign(null.pack(), self.offer.keys.server)

    def _watch(self, now: int) -> None:
        if self._is_refuted():
            self.outcome, self._phase = ServerOutcome.UNHEARD, _Phase.DONE
        elif self._phase is _Phase.AWAIT_ACTIVATION and now >= self._activate_by:
            self._phase = _Phase.DONE
        elif now >= min(self._watchdog.deadline, self._close_at):
            if self._phase is _Phase.LOAD and self._close_at == _NEVER:
                leads_in = isinstance(self._end, SendingEnd) and self._end.leads_in
                self.outcome = ServerOutcome.UNHEARD if leads_in else ServerOutcome.WATCHDOG
            self._phase = _Phase.DONE
        elif now >= self._stop_at or (isinstance(self._end, SendingEnd) and self._end.done):
            self._stop(now, ServerOutcome.COMPLETED if self.load_packets else ServerOutcome.WATCHDOG)

    def _is_refuted(self) -> bool:
        lead_in = self._end.lead_in if isinstance(self._end, SendingEnd) else None
        return lead_in is not None and lead_in.hearing is Hearing.REFUTED

    def _stop(self, now: int, outcome: ServerOutcome) -> None:
        """Send testAction 2 until the client answers it, but no longer than the watchdog's time (§9)."""
        if self._end is not None and self._close_at == _NEVER:
            self.outcome = outcome
            self._end.stop(now)
            self._stop_at, self._close_at = _NEVER, now + TERMINATION_NS

    def blocked(self, sent: int = 0) -> None:
        """Correct the counts: only the first ``sent`` bytes last transmitted left this host."""
        self.bytes_sent -= self._ip_bytes(self._last_size) - self._ip_bytes(sent)
        if self._end is not None:
            self._end.blocked(sent)

    def receive(
        self, data: bytes | memoryview, source: Address, now: int, wall: int, segment_bytes: int = 0
    ) -> None:
        """Process data received at ``now`` with the receive stamp ``wall`` (Unix ns).

        Several datagrams have ``segment_bytes`` each, the last may be shorter; 0 means a single datagram.
        """
        self.bytes_received += len(data) + self._overhead * batches.datagrams(len(data), segment_bytes)
        if self._phase is _Phase.LOAD and isinstance(self._end, ReceivingEnd):
            self._load(self._end, data, now, wall, segment_bytes)
            return
        for packet in batches.pieces(data, segment_bytes):
            if self._phase in (_Phase.GREET, _Phase.AWAIT_ACTIVATION):
                self._activation(packet, source, now, wall)
            elif self._phase is _Phase.LOAD and isinstance(self._end, SendingEnd):
                self._status(self._end, packet, now, wall)

    def _load(
        self, end: ReceivingEnd, data: bytes | memoryview, now: int, wall: int, segment_bytes: int
    ) -> None:
        for run in batches.load_runs(data, segment_bytes):
            if run.action != pdu.TESTING:
                self._client_stopped(now)
                return
            self._feed(now)
            if self.offer.has_probes and run.payload == pdu.LOAD_HEADER.size:
                end.probe(run, wall)
                continue
            for part in (run,) if end.takes_whole(run) else run.singles():
                end.load(part, now, wall)

    def _status(self, end: SendingEnd, data: bytes, now: int, wall: int) -> None:
        status = pdu.parse_status(data)
        if status is None:
            return
        self._feedback.add(status)
        if status.action != pdu.TESTING:
            self._client_stopped(now)
        else:
            self._feed(now)
            end.status(status, now, wall)

    def _feed(self, now: int) -> None:
        # Once stopping, only the client's stop counts; a client that ignores it must not hold the port.
        if self._close_at == _NEVER:
            self._watchdog.feed(now)

    def _client_stopped(self, now: int) -> None:
        if self._close_at == _NEVER:
            # Not early: a client that has sent everything need not wait for our stop.
            early = self._stop_at == _NEVER or now < self._stop_at - self._grace_ns
            self.outcome = ServerOutcome.STOPPED_BY_CLIENT if early else ServerOutcome.COMPLETED
        self._phase = _Phase.DONE

    def _activation(self, data: bytes, source: Address, now: int, wall: int) -> None:
        request = pdu.parse_activation(data)
        setup = self.offer.setup
        if request is None or request.response or source[0] != self.offer.source[0]:
            return
        # Another key may be valid, too, but the test is accounted to the key that set it up.
        if request.key_id != setup.key_id:
            return
        keys = self.offer.keys
        if auth.fault(data, keys.client, request.auth_mode, request.auth_time, wall / _S) is not None:
            return
        self.destination, self.connectable = source, True
        accepted = self._is_acceptable(request)
        limits = self._search_limits if rate_control.is_search(request) else self._limits
        answer = coerced(request, limits) if accepted else request
        if accepted:
            self._begin(answer, now, wall)
        else:
            self.outcome = ServerOutcome.REFUSED
        up_rate = first_rate(answer, self.offer.table) if accepted else pdu.OFF
        response = replace(
            answer, response=ACCEPTED if accepted else BAD_PARAMETERS, rate=up_rate,
            auth_time=wall // _S,
        )  # fmt: skip
        self._answer = auth.sign(response.pack(), keys.server)
        self._phase = _Phase.ANSWER

    def _is_acceptable(self, request: pdu.Activation) -> bool:
        setup = self.offer.setup
        command = pdu.UPSTREAM if setup.upstream else pdu.DOWNSTREAM
        if request.command != command:
            return False
        if rate_control.is_search(request):
            return True
        if request.row > self._limits.highest_row:
            return False
        rate = rates.bits_per_second(rates.sending_rate(request.row))
        return rate <= setup.bandwidth_mbps * 1e6

    def _begin(self, activation: pdu.Activation, now: int, wall: int) -> None:
        self.row, self.dscp_ecn = rate_control.start_row(activation), activation.dscp_ecn
        self.searches = rate_control.is_search(activation)
        highest, table = self._search_limits.highest_row, self.offer.table
        self.activated = now, wall
        self._watchdog.feed(now)
        search = None
        if self.searches:
            search = RateSearch(activation, highest, start=now, table=table, overhead=self._overhead)
        if activation.command == pdu.UPSTREAM:
            # Up, the search runs here as well (RFC 9946 §5.1): each Status carries its next rate.
            self._end = ReceivingEnd(activation, first_rate(activation, table), search, StatusBudget())
            self._stop_at = now + activation.test_s * _S + self._grace_ns
            return
        control = (
            FixedRate(activation, now, table) if search is None else LocalSearch(activation, search, now)
        )
        ipv6, duration_ns = len(self.offer.source) == 4, activation.test_s * _S
        planned = table.sending_rate(self.row)
        sizes = [rates.over_ipv6(size) if ipv6 else size for size in _sizes(planned)]
        lead_in = LeadIn(now, sizes, self._overhead)
        self._end = SendingEnd(
            control, ipv6=ipv6, start=now, duration_ns=duration_ns, wall=wall, lead_in=lead_in
        )

    def unreachable(self, ending: Ending, reason: str) -> None:
        """Process an ICMP error: once stopping, the client ends by closing its port."""
        if self._close_at != _NEVER:
            self._phase = _Phase.DONE

    def cancel(self, now: int) -> None:
        """Stop the test: this program ends, or the client has set up another test."""
        if self._phase is _Phase.LOAD and self.heard:
            self._stop(now, ServerOutcome.STOPPED)
            return
        if self._phase is _Phase.LOAD and self._close_at == _NEVER:
            self.outcome = ServerOutcome.UNHEARD
        self._phase = _Phase.DONE


def _sizes(rate: pdu.SendingRate) -> tuple[int, int, int]:
    return rate.payload_1, rate.payload_2, rate.addon_2


def _put(buffer: bytearray, packet: bytes) -> int:
    buffer[: len(packet)] = packet
    return len(packet)


def first_rate(activation: pdu.Activation, table: RateTable = DEFAULT_TABLE) -> pdu.SendingRate:
    """Build srStruct of the response: the first sending rate in the direction up, zero down (§7.2)."""
    if activation.command != pdu.UPSTREAM:
        return pdu.OFF
    return table.sending_rate(rate_control.start_row(activation))
