"""A path of routers that answers probing packets by value: no socket, no clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wire.path.probing import Answer, Answers, Batches, Kind, Probe

MILLISECOND_NS = 1_000_000


@dataclass
class Router:
    """``mtu`` is of the link behind it, ``tells`` whether it says so; ``sets_dscp`` as it sends on."""

    silent: bool = False
    mtu: int = 1500
    tells: bool = True
    names_size: bool = True
    sets_dscp: int | None = None
    turns_back: bool = False
    return_mtu: int = 9000


@dataclass
class Path:
    """Routers on the way to a peer whose reflector counts; ``lost`` holds numbers of packets to lose.

    ``black_hole_here``: larger packets do not come to the first router. Not ``stateful``: its reflector does
    not count.
    """

    routers: list[Router]
    dscp: int = 46
    peer_answers: bool = True
    lost: set[int] = field(default_factory=set)
    interface_mtu: int = 1500
    black_hole_here: int = 9000
    base: int = 168
    stateful: bool = True
    sent: list[Probe] = field(default_factory=list)
    counted: int = 0

    def run(self, batches: Batches) -> None:
        try:
            probes = next(batches)
            while True:
                probes = batches.send(self.answers(probes))
        except StopIteration:
            return

    def answers(self, probes: Sequence[Probe]) -> Answers:
        return [self._answer(probe) for probe in probes]

    def _answer(self, probe: Probe) -> Answer | None:
        number = len(self.sent)
        self.sent.append(probe)
        size, dscp = probe.size or self.base, self.dscp
        if size > self.interface_mtu:
            return Answer(Kind.UNSENT)
        if number in self.lost or size > self.black_hole_here:
            return None
        for place, router in enumerate(self.routers, start=1):
            told = self._at(place, router, probe.ttl, size, dscp)
            if told is not None:
                return None if router.silent or told.kind is Kind.UNSENT else told
            dscp = dscp if router.sets_dscp is None else router.sets_dscp
        return self._at_peer(size, dscp)

    def _at(self, place: int, router: Router, ttl: int, size: int, dscp: int) -> Answer | None:
        address, rtt = f"192.0.2.{place}", place * MILLISECOND_NS
        if ttl == place:
            return Answer(Kind.EXPIRED, address, rtt, dscp)
        if router.turns_back:
            return Answer(Kind.UNREACHABLE, address, rtt, dscp)
        if size > router.mtu:
            told = router.mtu if router.names_size else 0
            return Answer(Kind.TOO_BIG if router.tells else Kind.UNSENT, address, rtt, dscp, told)
        return None

    def _at_peer(self, size: int, dscp: int) -> Answer | None:
        if not self.peer_answers:
            return None
        number, self.counted = self.counted, self.counted + 1
        if any(size > router.return_mtu for router in self.routers):
            return None
        rtt = (len(self.routers) + 1) * MILLISECOND_NS
        own = len(self.sent) - 1
        told = number if self.stateful else own
        return Answer(
            Kind.REPLY, "198.51.100.9", rtt, reflected=told, copied=told == own, payload=bytes([dscp])
        )
