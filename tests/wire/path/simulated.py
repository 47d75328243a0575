"""Simulated path of routers that answers probing packets, without sockets and clocks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wire.path.probing import AnswerKind, ProbeAnswer, ProbeAnswers, ProbeBatches, ProbePacket

MILLISECOND_NS = 1_000_000


@dataclass
class Router:
    """Router with a link of ``mtu`` behind it; it ``reports`` too-big packets and may set a DSCP."""

    silent: bool = False
    mtu: int = 1500
    reports: bool = True
    names_size: bool = True
    sets_dscp: int | None = None
    turns_back: bool = False
    return_mtu: int = 9000


@dataclass
class Path:
    """Routers on the path to a peer with a reflector; ``lost`` has the numbers of packets to lose.

    ``black_hole_here``: larger packets do not reach the first router. A ``stateful`` reflector counts.
    """

    routers: list[Router]
    dscp: int = 46
    peer_answers: bool = True
    lost: set[int] = field(default_factory=set)
    interface_mtu: int = 1500
    black_hole_here: int = 9000
    base: int = 168
    stateful: bool = True
    sent: list[ProbePacket] = field(default_factory=list)
    counted: int = 0

    def run(self, batches: ProbeBatches) -> None:
        try:
            probes = next(batches)
            while True:
                probes = batches.send(self.answers(probes))
        except StopIteration:
            return

    def answers(self, probes: Sequence[ProbePacket]) -> ProbeAnswers:
        return [self._answer(probe) for probe in probes]

    def _answer(self, probe: ProbePacket) -> ProbeAnswer | None:
        number = len(self.sent)
        self.sent.append(probe)
        size, dscp = probe.size or self.base, self.dscp
        if size > self.interface_mtu:
            return ProbeAnswer(AnswerKind.UNSENT)
        if number in self.lost or size > self.black_hole_here:
            return None
        for place, router in enumerate(self.routers, start=1):
            reported = self._at(place, router, probe.ttl, size, dscp)
            if reported is not None:
                return None if router.silent or reported.kind is AnswerKind.UNSENT else reported
            dscp = dscp if router.sets_dscp is None else router.sets_dscp
        return self._at_peer(size, dscp)

    def _at(self, place: int, router: Router, ttl: int, size: int, dscp: int) -> ProbeAnswer | None:
        address, rtt = f"192.0.2.{place}", place * MILLISECOND_NS
        if ttl == place:
            return ProbeAnswer(AnswerKind.EXPIRED, address, rtt, dscp)
        if router.turns_back:
            return ProbeAnswer(AnswerKind.UNREACHABLE, address, rtt, dscp)
        if size > router.mtu:
            reported = router.mtu if router.names_size else 0
            return ProbeAnswer(
                AnswerKind.TOO_BIG if router.reports else AnswerKind.UNSENT, address, rtt, dscp, reported
            )
        return None

    def _at_peer(self, size: int, dscp: int) -> ProbeAnswer | None:
        if not self.peer_answers:
            return None
        number, self.counted = self.counted, self.counted + 1
        if any(size > router.return_mtu for router in self.routers):
            return None
        rtt = (len(self.routers) + 1) * MILLISECOND_NS
        own = len(self.sent) - 1
        number = number if self.stateful else own
        return ProbeAnswer(
            AnswerKind.REPLY,
            "198.51.100.9",
            rtt,
            reflected=number,
            copied=number == own,
            payload=bytes([dscp]),
        )
