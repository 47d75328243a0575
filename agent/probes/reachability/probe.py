"""Reachability probe: one poll of all targets on the way to the peer, for a person.

In the resident agent ``watch`` polls all the time, and no schedule starts this probe.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from agent.probes.reachability import state as reachability_state
from agent.probes.reachability.poller import TargetPoller
from agent.probes.reachability.rules.network_view import Egress, EgressKind, Target, UplinkState
from agent.probes.reachability.rules.outages import OutageRules
from agent.probes.reachability.rules.target_history import POLLS
from agent.task.task import ProbeContext, Progress, Reading, Task, UnscheduledProbe
from wire.records import (
    ClockReading,
    Failure,
    Measurement,
    Outcome,
    ReachabilityMeasurement,
    ReachabilityValues,
)

_PAUSE_S = 0.4
_DEADLINE_S = 30.0
_LOOKUP_S = 10.0

_POLLED = [target for target in Target if target is not Target.RESOLVER]


class ReachabilitySnapshot(Struct, frozen=True):
    """Targets that answered; None for one that is not on the way, or whose silence proves nothing.

    ``gateway_name`` and ``hop_name`` are addresses. ``nameless`` are the names, of peer and broker, that gave
    no address to poll. ``outage`` is what these answers amount to, if any.
    """

    egress: Egress
    gateway: bool | None
    first_hop: bool | None
    peer: bool
    broker: bool
    gateway_name: str | None
    hop_name: str | None
    outage: ReachabilityValues | None
    nameless: Mapping[Target, str] = {}

    @property
    def failure(self) -> Failure | None:
        """Failure of a look that found something silent, although that is not yet an outage."""
        if self.outage is not None or (self.peer and self.broker):
            return None
        return Failure.NAME_UNKNOWN if self.nameless else Failure.NO_ANSWER

    def __str__(self) -> str:
        parts = []
        if self.egress.kind is EgressKind.NONE:
            parts.append("no route to the peer")
        if self.egress.carrier is False:
            parts.append("the interface has no link")
        if self.egress.kind is EgressKind.ROUTED:
            parts.append(f"gateway {self.gateway_name} {_word(self.gateway)}")
        if self.egress.kind is not EgressKind.DIRECT:
            name = f"first hop beyond {self.hop_name}" if self.hop_name else "first hop beyond"
            parts.append(f"{name} {_word(self.first_hop)}")
        for target, answers in ((Target.PEER, self.peer), (Target.BROKER, self.broker)):
            host = self.nameless.get(target)
            parts.append(f"{target} {host} does not resolve" if host else f"{target} {_word(answers)}")
        return ", ".join(parts)


class ReachabilityProbe(UnscheduledProbe):
    """Polls all targets once, and silent ones again, with the gateway and first hop of earlier runs."""

    record: type[Measurement] = ReachabilityMeasurement
    alone = False
    deadline_s = _DEADLINE_S

    def __init__(self, context: ProbeContext) -> None:
        self._context = context
        self._interval_s = context.settings.every_s("reachability")

    def tasks(self) -> Sequence[Task]:
        """One task, or none where the settings say never."""
        return [] if self._interval_s is None else [Task("reachability", float(self._interval_s))]

    async def run(self, task: Task, progress: Progress) -> Reading:
        """Poll all targets. The reading says which answer and, if one does not, what that amounts to."""
        progress("gateway, first hop, peer and broker")
        found = await self.look()
        outcome = Outcome.OK if found.failure is None else Outcome.FAILED
        return Reading(outcome, found.outage, found.failure, str(found))

    async def look(self) -> ReachabilitySnapshot:
        """Snapshot of this moment."""
        context = self._context
        # The time that an answer may take, a fifth of the interval, is then the pause between two polls.
        rules = OutageRules(round(_PAUSE_S * 5e6), lambda: secrets.token_hex(8))
        poller = TargetPoller(context, rules)
        known = reachability_state.read(state_path(context.settings.journal.path))
        for target in known.known:
            rules.targets[target].known = True
        poller.gateway = known.gateway
        poller.hop.ttl, poller.hop.address = known.hop_ttl, known.hop_address
        began = context.clock()
        try:
            await poller.look_up(_LOOKUP_S)
            return await _look(rules, poller, context, began)
        finally:
            poller.close()


async def _look(
    rules: OutageRules, poller: TargetPoller, context: ProbeContext, began: ClockReading
) -> ReachabilitySnapshot:
    records: list[ReachabilityValues] = []
    for _ in range(POLLS + 1):
        now, egress = context.clock(), poller.egress()
        records += rules.decide(now, egress, UplinkState())
        silent = [target for target in _POLLED if not rules.targets[target].last_answer]
        for target in silent:
            poller.poll(target, context.clock())
        if not silent:
            break
        await asyncio.sleep(_PAUSE_S)
    now = context.clock()
    records += rules.decide(now, egress, UplinkState())
    view = rules.view(now)
    return ReachabilitySnapshot(
        egress=egress,
        gateway=view.answers(Target.GATEWAY, began),
        first_hop=view.answers(Target.FIRST_HOP, began),
        peer=view.peer.last_answer is not None,
        broker=view.broker.last_answer is not None,
        gateway_name=poller.gateway,
        hop_name=poller.hop.address,
        outage=records[0] if records else None,
        nameless={
            target: host.host
            for target, host in ((Target.PEER, poller.peer), (Target.BROKER, poller.broker))
            if not host.candidates
        },
    )


def state_path(journal: str) -> Path:
    """Path of the state file of an agent with this journal."""
    return Path(journal).with_name(reachability_state.NAME)


def _word(answers: bool | None) -> str:
    return {True: "answers", False: "does not answer", None: "says nothing"}[answers]
