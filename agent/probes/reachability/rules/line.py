"""Rules of the line: whether it is out, and on which section. Pure.

The line is out when nothing beyond the access authenticates, and everything before it has been polled often
enough to show where. Connections that are accepted or refused prove nothing: portals, accelerators and
firewalls before the line do both. Only where the first hop answers and every target refuses, the programs are
out and not the line (``services``). The cause is found from the site outwards; the silence of a target that
is not known to answer decides nothing:

| egress | gateway | first hop | cause |
|---|---|---|---|
| cut at this machine, which is no router | | | ``site`` |
| cut at this machine, which terminates the line | | | ``access-line`` |
| open | | answers | ``beyond-access``, or ``unknown`` with one target beyond |
| open | silent | silent or unknown | ``site`` |
| open | answers | silent | ``access-line`` |
| open | anything else | | ``unknown`` |
"""

from agent.probes.reachability.rules.network_view import (
    EgressKind,
    NetworkView,
    OutageBegin,
    OutageEnd,
    OutageScope,
    Target,
    not_before,
)
from agent.probes.reachability.rules.target_history import TargetHistory, earliest, latest
from wire.records import Cause, ClockReading


class LineRules:
    """Begin, end and cause of an outage of the line."""

    def begin(self, view: NetworkView) -> OutageBegin | None:
        """Begin of an outage, if the line is out."""
        if not _is_out(view):
            return None
        cause = line_cause(view, view.silent_since())
        dead = view.beyond_access
        if cause in (Cause.SITE, Cause.ACCESS):
            dead.append(view.targets[Target.FIRST_HOP])
        if cause is Cause.SITE:
            dead.append(view.targets[Target.GATEWAY])
        heard = latest(*(one.last_answer for one in dead))
        first = earliest(*not_before([one.unanswered.first for one in dead], heard))
        return OutageBegin(cause, first or view.now, heard)

    def end(self, view: NetworkView, begin: ClockReading | None) -> OutageEnd | None:
        """End of an outage, if a target beyond the access line is back: its first answer."""
        back = [one for one in view.beyond_access if one.is_back()]
        if not back:
            return None
        first = min(back, key=lambda one: one.answers.first.boot_us if one.answers.first else 0)
        return OutageEnd(first.answers.first or view.now, first.answers.last_missed)


def line_cause(view: NetworkView, then: ClockReading | None) -> Cause:
    """Cause of an outage of the line that began at ``then``, by the table of this module."""
    terminates = view.egress.kind is EgressKind.POINT_TO_POINT
    if view.egress.is_cut_here:
        return Cause.ACCESS if terminates else Cause.SITE
    gateway = True if terminates else _answers_now(view, Target.GATEWAY, then)
    hop = _answers_now(view, Target.FIRST_HOP, then)
    if hop:
        return Cause.BEYOND if _has_two_beyond(view) else Cause.UNKNOWN
    if gateway is False:
        return Cause.SITE
    return Cause.ACCESS if gateway and hop is False else Cause.UNKNOWN


def _answers_now(view: NetworkView, target: Target, then: ClockReading | None) -> bool | None:
    """Answer of a near target; one that has answered since ``then`` may have fallen silent after it."""
    one = view.targets[target]
    return False if one.known and one.is_silent(view.now) else view.answers(target, then)


def _is_out(view: NetworkView) -> bool:
    # A peer on the local network is no access line: only the loss of the link cuts it off.
    if view.egress.kind is EgressKind.DIRECT and view.egress.carrier is not False:
        return False
    if not all(one.is_silent(view.now) for one in view.beyond_access):
        return False
    if all(view.refuses(one, one.unanswered.first) for one in view.beyond_access):
        return False
    return view.egress.is_cut_here or not any(_may_answer(one, view) for one in view.before_access)


def _may_answer(one: TargetHistory, view: NetworkView) -> bool:
    """True if a target must still be polled before its answer or silence shows the section."""
    return one.known and not one.is_silent(view.now) and not one.answered_since(view.silent_since())


def _has_two_beyond(view: NetworkView) -> bool:
    """True if two targets beyond the access line are silent together: a single one may be out itself."""
    out_themselves = any(scope in view.open_scopes for scope in (OutageScope.PEER, OutageScope.BROKER))
    return sum(one.known for one in view.beyond_access) > 1 and not out_themselves
