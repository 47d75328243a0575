"""Control port of an RFC 9946 server: answers to Setup Requests (§6.2), and limits on activations (§7.2.1).

A request with a wrong digest, outside the time window, or seen before, gets no answer (§6.2.1). An address is
therefore answered only if a key holder has used it. The answer, Null Request included, has 104 bytes to the
request's 56. What follows the activation is bounded by ``ends.hearing``.
"""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from wire.records import Direction
from wire.udpstp import auth, pdu
from wire.udpstp.auth import AuthenticationFault
from wire.udpstp.ends.rate_control import is_search
from wire.udpstp.load import Address, session_id
from wire.udpstp.rates import RateTable, offered_table

_S = 1_000_000_000

ACCEPTED = 1
BAD_VERSION = 2
BANDWIDTH_REQUIRED = 9
CAPACITY_EXCEEDED = 10
MTU_MISMATCH = 11
BAD_CONNECTION_PARAMETERS = 12
NO_CONNECTION = 13


@dataclass(frozen=True, slots=True)
class Offer:
    """Verified Setup Request: the caller accepts it with a test port, or refuses it."""

    setup: pdu.Setup
    keys: auth.Keys
    source: Address

    @property
    def session(self) -> str:
        """Session id, which both ends derive from the Setup Request and the test port of its answer."""
        return session_id(self.setup.auth_time, self.setup.ident, self.setup.test_port)

    @property
    def direction(self) -> Direction:
        """Direction of the load, seen from the client."""
        return Direction.UP if self.setup.upstream else Direction.DOWN

    def at(self, test_port: int) -> "Offer":
        """Offer whose test has a port."""
        return Offer(replace(self.setup, test_port=test_port), self.keys, self.source)

    def accept(self, test_port: int, wall: int) -> bytes:
        """Build the Setup Response that names the test port."""
        return self._respond(ACCEPTED, test_port, wall)

    def refuse(self, code: int, wall: int) -> bytes:
        """Build the Setup Response with a refusal code (§12.3.5)."""
        return self._respond(code, 0, wall)

    @property
    def has_probes(self) -> bool:
        """True if the client offers probes after a load up."""
        return bool(self.setup.modifiers & pdu.SETUP_PROBES_OFFERED)

    @property
    def table(self) -> RateTable:
        """Sending-rate table that the client offers."""
        return offered_table(self.setup.modifiers)

    def _respond(self, code: int, test_port: int, wall: int) -> bytes:
        accepted = pdu.SETUP_PROBES_ACCEPTED if self.has_probes else 0
        accepted |= pdu.SETUP_FULL_SIZE_ACCEPTED if self.table.packet_bytes else 0
        response = replace(
            self.setup, command=pdu.RESPONSE, response=code, test_port=test_port,
            modifiers=self.setup.modifiers | accepted,
            version=pdu.PROTOCOL_VERSION, auth_time=wall // _S,
        )  # fmt: skip
        return auth.sign(response.pack(), self.keys.server)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Verified Setup Request that cannot be served, with the answer to send and its code."""

    answer: bytes
    code: int
    session: str


class SetupFault(StrEnum):
    """Reason why a datagram at the control port is no Setup Request of a key that is known here."""

    MALFORMED = "malformed"
    NO_REQUEST = "no-request"
    UNKNOWN_KEY_ID = "unknown-key-id"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Datagram without an answer; ``key_id`` is the one that it names, None where it names none."""

    reason: SetupFault | AuthenticationFault
    key_id: int | None = None


class Reception:
    """Control port: verifies Setup Requests (§6.2)."""

    def __init__(self, secrets: dict[int, bytes]) -> None:
        self._secrets = secrets
        self._replays: defaultdict[int, auth.ReplayCache] = defaultdict(auth.ReplayCache)

    def take_keys(self, secrets: dict[int, bytes]) -> None:
        """Replace the shared keys; tests that are set up already keep theirs."""
        self._secrets = secrets

    def receive(self, data: bytes, source: Address, wall: int) -> Offer | Refusal | Unanswered:
        """Process a datagram at the control port."""
        setup = pdu.parse_setup(data)
        if setup is None:
            return Unanswered(SetupFault.MALFORMED)
        # A reflected Setup Response is no request.
        if setup.command != pdu.REQUEST:
            return Unanswered(SetupFault.NO_REQUEST)
        if setup.key_id not in self._secrets:
            return Unanswered(SetupFault.UNKNOWN_KEY_ID, setup.key_id)
        keys = auth.derive_keys(self._secrets[setup.key_id], setup.auth_time)
        now_s = wall / _S
        fault = auth.fault(data, keys.client, setup.auth_mode, setup.auth_time, now_s)
        if fault is None:
            # The reference server accepts one request twice, with two ports and two reservations.
            fault = self._replays[setup.key_id].fault(setup.auth_time, setup.digest, source[0], now_s)
        if fault is not None:
            return Unanswered(fault, setup.key_id)
        offer = Offer(setup, keys, source)
        code = _setup_fault(setup)
        return Refusal(offer.refuse(code, wall), code, offer.session) if code else offer


def _setup_fault(setup: pdu.Setup) -> int:
    # The jumbo bit is not compared: no row that is served has jumbo packets, so that either choice fits.
    if setup.version != pdu.PROTOCOL_VERSION:
        return BAD_VERSION
    if setup.modifiers & pdu.SETUP_TRADITIONAL_MTU:
        return MTU_MISMATCH
    if setup.count != 1 or setup.index != 0 or not setup.ident:
        return BAD_CONNECTION_PARAMETERS
    return 0 if setup.bandwidth_mbps else BANDWIDTH_REQUIRED


class Limits(Struct, frozen=True):
    """Limits of the server on a test. A test longer than ``longest_s`` is shortened.

    A fixed rate above ``highest_row`` is refused; a search climbs no further than that row.
    """

    highest_row: int = 1000
    # Bounds for how long one request with a stolen key can load a line.
    longest_s: int = 60


def coerced(request: pdu.Activation, limits: Limits) -> pdu.Activation:
    """Bring every value of an Activation Request into the range that this server runs (§7.2.1).

    Values outside the reference program's ranges become the defaults, except that tests of 1 to 4 s are
    allowed. ECN bits are cleared (§7.1: Not-ECT), and payloads are never random. The start of a search is
    lowered to the highest row.
    """
    low, upper = request.low_threshold, request.upper_threshold
    if not (1 <= low <= upper <= 10_000):
        low, upper = 30, 90
    # The reference server makes 10 s of anything below 5 s, over its own maximum even.
    test_s = min(max(request.test_s, 1), limits.longest_s)
    period = request.sub_interval
    starts = is_search(request) and request.row != pdu.SEARCH_INDEX
    return replace(
        request,
        row=min(request.row, limits.highest_row) if starts else request.row,
        low_threshold=low,
        upper_threshold=upper,
        trial_interval=request.trial_interval if 5 <= request.trial_interval <= 250 else 50,
        test_s=test_s,
        # The load does not react to congestion marks, so that it must not ask for them.
        dscp_ecn=request.dscp_ecn & 0xFC,
        one_way_variation=min(request.one_way_variation, 1),
        high_speed_delta=request.high_speed_delta or 10,
        slow_adjust_threshold=request.slow_adjust_threshold or 3,
        ignore_reordering=min(request.ignore_reordering, 1),
        modifiers=request.modifiers & pdu.ACTIVATION_START_INDEX,
        algorithm=request.algorithm if request.algorithm <= 1 else 0,
        sub_interval=period if 100 <= period <= min(10_000, test_s * 1000) else min(1000, test_s * 1000),
    )
