"""The client of RFC 9946: one test from the Setup Request to the report.

It asks for one row of the sending-rate table, or for a search, and one length, and ends the test if the
server would run another. It stops by itself when the planned duration is over, whatever length the server
insists on (§9 allows a client to end a test early), and only after what still waited in the line was counted:
downstream it waits for the first packet sent after the planned duration, upstream for the Status PDUs that
tell of the last packets.

A lost control message fails the attempt, as nothing in the control phase is repeated (§6.1): the caller may
try again with a new ``ident``.
"""

from enum import Enum, auto

from wire import ip_layer
from wire.records import Algorithm, Direction
from wire.udpstp import auth, client_load, pdu, rates
from wire.udpstp.auth import AuthenticationFault
from wire.udpstp.byte_limit import ByteLimit
from wire.udpstp.client_phase import LoadPhase
from wire.udpstp.ends import batches
from wire.udpstp.ends.watchdog import Tempo
from wire.udpstp.load import Address, Ending, LoadReport, LoadSoFar, Plan, session_id

INITIATION_NS = 2_000_000_000
"""How long set-up and activation may take together (§6.1 leaves the time-out open)."""

LOST_RESPONSE_NS = 100_000_000
"""Load that comes before the Activation Response may have overtaken it by so much; then it is lost."""

SUB_INTERVAL_MS = 250
"""Short, so that totals are made good soon after a lost Status PDU."""

ACCEPTED = 1
SETUP_REFUSALS = {
    2: "it speaks another protocol version",
    3: "its jumbo packet option differs",
    4: "it has no authentication key configured",
    5: "it wants authentication",
    6: "it does not offer authentication mode 1",
    7: "it does not know this key: check key id and secret at both ends",
    8: "the clocks differ by more than 5 s",
    9: "it wants a bandwidth to be stated",
    10: "its capacity is in use",
    11: "its packet size (MTU) option differs",
    12: "it refuses the connection parameters",
    13: "it has no connection left",
}


class _Phase(Enum):
    SETUP = auto()
    SETUP_SENT = auto()
    ACTIVATE = auto()
    ACTIVATE_SENT = auto()
    LOAD = auto()
    DONE = auto()


class Client:
    """One attempt.

    ``destination`` is where to send; once ``settled`` it stays, and the socket may be connected to it.
    ``segment_bytes`` is the size of each datagram last transmitted; the last of them may be shorter.
    """

    def __init__(self, plan: Plan, now: int, wall: int) -> None:
        self.plan = plan
        self.destination: Address = plan.address
        self.settled = False
        self.bytes_sent = self.bytes_received = 0
        self._phase = _Phase.SETUP
        self._limit = now + INITIATION_NS
        self._ending = Ending.NO_ANSWER
        self._detail = "no answer to the set-up request"
        self._refusal: int | None = None
        self._clock_offset = wall - now
        self._auth_time = int(self._peer_now(now))
        self._keys = auth.derive_keys(plan.secret, self._auth_time)
        self._overhead = ip_layer.IPV6_UDP_BYTES if plan.ipv6 else ip_layer.IPV4_UDP_BYTES
        self._asked_wall = 0
        self._rtt: int | None = None
        self._load: LoadPhase | None = None
        self._wall_step = self._last_deviation = 0
        self._last_size = 0
        self.segment_bytes = 0
        self.receiver_drops = 0
        self._byte_limit = _byte_limit(plan)

    @property
    def session(self) -> str:
        """The id that both ends derive from the Setup Request."""
        return session_id(self._auth_time, self.plan.ident)

    @property
    def dscp_ecn(self) -> int:
        """The octet for the IP header of everything sent; ECN is not used (§7.1)."""
        return self.plan.dscp << 2

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do but to read ``report``."""
        return self._phase is _Phase.DONE

    @property
    def loading(self) -> bool:
        """Whether the load has begun and is not over yet, lingering included."""
        return self._phase is _Phase.LOAD

    @property
    def so_far(self) -> LoadSoFar:
        """What is known of a running load now; may be asked from another thread."""
        return LoadSoFar() if self._load is None else self._load.so_far()

    @property
    def tempo(self) -> Tempo:
        """What the shell has to be prompt at."""
        return Tempo.ANSWER if self._load is None else self._load.tempo

    @property
    def deadline(self) -> int:
        """When ``transmit`` has next something to do."""
        if self._phase is _Phase.LOAD and self._load is not None:
            return self._load.deadline
        return 0 if self._phase in (_Phase.SETUP, _Phase.ACTIVATE) else self._limit

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        """Put what is due into ``buffer`` and return its bytes, 0 for nothing."""
        size = self._last_size = self.segment_bytes = self._transmit(buffer, now, wall)
        if size and self._load is not None:
            self.segment_bytes = self._load.segment_bytes
        self.bytes_sent += self._ip_bytes(size, self.segment_bytes)
        self._spend(now)
        return size

    def _spend(self, now: int) -> None:
        """End a search in time, before it has cost more bytes than it may."""
        if self._load is None:
            return
        if self._byte_limit.spend(self.bytes_sent + self.bytes_received, now, self._under_way):
            self._load.spent(now)

    def _under_way(self) -> tuple[int, int]:
        """Round trip and queue (ns) until a stop takes effect: upstream at once, as this end sends."""
        if self.plan.direction is Direction.UP:
            return 0, 0
        # What left behind the newest packet may have left at twice the line's rate.
        return self._rtt or 0, 2 * self.so_far.delay_us * 1000

    def _ip_bytes(self, size: int, segment_bytes: int) -> int:
        return size + self._overhead * batches.datagrams(size, segment_bytes) if size else 0

    def _transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        self._compare_clocks(now, wall)
        if self._phase is _Phase.LOAD and self._load is not None:
            size = self._load.transmit(buffer, now, wall)
            if self._load.finished:
                self._phase = _Phase.DONE
            return size
        if self._phase is _Phase.SETUP:
            return self._ask(buffer, self._setup_request(), _Phase.SETUP_SENT, wall)
        if self._phase is _Phase.ACTIVATE:
            return self._ask(buffer, self._activation_request(now), _Phase.ACTIVATE_SENT, wall)
        if now < self._limit:
            return 0
        given_up, self._phase = self._phase, _Phase.DONE
        return self._give_up(buffer, wall) if given_up is _Phase.ACTIVATE_SENT else 0

    def _compare_clocks(self, now: int, wall: int) -> None:
        """A step of the wall clock stays; a thread held up between reading the two clocks looks so once."""
        deviation = abs(wall - now - self._clock_offset)
        self._wall_step = max(self._wall_step, min(deviation, self._last_deviation))
        self._last_deviation = deviation

    def _give_up(self, buffer: bytearray, wall: int) -> int:
        """Only the activation's answer may have been lost: spare the line a load that nobody counts."""
        if self.plan.direction is Direction.UP:
            pdu.LOAD_HEADER.pack_into(
                buffer, 0, pdu.LOAD_ID, pdu.STOP, 0, 1, pdu.LOAD_HEADER.size, 0, 0, 0,
                wall // 1_000_000_000 & 0xFFFFFFFF, wall % 1_000_000_000, 0, 0,
            )  # fmt: skip
            return pdu.LOAD_HEADER.size
        packed = pdu.Status(sequence=1, action=pdu.STOP).pack()
        buffer[: len(packed)] = packed
        return len(packed)

    def _ask(self, buffer: bytearray, request: bytes, phase: _Phase, wall: int) -> int:
        signed = auth.sign(request, self._keys.client)
        buffer[: len(signed)] = signed
        self._phase, self._asked_wall = phase, wall
        return len(signed)

    def _setup_request(self) -> bytes:
        plan = self.plan
        return pdu.Setup(
            ident=plan.ident,
            auth_time=self._auth_time,
            key_id=plan.key_id,
            bandwidth_mbps=max(int(-(-rates.bits_per_second(rates.sending_rate(plan.row)) // 1e6)), 1),
            upstream=plan.direction is Direction.UP,
        ).pack()

    def _activation_request(self, now: int) -> bytes:
        plan, search = self.plan, self.plan.search
        begins = plan.row if search is None else search.start_row
        return pdu.Activation(
            command=pdu.UPSTREAM if plan.direction is Direction.UP else pdu.DOWNSTREAM,
            row=pdu.SEARCH_INDEX if begins is None else begins,
            modifiers=pdu.ACTIVATION_START_INDEX if search and begins is not None else 0,
            algorithm=client_load.ALGORITHMS[search.algorithm] if search else 0,
            test_s=plan.duration_s,
            dscp_ecn=plan.dscp << 2,
            sub_interval=SUB_INTERVAL_MS,
            auth_time=int(self._peer_now(now)),
            key_id=plan.key_id,
        ).pack()

    def blocked(self, sent: int = 0) -> None:
        """Of what was last transmitted only the first ``sent`` bytes left this host: whole datagrams."""
        self.bytes_sent -= self._ip_bytes(self._last_size, self.segment_bytes)
        self.bytes_sent += self._ip_bytes(sent, self.segment_bytes)
        if self._load is not None:
            self._load.blocked(sent)

    def receive(
        self, data: bytes | memoryview, source: Address, now: int, wall: int, segment_bytes: int = 0
    ) -> None:
        """Take in what was received at ``now`` with the receive stamp ``wall`` (Unix ns).

        Several datagrams are of ``segment_bytes`` each, the last may be shorter; 0 stands for a single one.
        """
        self.bytes_received += len(data) + self._overhead * batches.datagrams(len(data), segment_bytes)
        if self._phase is _Phase.LOAD and self._load is not None:
            self._load.receive(data, now, wall, segment_bytes)
            self._spend(now)
            return
        for packet in batches.pieces(data, segment_bytes):
            self._take(packet, source, now, wall)

    def _take(self, packet: bytes, source: Address, now: int, wall: int) -> None:
        if self._phase is _Phase.LOAD and self._load is not None:
            self._load.receive(packet, now, wall)
        elif self._phase is _Phase.SETUP_SENT and source[:2] == self.plan.address[:2]:
            self._setup_response(packet, now, wall)
        elif self._phase is _Phase.ACTIVATE_SENT and source[:2] == self.destination[:2]:
            if pdu.is_load(packet):
                self._limit = min(self._limit, now + LOST_RESPONSE_NS)
            self._activation_response(packet, now, wall)

    def _setup_response(self, data: bytes, now: int, wall: int) -> None:
        response = pdu.parse_setup(data)
        if response is None or response.command != pdu.RESPONSE or response.ident != self.plan.ident:
            return
        if not self._believes(data, response.auth_mode, response.auth_time, now, response.response):
            return
        self._measured(wall)
        if response.response != ACCEPTED:
            self._refused(
                response.response, SETUP_REFUSALS.get(response.response, "for a reason unknown here")
            )
        elif not response.test_port:
            self._end(Ending.BAD_RESPONSE, "the peer accepted without naming a test port")
        else:
            host, _, *rest = self.plan.address
            self.destination = (host, response.test_port, *rest)  # type: ignore[assignment]
            self.settled = True
            self._phase = _Phase.ACTIVATE
            self._detail = "no answer to the activation request"

    def _activation_response(self, data: bytes, now: int, wall: int) -> None:
        response = pdu.parse_activation(data)
        wanted = pdu.UPSTREAM if self.plan.direction is Direction.UP else pdu.DOWNSTREAM
        if response is None or response.command != wanted or response.response == 0:
            return
        if not self._believes(data, response.auth_mode, response.auth_time, now, response.response):
            return
        self._measured(wall)
        if response.response != ACCEPTED:
            self._refused(response.response, "it does not run such a test")
            return
        self._phase = _Phase.LOAD
        self._load = client_load.begin(self.plan, response, now, wall, self._overhead)

    def _believes(self, data: bytes, auth_mode: int, auth_time: int, now: int, code: int) -> bool:
        """Whether an answer carries our peer's digest; one that does not is none, but tells why.

        The reference program answers a wrong key with code 7 and a digest we cannot verify.
        """
        fault = auth.fault(data, self._keys.server, auth_mode, auth_time, self._peer_now(now))
        if fault is None:
            return True
        self._ending = Ending.BAD_AUTHENTICATION
        if fault is AuthenticationFault.TIME:
            self._detail = "the peer's clock and ours differ by more than 5 s"
        else:
            reason = SETUP_REFUSALS.get(code, "") if code != ACCEPTED else ""
            self._detail = f"the peer answers with another key{': ' + reason if reason else ''}"
        return False

    def _peer_now(self, now: int) -> float:
        """The peer's time, Unix seconds. Setting our wall clock after the test was begun does not move it."""
        return (now + self._clock_offset) / 1e9 + self.plan.auth_offset_s

    def _measured(self, wall: int) -> None:
        elapsed = wall - self._asked_wall
        if elapsed > 0:
            self._rtt = elapsed if self._rtt is None else min(self._rtt, elapsed)

    def _refused(self, code: int, reason: str) -> None:
        self._refusal = code
        self._end(Ending.REFUSED, f"the peer refuses (code {code}): {reason}")

    def _end(self, ending: Ending, detail: str) -> None:
        self._phase, self._ending, self._detail = _Phase.DONE, ending, detail

    def unreachable(self, ending: Ending, reason: str) -> None:
        """The kernel says that nothing listens there, or that there is no way."""
        if self._load is not None:
            self._load.unreachable()
        elif self._phase is not _Phase.DONE:
            self._end(ending, reason)

    def cancel(self, now: int) -> None:
        """Stop as soon as the peer has been told."""
        if self._load is not None:
            self._load.cancel(now)
        elif self._phase is not _Phase.DONE:
            self._end(Ending.STOPPED, "stopped before the test began")

    def report(self) -> LoadReport:
        """What came of it; complete once ``finished``."""
        around = client_load.Around(
            ending=self._ending,
            detail=self._detail,
            refusal=self._refusal,
            rtt_ns=self._rtt,
            wall_step_ns=self._wall_step,
            receiver_drops=self.receiver_drops,
            bytes_sent=self.bytes_sent,
            bytes_received=self.bytes_received,
            bytes_spent=self._byte_limit.reached,
        )
        return client_load.report(self.plan, self.session, self._load, around)


def _byte_limit(plan: Plan) -> ByteLimit:
    if plan.search is None:
        return ByteLimit(None)
    highest_bps = rates.bits_per_second(rates.sending_rate(plan.row))
    doubles = plan.search.algorithm is Algorithm.C
    return ByteLimit(plan.search.byte_limit, highest_bps=highest_bps, doubles=doubles)
