"""Comparison of the agent's record of a load test with the peer's record of the same test. Pure.

A contradiction is a finding about an instrument, or about somebody who reports what was not measured. It says
nothing about the line (decision 14).

Each end counts one figure exactly and infers the other one:

| direction | sent                                              | received                               |
|-----------|---------------------------------------------------|----------------------------------------|
| down      | peer: exact; agent: from sequence numbers         | agent: exact; peer: from Status PDUs   |
| up        | agent: exact; peer: from sequence numbers         | peer: exact; agent: from Status PDUs   |

An inferred count may be short by the packets after the last feedback, at most those of one trial interval.
A line that loses packets loses Status PDUs too, so the inferred count of received packets may have holes.
Packets that were sent, and reported neither received nor lost, may have been received: they are *unreported*.
"""

from dataclasses import dataclass
from enum import StrEnum

from wire.messages.envelope import ReceiptStatus
from wire.messages.peer_tests import PeerTest
from wire.records import Direction

COUNT_TOLERANCE = 0.01
FEEDBACK_US = 50_000  # trial interval, RFC 9946 section 12.3.8: the last Status PDU may be lost
FEW_PACKETS = 3  # first and last packets of a test may fall on either side of its beginning and end
RATE_TOLERANCE = 0.05  # the two ends of a search do not begin and end at the same packet, and its rate varies


@dataclass(frozen=True, slots=True)
class PeerMessage:
    """Contents of a peer's message: the status of each test, and the newest beginning of one."""

    peer: str
    statuses: tuple[ReceiptStatus, ...]
    newest_us: int | None


class ComparisonResult(StrEnum):
    """Result of a comparison. ``agree``: no figure of one record contradicts the other record.

    ``ambiguous``: several sites claim one test. Which of them ran it is not known, and none is compared.
    """

    AGREE = "agree"
    DISAGREE = "disagree"
    AGENT_ONLY = "agent-only"
    PEER_ONLY = "peer-only"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """Figures of the agent's record of one test. A search has rates alone. Rates are of the IP layer.

    ``sent_bps`` is None if the peer continued to send after the agent had ended. ``received_bps`` is None if
    the test was ended early. The agent may judge a part of it, and only the receiver of the load knows
    about the packets in flight at its end.
    """

    sent_bps: float | None
    received_bps: float | None
    duration_us: int | None = None
    sent_packets: int | None = None
    received_packets: int | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Result, and the greatest relative difference of a figure in both records; None without such a figure.

    The difference of a received count is the distance to the nearest count that the peer's record allows.
    """

    result: ComparisonResult
    difference: float | None


@dataclass(frozen=True, slots=True)
class ComparedTest:
    """One load test whose records were compared, or whose second record did not arrive in time.

    ``site`` is None if only the peer has a record: its session id does not name a site.
    """

    peer: str
    site: str | None
    direction: Direction
    time_us: int
    result: ComparisonResult
    difference: float | None


def compare(agent: AgentFigures, peer: PeerTest) -> Comparison:
    """Compare both records of one test."""
    if agent.sent_packets is None or agent.received_packets is None:
        pairs = _rates(agent, peer)
    else:
        pairs = [
            _pair(agent.sent_packets, peer.sent_packets, _tolerance(agent)),
            _pair(agent.received_packets, peer.received_packets, _tolerance(agent), _unreported(peer)),
        ]
    known = [pair for pair in pairs if pair is not None]
    worst = max((difference for difference, _ in known), default=None)
    contradicted = any(difference > allowed for difference, allowed in known)
    return Comparison(ComparisonResult.DISAGREE if contradicted else ComparisonResult.AGREE, worst)


def has_load(peer: PeerTest) -> bool:
    """Check that the peer saw any load: a test that was set up and never began gives the agent no record."""
    return bool(peer.sent_packets or peer.received_packets)


def _rates(agent: AgentFigures, peer: PeerTest) -> list[tuple[float, float] | None]:
    if not peer.load_us:
        return []
    sent, received = (
        None if count is None else count * 8e6 / peer.load_us
        for count in (peer.sent_bytes, peer.received_bytes)
    )
    return [
        _pair(agent.sent_bps, sent, RATE_TOLERANCE),
        _pair(agent.received_bps, received, RATE_TOLERANCE, _unreported(peer)),
    ]


def _tolerance(agent: AgentFigures) -> float:
    most = max(agent.sent_packets or 0, agent.received_packets or 0, 1)
    feedback = FEEDBACK_US / agent.duration_us if agent.duration_us else 1.0
    return COUNT_TOLERANCE + feedback + FEW_PACKETS / most


def _unreported(peer: PeerTest) -> float:
    """Packets reported neither received nor lost, relative to those reported received."""
    if peer.sent_packets is None or peer.lost_packets is None or not peer.received_packets:
        return 0.0
    return max(0, peer.sent_packets - peer.lost_packets - peer.received_packets) / peer.received_packets


def _pair(
    agent: float | None, peer: float | None, allowed: float, unreported: float = 0.0
) -> tuple[float, float] | None:
    """Relative difference of one figure, and the difference that is allowed; None if either is unknown."""
    if agent is None or peer is None:
        return None
    # Without regard to unreported packets, 4 in 10 honest tests at 20 % loss would disagree (decision 14).
    nearest = min(max(agent, peer), peer * (1 + unreported))
    most = max(agent, nearest)
    return (abs(agent - nearest) / most if most else 0.0), allowed
