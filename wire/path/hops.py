"""Trace of the path: one router after the other, found by packets that expire there (RFC 792, RFC 4443).

All packets belong to one flow, with the same addresses and ports. A router that distributes flows over
several links sends them all over one link. The trace therefore shows one path, that of this flow.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from wire.path.probing import AnswerKind, ProbeAnswer, ProbeAnswers, ProbeBatches, ProbePacket
from wire.records import Hop

# TTLs probed together: routers that do not answer cost one time-out for all of them.
AT_ONCE = 8

MOST_OTHER_ADDRESSES = 8


@dataclass(slots=True)
class SeenHop:
    """Packets and answers of one TTL so far."""

    ttl: int
    sent: int = 0
    answers: list[ProbeAnswer] = field(default_factory=list)

    @property
    def dscp(self) -> int | None:
        """DSCP of packets that arrived here; that of the last answer where answers differ."""
        return next((one.dscp for one in reversed(self.answers) if one.dscp is not None), None)

    @property
    def address(self) -> str | None:
        """Address of the first answer."""
        return self.answers[0].address if self.answers else None

    def record(self) -> Hop:
        """Build the hop of the record."""
        addresses = list(dict.fromkeys(answer.address for answer in self.answers))
        times = [answer.rtt_ns for answer in self.answers if answer.rtt_ns is not None]
        return Hop(
            ttl=self.ttl,
            sent=self.sent,
            answered=len(self.answers),
            address=self.address,
            also=tuple(addresses[1 : 1 + MOST_OTHER_ADDRESSES]),
            rtt_us=(min(times) + 500) // 1000 if times else None,
            dscp=self.dscp,
        )


class Trace:
    """Probes every TTL up to ``farthest``, ``packets`` times each, until the path ends.

    The path ends where the peer answers, or else at the router that reports it unreachable.
    """

    def __init__(self, farthest: int, packets: int) -> None:
        self._farthest = farthest
        self._packets = packets
        self._seen = {ttl: SeenHop(ttl) for ttl in range(1, farthest + 1)}
        self._peer_at: int | None = None
        self._unreachable_at: int | None = None

    @property
    def reached(self) -> bool:
        """True where the peer itself answered."""
        return self._peer_at is not None

    @property
    def hops(self) -> list[SeenHop]:
        """Hops probed, in order, without those beyond the end of the path."""
        return [hop for ttl, hop in self._seen.items() if hop.sent and ttl <= self._end]

    def batches(self) -> ProbeBatches:
        """Generate packets to send, by groups of TTLs."""
        for first in range(1, self._farthest + 1, AT_ONCE):
            # One packet for each TTL a round, not all of one TTL at once: routers limit the rate of ICMP
            # messages.
            for _ in range(self._packets):
                probes = [ProbePacket(ttl) for ttl in range(first, min(first + AT_ONCE, self._end + 1))]
                self._take(probes, (yield probes))
            # Later groups would only reach the peer again.
            if self._end < first + AT_ONCE:
                return

    @property
    def _end(self) -> int:
        # The peer first: a firewall's "unreachable" for one packet does not end a path that goes on.
        return self._peer_at or self._unreachable_at or self._farthest

    def _take(self, probes: Iterable[ProbePacket], answers: ProbeAnswers) -> None:
        for probe, answer in zip(probes, answers, strict=True):
            hop = self._seen[probe.ttl]
            hop.sent += 1
            # Both say something of the size, nothing of the router at this TTL.
            if answer is None or answer.kind in (AnswerKind.UNSENT, AnswerKind.TOO_BIG):
                continue
            hop.answers.append(answer)
            if answer.from_peer:
                self._peer_at = min(probe.ttl, self._peer_at or probe.ttl)
            elif answer.kind is AnswerKind.UNREACHABLE:
                self._unreachable_at = min(probe.ttl, self._unreachable_at or probe.ttl)
