"""Polling plan: which target is to be polled at which moment. Pure.

Polls use the line that they watch (decision 23). While all is well only the peer is polled across it,
because its answer proves everything before it. A reply to a train replaces a poll. The gateway costs the line
nothing.

| state | gateway | peer | first hop | broker | resolver |
|---|---|---|---|---|---|
| all well | each interval | each 1.8 | each 30; 12 until known | each, without a session only | each 30 |
| silence suspected | each 0.2 | each 0.2 | each 0.2 | each 0.2 | |
| the resolver is late | as when all is well | | | | each 0.2 |
| the resolver is out | as when all is well | | | | each |
| another outage is open | each | each | each | each | each |
"""

from agent.probes.reachability.rules.network_view import EgressKind, OutageScope, Target
from agent.probes.reachability.rules.outages import SUSPECT_SHARE, OutageRules
from agent.probes.reachability.rules.target_history import latest
from wire.records import ClockReading

# With a look each fifth of an interval, a silence is noticed within two intervals. A poll is 280 B
# both ways: 1.37 MB a day, and 0.83 MB beside a train a minute, whose replies replace polls.
PEER_INTERVALS = 1.8
# Often enough to know that the hop answers, and at which time to live.
HOP_INTERVALS = 30
# More often until it is known: routers send few ICMP messages a second, so that one poll proves little.
UNKNOWN_HOP_INTERVALS = 12
# Five minutes: two names of two families, most often answered by the site's own router.
RESOLVER_INTERVALS = 30


class PollingPlan:
    """Intervals between the polls of each target; ``interval_us`` is the interval of the settings."""

    def __init__(self, interval_us: int) -> None:
        self._interval_us = interval_us

    def due(self, rules: OutageRules, now: ClockReading) -> list[Target]:
        """Targets to poll now."""
        if rules.suspects(now):
            intervals = dict.fromkeys(Target, SUSPECT_SHARE)
            del intervals[Target.RESOLVER]
        elif any(scope is not OutageScope.NAMES for scope in rules.outages):
            intervals = dict.fromkeys(Target, 1.0)
        else:
            hop = HOP_INTERVALS if rules.targets[Target.FIRST_HOP].known else UNKNOWN_HOP_INTERVALS
            intervals = {Target.GATEWAY: 1.0, Target.PEER: PEER_INTERVALS, Target.FIRST_HOP: hop}
            intervals[Target.RESOLVER] = self._resolver_intervals(rules, now)
            if not rules.uplink.connected:
                intervals[Target.BROKER] = 1.0
        if rules.egress.kind is EgressKind.DIRECT:
            intervals.pop(Target.FIRST_HOP, None)
        if rules.egress.kind is not EgressKind.ROUTED:
            intervals.pop(Target.GATEWAY, None)
        return [target for target, each in intervals.items() if self._is_due(rules, target, each, now)]

    @staticmethod
    def _resolver_intervals(rules: OutageRules, now: ClockReading) -> float:
        if OutageScope.NAMES in rules.outages:
            return 1.0
        return SUSPECT_SHARE if rules.targets[Target.RESOLVER].is_overdue(now) else RESOLVER_INTERVALS

    def _is_due(self, rules: OutageRules, target: Target, intervals: float, now: ClockReading) -> bool:
        one = rules.targets[target]
        done = latest(one.last_poll, one.last_answer) if target is Target.PEER else one.last_poll
        if done is None:
            return True
        lost = rules.session_lost
        # A session that was just lost is worth a connection at once, whenever the last one was tried.
        if target is Target.BROKER and lost is not None and done.boot_us < lost.boot_us:
            return True
        # A tenth of a look early rather than a whole one late.
        slack_us = rules.answer_wait_us // 10
        return now.boot_us - done.boot_us >= intervals * self._interval_us - slack_us
