"""Control phase of the client: set-up and activation of one test (RFC 9946 §6, §7).

| state | action | event | next state |
|---|---|---|---|
| SETUP | send a Setup Request to the control port | sent | SETUP_SENT |
| SETUP_SENT | | Setup Response, code 1 | ACTIVATE |
| ACTIVATE | send a Test Activation Request to the test port | sent | ACTIVATE_SENT |
| ACTIVATE_SENT | | Test Activation Response, code 1 | ACTIVATED |
| SETUP_SENT, ACTIVATE_SENT | | any other response code | FAILED |
| SETUP_SENT | | 2 s since the request | FAILED |
| ACTIVATE_SENT | send testAction 2 | 2 s since the Setup Response | FAILED |

No control message is repeated, as §6.1 wants it: a lost one fails the attempt. The caller may try again with
a new ``ident``. A response that does not verify changes no state; it only becomes the reason of a later
failure. A response that is accepted is never changed afterwards.
"""

from enum import Enum, auto

from msgspec.structs import replace

from wire.records import Algorithm, Direction
from wire.udpstp import auth, pdu, rates
from wire.udpstp.auth import AuthenticationFault
from wire.udpstp.ends import rate_control
from wire.udpstp.ends.rate_control import is_sane
from wire.udpstp.load import Address, Ending, Plan, Search

INITIATION_NS = 2_000_000_000
"""Longest wait for each of the two answers (§6.1 leaves the time-out open): a round trip of 2 s works."""

LOST_RESPONSE_NS = 100_000_000
"""Longest time by which load may overtake the Activation Response; after that the response counts as lost."""

# Each block is then repeated in five Status PDUs: that all of them are lost is improbable.
SUB_INTERVAL_MS = 250

ALGORITHMS = {Algorithm.B: 0, Algorithm.C: 1}
"""rateAdjAlgo (§12.3.8)."""

ACCEPTED = 1
SETUP_REFUSALS = {
    2: "it speaks another protocol version",
    3: "its jumbo packet option differs",
    4: "it has no authentication key configured",
    5: "it requires authentication",
    6: "it does not offer authentication mode 1",
    7: "it does not know this key: check key id and secret at both ends",
    8: "the clocks differ by more than 5 s",
    9: "it requires a stated bandwidth",
    10: "its capacity is in use",
    11: "its packet size (MTU) option differs",
    12: "it refuses the connection parameters",
    13: "it has no connection left",
}
"""Setup cmdResponse (§12.3.5) as the second half of a sentence."""


class _State(Enum):
    SETUP = auto()
    SETUP_SENT = auto()
    ACTIVATE = auto()
    ACTIVATE_SENT = auto()
    ACTIVATED = auto()
    FAILED = auto()


class ControlPhase:
    """Set-up and activation of one attempt.

    ``destination`` is the address to send to, ``connectable`` is true once it is final. ``ending``,
    ``detail`` and ``refusal`` are the result where the attempt fails here. ``rtt_ns`` is the smallest round
    trip. ``takes_probes``: the server accepted probes after a load up. ``plan`` has the sending-rate table
    that it accepted.
    """

    def __init__(self, plan: Plan, now: int, wall: int) -> None:
        self.destination: Address = plan.address
        self.connectable = False
        self.takes_probes = False
        self.ending, self.detail = Ending.NO_ANSWER, "no answer to the set-up request"
        self.refusal: int | None = None
        self.rtt_ns: int | None = None
        self.plan = plan
        self._state = _State.SETUP
        self._limit = now + INITIATION_NS
        self._clock_offset = wall - now
        self.auth_time = int(self._peer_now(now))
        self._keys = auth.derive_keys(plan.secret, self.auth_time)
        self._request_sent_wall = 0

    @property
    def failed(self) -> bool:
        """True once no load can follow."""
        return self._state is _State.FAILED

    @property
    def deadline(self) -> int:
        """Time at which ``transmit`` has something to do."""
        return 0 if self._state in (_State.SETUP, _State.ACTIVATE) else self._limit

    def transmit(self, buffer: bytearray, now: int, wall: int) -> int:
        """Put the due request into ``buffer`` and return its bytes, 0 for nothing."""
        if self._state is _State.SETUP:
            return self._request(buffer, self._setup_request(), _State.SETUP_SENT, wall)
        if self._state is _State.ACTIVATE:
            return self._request(buffer, self._activation_request(now), _State.ACTIVATE_SENT, wall)
        if now < self._limit:
            return 0
        activating, self._state = self._state is _State.ACTIVATE_SENT, _State.FAILED
        return self._stop(buffer, wall) if activating else 0

    def _stop(self, buffer: bytearray, wall: int) -> int:
        # Perhaps only the response was lost and the server is sending: 3 s of load would then cross the line
        # until its watchdog ends the test.
        if self.plan.direction is Direction.UP:
            pdu.LOAD_HEADER.pack_into(
                buffer, 0, pdu.LOAD_ID, pdu.STOP, 0, 1, pdu.LOAD_HEADER.size, 0, 0, 0,
                wall // 1_000_000_000 & 0xFFFFFFFF, wall % 1_000_000_000, 0, 0,
            )  # fmt: skip
            return pdu.LOAD_HEADER.size
        packed = pdu.Status(sequence=1, action=pdu.STOP).pack()
        buffer[: len(packed)] = packed
        return len(packed)

    def _request(self, buffer: bytearray, request: bytes, state: _State, wall: int) -> int:
        signed = auth.sign(request, self._keys.client)
        buffer[: len(signed)] = signed
        self._state, self._request_sent_wall = state, wall
        return len(signed)

    def _setup_request(self) -> bytes:
        plan = self.plan
        return pdu.Setup(
            ident=plan.ident,
            auth_time=self.auth_time,
            key_id=plan.key_id,
            # Rounded up, so that the reservation covers the row; 0 would mean that no bandwidth is stated
            # (§6.1).
            bandwidth_mbps=max(int(-(-rates.bits_per_second(rates.sending_rate(plan.row)) // 1e6)), 1),
            upstream=plan.direction is Direction.UP,
            modifiers=(
                pdu.SETUP_JUMBO
                | (pdu.SETUP_PROBES_OFFERED if plan.has_drain_probes else 0)
                | plan.table.modifiers
            ),
        ).pack()

    def _activation_request(self, now: int) -> bytes:
        plan, search = self.plan, self.plan.search
        first_row = plan.row if search is None else search.start_row
        return pdu.Activation(
            command=pdu.UPSTREAM if plan.direction is Direction.UP else pdu.DOWNSTREAM,
            row=pdu.SEARCH_INDEX if first_row is None else first_row,
            modifiers=pdu.ACTIVATION_START_INDEX if search and first_row is not None else 0,
            algorithm=ALGORITHMS[search.algorithm] if search else 0,
            test_s=plan.duration_s,
            dscp_ecn=plan.dscp << 2,
            # Shorter than the RFC's 1 s: each finished sub-interval repairs the totals after a lost Status.
            sub_interval=SUB_INTERVAL_MS,
            auth_time=int(self._peer_now(now)),
            key_id=plan.key_id,
        ).pack()

    def receive(self, packet: bytes, source: Address, now: int, wall: int) -> pdu.Activation | None:
        """Process one datagram; returns the accepted activation when the load begins."""
        # Host and port alone: an IPv6 source has flow label and scope behind them.
        if self._state is _State.SETUP_SENT and source[:2] == self.plan.address[:2]:
            self._setup_response(packet, now, wall)
        elif self._state is _State.ACTIVATE_SENT and source[:2] == self.destination[:2]:
            if pdu.is_load(packet):
                self._limit = min(self._limit, now + LOST_RESPONSE_NS)
            return self._activation_response(packet, now, wall)
        return None

    def _setup_response(self, data: bytes, now: int, wall: int) -> None:
        response = pdu.parse_setup(data)
        if response is None or response.command != pdu.RESPONSE or response.ident != self.plan.ident:
            return
        if not self._verifies(data, response.auth_mode, response.auth_time, now, response.response):
            return
        self._measure_round_trip(wall)
        if response.response != ACCEPTED:
            self._refused(
                response.response, SETUP_REFUSALS.get(response.response, "for a reason unknown here")
            )
        # An accepted test without a port could only be sent to the control port, which takes no load.
        elif not response.test_port:
            self.fail(Ending.BAD_RESPONSE, "the peer accepted without naming a test port")
        else:
            host, _, *rest = self.plan.address
            self.destination = (host, response.test_port, *rest)  # type: ignore[assignment]
            self.connectable = True
            self.takes_probes = bool(response.modifiers & pdu.SETUP_PROBES_ACCEPTED)
            if not response.modifiers & pdu.SETUP_FULL_SIZE_ACCEPTED:
                self.plan = replace(self.plan, packet_bytes=None)
            self._state = _State.ACTIVATE
            self._limit = now + INITIATION_NS
            self.ending = Ending.TEST_PORT_SILENT
            self.detail = (
                f"the peer accepts the test, but nothing answers at its test port {response.test_port}"
            )

    def _activation_response(self, data: bytes, now: int, wall: int) -> pdu.Activation | None:
        response = pdu.parse_activation(data)
        expected = pdu.UPSTREAM if self.plan.direction is Direction.UP else pdu.DOWNSTREAM
        # Code 0 is that of a request (§12.3.9): our own packet, thrown back.
        if response is None or response.command != expected or response.response == 0:
            return None
        if not self._verifies(data, response.auth_mode, response.auth_time, now, response.response):
            return None
        self._measure_round_trip(wall)
        if response.response != ACCEPTED:
            self._refused(response.response, "it does not run such a test")
            return None
        self._state = _State.ACTIVATED
        return response

    def _verifies(self, data: bytes, auth_mode: int, auth_time: int, now: int, code: int) -> bool:
        fault = auth.fault(data, self._keys.server, auth_mode, auth_time, self._peer_now(now))
        if fault is None:
            return True
        self.ending = Ending.BAD_AUTHENTICATION
        if fault is AuthenticationFault.TIME:
            self.detail = "the peer's clock and ours differ by more than 5 s"
        else:
            # The reference program answers a wrong key with code 7, in a digest that cannot be verified here.
            reason = SETUP_REFUSALS.get(code, "") if code != ACCEPTED else ""
            self.detail = f"the peer answers with another key{': ' + reason if reason else ''}"
        return False

    def _peer_now(self, now: int) -> float:
        # From the monotonic clock: setting the wall clock during the test must not shift the peer's time.
        return (now + self._clock_offset) / 1e9 + self.plan.auth_offset_s

    def _measure_round_trip(self, wall: int) -> None:
        elapsed = wall - self._request_sent_wall
        if elapsed > 0:
            self.rtt_ns = elapsed if self.rtt_ns is None else min(self.rtt_ns, elapsed)

    def _refused(self, code: int, reason: str) -> None:
        self.refusal = code
        self.fail(Ending.REFUSED, f"the peer refuses (code {code}): {reason}")

    def fail(self, ending: Ending, detail: str) -> None:
        """End the attempt, unless it has ended or the load has begun."""
        if self._state not in (_State.FAILED, _State.ACTIVATED):
            self._state, self.ending, self.detail = _State.FAILED, ending, detail


def difference(plan: Plan, response: pdu.Activation) -> str:
    """Describe the change that makes the server's parameters another test; empty for none (§7.3)."""
    if plan.search is not None:
        found = _another_search(plan, plan.search, response)
    else:
        found = _another_rate(plan, response)
    if found:
        return found
    # The reference program's own ranges: values outside would drive our timers.
    if not response.test_s or not 5 <= response.trial_interval <= 250 or response.sub_interval < 100:
        return "the peer answered with impossible test parameters"
    return ""


def _another_rate(plan: Plan, response: pdu.Activation) -> str:
    if rate_control.is_search(response):
        return "the peer would search for the capacity instead of sending at a fixed rate"
    if response.row != plan.row:
        return f"the peer would send at row {response.row} instead of {plan.row}"
    if plan.direction is Direction.UP and response.rate != plan.table.sending_rate(plan.row):
        return "the peer's sending-rate table has another packet size or interval in that row"
    return ""


def _another_search(plan: Plan, search: Search, response: pdu.Activation) -> str:
    if not rate_control.is_search(response):
        return "the peer would send at a fixed rate instead of searching for the capacity"
    # A lower start is the same search: the server may cap it (§7.2.1).
    if rate_control.start_row(response) > (search.start_row or 0):
        return f"the peer would begin its search at row {rate_control.start_row(response)}"
    if response.algorithm != ALGORITHMS[search.algorithm]:
        return "the peer would search by another algorithm"
    if plan.direction is Direction.UP and not is_sane(response.rate):
        return "the peer names an impossible first sending rate"
    return ""
