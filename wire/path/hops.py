"""The trace: one router after the other, told by packets that expire there (RFC 792, "time exceeded").

All packets are of one flow, addresses and ports alike, so that a router that spreads flows over several links
keeps them on one of them: what is seen is one path, and the one that other packets of this flow take.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from wire.path.probing import Answer, Answers, Batches, Kind, Probe
from wire.records import Hop

AT_ONCE = 8
"""TTLs asked together: a router that keeps silent costs one time-out for all of them."""

MOST_OTHER_ADDRESSES = 8


@dataclass(slots=True)
class SeenHop:
    """What is known of one TTL so far."""

    ttl: int
    sent: int = 0
    answers: list[Answer] = field(default_factory=list)

    @property
    def dscp(self) -> int | None:
        """The class in which packets arrived here; where answers differ, what the last one quoted."""
        return next((one.dscp for one in reversed(self.answers) if one.dscp is not None), None)

    @property
    def address(self) -> str | None:
        """Who answered first."""
        return self.answers[0].address if self.answers else None

    def record(self) -> Hop:
        """The hop as it is recorded."""
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
    """Asks every TTL up to ``farthest`` for an answer, ``packets`` times each, until the path ends.

    It ends where the peer answers or, where it does not, at the router that says it leads no further.
    """

    def __init__(self, farthest: int, packets: int) -> None:
        self._farthest = farthest
        self._packets = packets
        self._seen = {ttl: SeenHop(ttl) for ttl in range(1, farthest + 1)}
        self._peer_at: int | None = None
        self._turned_back_at: int | None = None

    @property
    def reached(self) -> bool:
        """Whether the peer itself answered."""
        return self._peer_at is not None

    @property
    def hops(self) -> list[SeenHop]:
        """Every hop that was asked, in order, without those beyond the end."""
        return [hop for ttl, hop in self._seen.items() if hop.sent and ttl <= self._end]

    def batches(self) -> Batches:
        """Packets to send, by groups of TTLs."""
        for first in range(1, self._farthest + 1, AT_ONCE):
            for _ in range(self._packets):
                probes = [Probe(ttl) for ttl in range(first, min(first + AT_ONCE, self._end + 1))]
                self._take(probes, (yield probes))
            if self._end < first + AT_ONCE:
                return

    @property
    def _end(self) -> int:
        return self._peer_at or self._turned_back_at or self._farthest

    def _take(self, probes: Iterable[Probe], answers: Answers) -> None:
        for probe, answer in zip(probes, answers, strict=True):
            hop = self._seen[probe.ttl]
            hop.sent += 1
            if answer is None or answer.kind in (Kind.UNSENT, Kind.TOO_BIG):
                continue
            hop.answers.append(answer)
            if answer.from_peer:
                self._peer_at = min(probe.ttl, self._peer_at or probe.ttl)
            elif answer.kind is Kind.UNREACHABLE:
                self._turned_back_at = min(probe.ttl, self._turned_back_at or probe.ttl)
