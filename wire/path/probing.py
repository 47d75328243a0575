"""One probing packet and what came of it: the words that the trace, the search and their shell share."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from enum import StrEnum

FARTHEST_TTL = 255


class Kind(StrEnum):
    """What an answer to a probing packet is.

    ``reply`` is the reflector's; ``expired``, ``too-big``, ``port-unreachable`` and ``unreachable`` are ICMP
    messages (RFC 792, RFC 4443); ``unsent``: this machine's own interface takes none of that size.
    """

    REPLY = "reply"
    EXPIRED = "expired"
    TOO_BIG = "too-big"
    PORT_UNREACHABLE = "port-unreachable"
    UNREACHABLE = "unreachable"
    UNSENT = "unsent"


@dataclass(frozen=True, slots=True)
class Probe:
    """A packet to send: with this TTL, padded to an IP packet of ``size`` bytes, 0 for as it is.

    Never fragmented on its way: each carries DF (RFC 1191 section 3), in IPv6 no router fragments.
    """

    ttl: int
    size: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """The first answer to a packet.

    ``address`` is who answered; ``rtt_ns`` from one kernel stamp to the other where there are both.
    ``dscp`` is the class in the IP header that an ICMP message quotes, ``told_mtu`` the size that it names
    (0 where it names none). ``reflected`` is the reflector's own Sequence Number, ``payload`` the whole
    reply. ``copied``: that number is the packet's own, which is all that a stateless reflector has (RFC 8762
    section 4).
    """

    kind: Kind
    address: str = ""
    rtt_ns: int | None = None
    dscp: int | None = None
    told_mtu: int = 0
    reflected: int | None = None
    copied: bool = False
    payload: bytes = b""

    @property
    def from_peer(self) -> bool:
        """Whether the packet came to the end of the path."""
        return self.kind in (Kind.REPLY, Kind.PORT_UNREACHABLE)


Answers = Sequence[Answer | None]
"""One for each packet of a batch, in its order; None where nothing came within the time-out."""

Batches = Generator[Sequence[Probe], Answers, None]
"""Packets to send together, answers sent in; what was found is in the object that made the generator.

The shell may stop at any batch, when time or packets are up: what was found until then holds.
"""
