"""Outages: what is out, since when, and where. A state machine without clock, socket or disk.

Polls and answers of gateway, first hop, peer, broker and resolver are recorded in ``targets``
(``target_history``). Each ``decide`` gets the state of this machine's egress, uplink and names, and returns
the records of outages that began or ended. The meaning and the limits of each cause are in docs/methods.md,
"Outages".

There are five scopes: line, peer, broker, names and collector. Each is in one of two states, and rules of its
own (``line``, ``services``, ``names``) produce its events from the view of the moment (``network_view``):

| state | event | next state | record |
|---|---|---|---|
| working | begin | out | ``begin`` with its error; who answers now |
| working | anything else | working | |
| out | end | working | the same outage with ``end`` and its error |
| out (line, cause unknown) | the cause becomes known | out | none now: the record of the end has the cause |
| out | anything else | out | |

The order of one ``decide`` matters:

1. Session and receipts are recorded as answers of the broker.
2. A near target that is silent while a farther one answers is no longer known to answer.
3. The line decides. While it is out, the other scopes keep their state: nothing is known of them.
4. Peer, broker, names and collector decide. The collector sees a begin of the broker that precedes it.

What must never happen:

- A begin without an end. Hence open outages outlive the agent (``agent.probes.reachability.state``).
- Two outages for one fault of the line, as *line* and as *peer*. Hence rule 3, and the reset when the line
  ends.
- A begin, less its error, that is later than the truth. Hence the error reaches back to the newest sign of
  life.
- A section named by the silence of a target that was never known to answer.
- Evidence from a target that was not asked, or from somebody who answers in its place.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from msgspec.structs import replace

from agent.probes.reachability.rules.line import LineRules, line_cause
from agent.probes.reachability.rules.names import NameRules
from agent.probes.reachability.rules.network_view import (
    Egress,
    EgressKind,
    NetworkView,
    OutageBegin,
    OutageEnd,
    OutageScope,
    Target,
    UplinkState,
)
from agent.probes.reachability.rules.services import BrokerRules, CollectorRules, PeerRules
from agent.probes.reachability.rules.target_history import ANSWERS, TargetHistory, latest
from wire.records import Cause, ClockReading, ReachabilityValues

# Share of an interval between polls while a silence is suspected, and the time that an answer may take.
SUSPECT_SHARE = 0.2

# Targets whose answers end an outage of a scope.
_POLLED_FOR_END = {
    OutageScope.LINE: (Target.PEER, Target.BROKER),
    OutageScope.PEER: (Target.PEER,),
    OutageScope.BROKER: (Target.BROKER,),
    OutageScope.NAMES: (),
    OutageScope.COLLECTOR: (),
}

# Outages during which the broker is polled.
_OF_BROKER = (OutageScope.LINE, OutageScope.BROKER)
_BEYOND_THE_LINE = (OutageScope.PEER, OutageScope.BROKER, OutageScope.NAMES, OutageScope.COLLECTOR)


class ScopeRules(Protocol):
    """Events of one scope."""

    def begin(self, view: NetworkView) -> OutageBegin | None:
        """Begin of an outage, while none is open."""
        ...

    def end(self, view: NetworkView, begin: ClockReading | None) -> OutageEnd | None:
        """End of the open outage; ``begin`` is None where it began in an earlier boot."""
        ...


class OutageRules:
    """State machine of the scopes.

    ``interval_us`` is the time between polls while all is well. ``previous_run`` is when an earlier run of
    the agent was last alive, and bounds the error of what was out before this run.
    """

    def __init__(
        self, interval_us: int, new_id: Callable[[], str], previous_run: ClockReading | None = None
    ) -> None:
        self.answer_wait_us = round(interval_us * SUSPECT_SHARE)
        self.targets = {target: TargetHistory(self.answer_wait_us) for target in Target}
        self.egress = Egress()
        self.uplink = UplinkState()
        self._names_fail = False
        self._open = _OpenOutages(new_id, previous_run)
        self._broker = BrokerRules(self.answer_wait_us)
        self._scopes: Mapping[OutageScope, ScopeRules] = {
            OutageScope.LINE: LineRules(),
            OutageScope.PEER: PeerRules(),
            OutageScope.BROKER: self._broker,
            OutageScope.NAMES: NameRules(),
            OutageScope.COLLECTOR: CollectorRules(),
        }

    @property
    def outages(self) -> dict[OutageScope, ReachabilityValues]:
        """Open outages; at first those that an earlier run of the agent left open."""
        return self._open.by_scope

    @property
    def session_lost(self) -> ClockReading | None:
        """Time at which the uplink's session was found to be lost; None while there is one."""
        return self._broker.session_lost

    def view(self, now: ClockReading) -> NetworkView:
        """View of this moment, for rules and for people."""
        return NetworkView(now, self.targets, self.egress, self.uplink, self.outages, self._names_fail)

    def decide(
        self, now: ClockReading, egress: Egress, uplink: UplinkState, *, names_fail: bool = False
    ) -> list[ReachabilityValues]:
        """Records of the outages that began or ended."""
        before, self.uplink, self.egress = self.uplink, uplink, egress
        self._names_fail = names_fail
        self._broker.observe(now, before, uplink, self.targets[Target.BROKER])
        view = self.view(now)
        _believe_farther_targets(view)
        records = self._advance(OutageScope.LINE, view)
        for scope in _BEYOND_THE_LINE:
            if OutageScope.LINE not in self.outages:
                records += self._advance(scope, view)
        return records

    def suspects(self, now: ClockReading) -> bool:
        """True if an outage may have begun or ended that cannot be decided yet: all are polled soon."""
        for scope in self.outages:
            if any(0 < self.targets[target].answers.count < ANSWERS for target in _POLLED_FOR_END[scope]):
                return True
        if OutageScope.LINE in self.outages:
            return False
        near, far = (Target.GATEWAY, Target.FIRST_HOP), (Target.PEER, Target.BROKER)
        gateway, hop, peer, broker = (self.targets[one] for one in (*near, *far))
        may_lose_broker = not self.uplink.connected and OutageScope.BROKER not in self.outages
        return (
            (peer.is_overdue(now) and OutageScope.PEER not in self.outages)
            or (broker.is_overdue(now) and may_lose_broker)
            or (gateway.is_overdue(now) and gateway.known and self.egress.kind is EgressKind.ROUTED)
            # While the peer is out nobody else crosses the line: the hop speaks for it.
            or (hop.is_overdue(now) and hop.known and OutageScope.PEER in self.outages)
            or self.egress.is_cut_here
        )

    def is_line_in_doubt(self, now: ClockReading) -> bool:
        """True if a packet that is sent now may be lost on the line."""
        return OutageScope.LINE in self.outages or self.suspects(now)

    def _advance(self, scope: OutageScope, view: NetworkView) -> list[ReachabilityValues]:
        """Apply the event of one scope, by the table of this module."""
        rules, outage = self._scopes[scope], self.outages.get(scope)
        if outage is None:
            begin = rules.begin(view)
            return [self._open.begin(scope, begin, view)] if begin else []
        then = outage.begin if outage.begin.boot_id == view.now.boot_id else None
        end = rules.end(view, then)
        if end is None:
            self._open.note_impostor(scope, then, view)
            if scope is OutageScope.LINE and outage.cause is Cause.UNKNOWN:
                self._open.learn_cause(scope, line_cause(view, then), then, view)
            return []
        if scope is OutageScope.LINE:
            _forget_silences(view)
        return [self._open.end(scope, end)]


class _OpenOutages:
    """Open outages of all scopes, and the records of their begin and end."""

    def __init__(self, new_id: Callable[[], str], previous_run: ClockReading | None) -> None:
        self.by_scope: dict[OutageScope, ReachabilityValues] = {}
        self._new_id = new_id
        self._previous_run = previous_run

    def begin(self, scope: OutageScope, begin: OutageBegin, view: NetworkView) -> ReachabilityValues:
        error_us = self._uncertainty_us(begin.last_good, begin.at)
        outage = ReachabilityValues(
            outage=self._new_id(), cause=begin.cause, begin=begin.at, begin_error_us=error_us
        )
        self.by_scope[scope] = outage = _with_answers(outage, begin.at, view)
        self.note_impostor(scope, begin.at, view)
        return self.by_scope[scope]

    def learn_cause(
        self, scope: OutageScope, cause: Cause, then: ClockReading | None, view: NetworkView
    ) -> None:
        if cause is not Cause.UNKNOWN:
            outage = replace(self.by_scope[scope], cause=cause)
            self.by_scope[scope] = _with_answers(outage, then, view)

    def note_impostor(self, scope: OutageScope, then: ClockReading | None, view: NetworkView) -> None:
        outage = self.by_scope[scope]
        if then is not None and not outage.impostor and scope in _OF_BROKER and _has_impostor(then, view):
            self.by_scope[scope] = replace(outage, impostor=True)

    def end(self, scope: OutageScope, end: OutageEnd) -> ReachabilityValues:
        error_us = self._uncertainty_us(end.last_bad, end.at)
        return replace(self.by_scope.pop(scope), end=end.at, end_error_us=error_us)

    def _uncertainty_us(self, last_seen: ClockReading | None, moment: ClockReading) -> int:
        """Time before ``moment`` in which the change may have happened.

        Without an observation in this run it reaches back to the previous run, or to the begin of this boot.
        """
        if last_seen is not None:
            return max(0, moment.boot_us - last_seen.boot_us)
        before = self._previous_run
        if before is None:
            return moment.boot_us
        if before.boot_id == moment.boot_id:
            return max(0, moment.boot_us - before.boot_us)
        # Two boots have no boot clock in common, and two wall clocks that are not set prove nothing.
        comparable = before.synchronised and moment.synchronised
        return max(0, moment.wall_us - before.wall_us) if comparable else moment.boot_us


def _with_answers(
    outage: ReachabilityValues, then: ClockReading | None, view: NetworkView
) -> ReachabilityValues:
    """Outage with the answers of all targets since ``then``."""
    routed = view.egress.kind is EgressKind.ROUTED
    broker = view.answers(Target.BROKER, then)
    return replace(
        outage,
        gateway=view.answers(Target.GATEWAY, then) if routed else None,
        first_hop=view.answers(Target.FIRST_HOP, then),
        peer=view.answers(Target.PEER, then),
        broker=True if broker is None and view.uplink.connected else broker,
        collector=False if outage.cause is Cause.COLLECTOR else None,
        unasked=tuple(_unasked(then, view)),
    )


def _unasked(then: ClockReading | None, view: NetworkView) -> Iterator[str]:
    """Names of the targets on the way to which nothing was sent since ``then``."""
    on_the_way = {Target.PEER, Target.BROKER}
    if view.egress.kind is not EgressKind.DIRECT:
        on_the_way.add(Target.FIRST_HOP)
    if view.egress.kind is EgressKind.ROUTED:
        on_the_way.add(Target.GATEWAY)
    for target in Target:
        connected = target is Target.BROKER and view.uplink.connected
        if target in on_the_way and not connected and not view.targets[target].was_asked_since(then):
            yield target.replace(" ", "-")


def _has_impostor(then: ClockReading, view: NetworkView) -> bool:
    """True if something took connections to the broker and never proved to be it."""
    return view.broker.accepted_since(then) and not view.broker.answered_since(then)


def _believe_farther_targets(view: NetworkView) -> None:
    """Stop expecting answers of a near target that is silent while packets pass it.

    Routers may filter or rate-limit ICMP. An answer from beyond the access has passed gateway and first hop.
    """
    heard = latest(*(one.last_answer for one in view.beyond_access))
    for one in view.before_access:
        first = one.unanswered.first
        if one.is_silent(view.now) and heard and first and heard.boot_us >= first.boot_us:
            one.known = False
            one.reset()


def _forget_silences(view: NetworkView) -> None:
    """Count from 0 what was silent while the line was out, because it could not answer."""
    back = [one for one in view.beyond_access if one.is_back()]
    for one in view.targets.values():
        if one not in back:
            one.reset()
