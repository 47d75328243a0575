"""One probing packet and its answer: the data that trace, search and shell exchange."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from enum import StrEnum

FARTHEST_TTL = 255


class AnswerKind(StrEnum):
    """Kind of an answer to a probing packet.

    ``reply`` is the reflector's. ``expired``, ``too-big``, ``port-unreachable`` and ``unreachable`` are ICMP
    messages (RFC 792, RFC 4443). ``unsent``: this machine's interface accepts no packet of that size.
    """

    REPLY = "reply"
    EXPIRED = "expired"
    TOO_BIG = "too-big"
    PORT_UNREACHABLE = "port-unreachable"
    UNREACHABLE = "unreachable"
    UNSENT = "unsent"


@dataclass(frozen=True, slots=True)
class ProbePacket:
    """Packet to send with this TTL, padded to an IP packet of ``size`` bytes; 0 means no padding.

    It is never fragmented on the path: DF is set (RFC 1191 section 3), and in IPv6 no router fragments.
    """

    ttl: int
    size: int = 0


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """First answer to a packet.

    - ``address``: the source of the answer.
    - ``rtt_ns``: time between two kernel stamps, None without both of them.
    - ``dscp``: class in the IP header that an ICMP message quotes.
    - ``reported_mtu``: size that a too-big message names, 0 where it names none.
    - ``reflected``: the reflector's own Sequence Number.
    - ``copied``: that number is the packet's own, as from a stateless reflector (RFC 8762 section 4).
    - ``payload``: the whole reply.
    """

    kind: AnswerKind
    address: str = ""
    rtt_ns: int | None = None
    dscp: int | None = None
    reported_mtu: int = 0
    reflected: int | None = None
    copied: bool = False
    payload: bytes = b""

    @property
    def from_peer(self) -> bool:
        """True where the packet reached the end of the path."""
        return self.kind in (AnswerKind.REPLY, AnswerKind.PORT_UNREACHABLE)


# One for each packet of a batch, in its order; None where no answer arrived within the time-out.
ProbeAnswers = Sequence[ProbeAnswer | None]

# Generator of packets to send together, which takes their answers; results are in the object that made it.
# The shell may stop at any batch, when time or packets are used up. Results until then are valid.
ProbeBatches = Generator[Sequence[ProbePacket], ProbeAnswers, None]
