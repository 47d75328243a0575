"""Whether the two sides of a load test tell the same of it: the agent's record and its peer's.

Pure. A contradiction is a finding about the instrument, or about somebody who writes what was not measured;
it says nothing of the line.

Each side counts something exactly and hears of the rest. Downstream the peer knows what it sent and the agent
what arrived; the agent infers what was sent from sequence numbers (a lost tail is unknown to it), the peer
what arrived from the agent's Status PDUs. Upstream it is the other way round. So each count is told twice,
one of the two possibly short by what came after the last feedback: no more than a trial interval's packets.
Of a line that loses packets Status PDUs are lost too, and holes stay in what the peer heard of. They show:
packets that it sent, and of which it was told neither that they came nor that they were lost, may have come.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from wire.messages.envelope import ReceiptStatus
from wire.records import Direction

COUNT_TOLERANCE = 0.01
FEEDBACK_US = (
    50_000  # a trial interval, RFC 9946 section 12.3.8: what the last, lost Status PDU would have told
)
FEW_PACKETS = 3  # a test's first and last packets may fall to either side of its beginning and end
RATE_TOLERANCE = (
    0.05  # of a search: its two ends do not begin and end at the same packet, and its rate changes
)


@dataclass(frozen=True, slots=True)
class PeerMessage:
    """What a peer's message held: how many tests became what, and the newest beginning of one."""

    peer: str
    statuses: tuple[ReceiptStatus, ...]
    newest_us: int | None


class ComparisonResult(StrEnum):
    """What became of the comparison. ``agree``: no figure of one side contradicts the other."""

    AGREE = "agree"
    DISAGREE = "disagree"
    AGENT_ONLY = "agent-only"
    PEER_ONLY = "peer-only"


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """What the agent told of one test. Of a search it tells rates alone. Rates at the IP layer.

    ``sent_bps`` None: the peer sent on when the agent had ended. ``received_bps`` None: the test was ended
    before its time. The agent may judge a part of it, and of what was under way at its end only the load's
    receiver knows.
    """

    sent_bps: float | None
    received_bps: float | None
    duration_us: int | None = None
    sent_packets: int | None = None
    received_packets: int | None = None


class PeerFigures(Protocol):
    """What the peer told of one test: the fields of a :class:`wire.messages.peer_tests.PeerTest`."""

    @property
    def load_us(self) -> int | None:
        """Time between first and last Load PDU."""

    @property
    def sent_packets(self) -> int | None:
        """Load PDUs sent."""

    @property
    def sent_bytes(self) -> int | None:
        """IP-layer bytes of them."""

    @property
    def received_packets(self) -> int | None:
        """Load PDUs received."""

    @property
    def received_bytes(self) -> int | None:
        """IP-layer bytes of them."""

    @property
    def lost_packets(self) -> int | None:
        """Load PDUs lost, as the load's receiver counted and told them."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``difference`` is the greatest relative difference of a figure that both told, None where none was.

    Of what was received it is the difference to the nearest count that the peer's record allows.
    """

    result: ComparisonResult
    difference: float | None


@dataclass(frozen=True, slots=True)
class ComparedTest:
    """One test after its sides were joined, or given up. ``site`` is None where only the peer told of it."""

    peer: str
    site: str | None
    direction: Direction
    time_us: int
    result: ComparisonResult
    difference: float | None


def compare(claim: AgentFigures, told: PeerFigures) -> Comparison:
    """Both sides of one test."""
    if claim.sent_packets is None or claim.received_packets is None:
        pairs = _rates(claim, told)
    else:
        pairs = [
            _pair(claim.sent_packets, told.sent_packets, _tolerance(claim)),
            _pair(claim.received_packets, told.received_packets, _tolerance(claim), _unheard(told)),
        ]
    known = [pair for pair in pairs if pair is not None]
    worst = max((difference for difference, _ in known), default=None)
    contradicted = any(difference > allowed for difference, allowed in known)
    return Comparison(ComparisonResult.DISAGREE if contradicted else ComparisonResult.AGREE, worst)


def has_load(told: PeerFigures) -> bool:
    """Whether the peer saw any load: a test that was set up and never begun leaves the agent no result."""
    return bool(told.sent_packets or told.received_packets)


def _rates(claim: AgentFigures, told: PeerFigures) -> list[tuple[float, float] | None]:
    if not told.load_us:
        return []
    sent, received = (
        None if count is None else count * 8e6 / told.load_us
        for count in (told.sent_bytes, told.received_bytes)
    )
    return [
        _pair(claim.sent_bps, sent, RATE_TOLERANCE),
        _pair(claim.received_bps, received, RATE_TOLERANCE, _unheard(told)),
    ]


def _tolerance(claim: AgentFigures) -> float:
    most = max(claim.sent_packets or 0, claim.received_packets or 0, 1)
    feedback = FEEDBACK_US / claim.duration_us if claim.duration_us else 1.0
    return COUNT_TOLERANCE + feedback + FEW_PACKETS / most


def _unheard(told: PeerFigures) -> float:
    """How much more may have been received than the peer heard of, relative to that."""
    if told.sent_packets is None or told.lost_packets is None or not told.received_packets:
        return 0.0
    return max(0, told.sent_packets - told.lost_packets - told.received_packets) / told.received_packets


def _pair(
    ours: float | None, theirs: float | None, allowed: float, unheard: float = 0.0
) -> tuple[float, float] | None:
    """The relative difference of one figure, and how much of it is none."""
    if ours is None or theirs is None:
        return None
    nearest = min(max(ours, theirs), theirs * (1 + unheard))
    most = max(ours, nearest)
    return (abs(ours - nearest) / most if most else 0.0), allowed
