"""Rules of names: whether the site's resolver is out. Pure.

Known addresses go on being used, so that a silent or lying resolver is an outage of its own and of nothing
else. Its silence alone proves nothing of it, because a line that is out silences it, too:

| since the first unanswered lookup | verdict |
|---|---|
| peer or broker answered | the line works: the resolver is out |
| neither was asked, because no address is known; the gateway answers, or there is none | it is out |
| anything else | the line may be out: no verdict |
"""

from agent.probes.reachability.rules.network_view import (
    EgressKind,
    NetworkView,
    OutageBegin,
    OutageEnd,
    Target,
)
from wire.records import Cause, ClockReading


class NameRules:
    """Begin and end of an outage of the site's resolver."""

    def begin(self, view: NetworkView) -> OutageBegin | None:
        """Begin of an outage: lookups of our names fail, and the line is not the reason."""
        resolver = view.targets[Target.RESOLVER]
        first = resolver.unanswered.first
        if first is None or not resolver.is_silent(view.now) or not view.names_fail:
            return None
        heard = view.last_heard_beyond()
        works = heard is not None and heard.boot_us >= first.boot_us
        if not works and not _only_names(view, first):
            return None
        return OutageBegin(Cause.DNS, first, resolver.last_answer)

    def end(self, view: NetworkView, begin: ClockReading | None) -> OutageEnd | None:
        """End of an outage: a row of right answers."""
        resolver = view.targets[Target.RESOLVER]
        if not resolver.is_back():
            return None
        return OutageEnd(resolver.answers.first or view.now, resolver.answers.last_missed)


def _only_names(view: NetworkView, first: ClockReading) -> bool:
    """True if nobody beyond could be asked, and this machine's own network works."""
    if view.egress.is_cut_here or any(one.was_asked_since(first) for one in view.beyond_access):
        return False
    gateway = view.targets[Target.GATEWAY]
    return view.egress.kind is not EgressKind.ROUTED or gateway.answered_since(first)
