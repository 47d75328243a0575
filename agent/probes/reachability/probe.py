"""The reachability probe: who answers on the way to the peer. In the resident agent a watch stands for it."""

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from agent.probes.reachability import state as reachability_state
from agent.probes.reachability.asks import Asks
from agent.probes.reachability.rules.outages import Connection, OutageRules, Target, Way, WayKind
from agent.probes.reachability.rules.silence import ASKS
from agent.task.task import DropOrder, Progress, Reading, Surroundings, Task, Watched
from wire.records import ClockReading, Known, Outcome, ReachabilityMeasurement, ReachabilityValues

_PAUSE_S = 0.4
_DEADLINE_S = 30.0


class Seen(Struct, frozen=True):
    """Who answered; None for who is not on the way, or cannot be told from silence.

    ``gateway_name`` and ``hop_name`` are their addresses, ``outage`` what is out, if anything.
    """

    way: Way
    gateway: bool | None
    first_hop: bool | None
    peer: bool
    broker: bool
    gateway_name: str | None
    hop_name: str | None
    outage: ReachabilityValues | None

    def __str__(self) -> str:
        parts = []
        if self.way.kind is WayKind.NONE:
            parts.append("no route to the peer")
        if self.way.carrier is False:
            parts.append("the interface has no link")
        if self.way.kind is WayKind.ROUTED:
            parts.append(f"gateway {self.gateway_name} {_word(self.gateway)}")
        if self.way.kind is not WayKind.DIRECT:
            name = f"first hop beyond {self.hop_name}" if self.hop_name else "first hop beyond"
            parts.append(f"{name} {_word(self.first_hop)}")
        parts += [f"peer {_word(self.peer)}", f"broker {_word(self.broker)}"]
        return ", ".join(parts)


class ReachabilityProbe(Watched):
    """Asks everybody once, and the silent again. What an earlier run learnt of gateway and hop is known."""

    record: type[Known] = ReachabilityMeasurement
    alone = False
    drop_order = DropOrder.SELDOM
    deadline_s = _DEADLINE_S

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._interval_s = surroundings.settings.schedule.reachability

    def tasks(self) -> Sequence[Task]:
        """One, unless the settings say never."""
        return [] if self._interval_s is None else [Task("reachability", float(self._interval_s))]

    async def run(self, task: Task, progress: Progress) -> Reading:
        """Ask, and tell who answers and, if somebody does not, what that amounts to."""
        progress("gateway, first hop, peer and broker")
        seen = await self.look()
        return Reading(Outcome.OK, seen.outage, detail=str(seen))

    async def look(self) -> Seen:
        """Who answers now."""
        around = self._surroundings
        rules = OutageRules(round(_PAUSE_S * 5e6), lambda: secrets.token_hex(8))
        asks = Asks(around, rules)
        known = reachability_state.read(state_path(around.settings.journal.path))
        for target in known.known:
            rules.targets[target].known = True
        asks.gateway = known.gateway
        asks.hop.ttl, asks.hop.address = known.hop_ttl, known.hop_address
        began = around.clock()
        try:
            await asks.look_up_now()
            return await _look(rules, asks, around, began)
        finally:
            asks.close()


async def _look(rules: OutageRules, asks: Asks, around: Surroundings, began: ClockReading) -> Seen:
    told: list[ReachabilityValues] = []
    for _ in range(ASKS + 1):
        now, way = around.clock(), asks.way()
        told += rules.decide(now, way, Connection())
        silent = [target for target in Target if not rules.targets[target].answered]
        for target in silent:
            asks.ask(target, around.clock())
        if not silent:
            break
        await asyncio.sleep(_PAUSE_S)
    now = around.clock()
    told += rules.decide(now, way, Connection())
    return Seen(
        way=way,
        gateway=rules.answering(Target.GATEWAY, began, now),
        first_hop=rules.answering(Target.FIRST_HOP, began, now),
        peer=rules.targets[Target.PEER].answered is not None,
        broker=rules.targets[Target.BROKER].answered is not None,
        gateway_name=asks.gateway,
        hop_name=asks.hop.address,
        outage=told[0] if told else None,
    )


def state_path(journal: str) -> Path:
    """Where a running agent keeps what it learnt."""
    return Path(journal).with_name(reachability_state.NAME)


def _word(answers: bool | None) -> str:
    return {True: "answers", False: "does not answer", None: "says nothing"}[answers]
