"""Who is to be asked when: as little as will do while all is well, everybody soon once somebody is silent.

On the line itself the peer alone is asked while it answers, since its answer proves everything before it; a
train's replies save asking it. The gateway costs the line nothing. No I/O, no clock.
"""

from agent.probes.reachability.rules.outages import SUSPECTED, OutageRules, Target, WayKind
from agent.probes.reachability.rules.silence import latest
from wire.records import ClockReading

PEER_INTERVALS = 1.8
"""With a look each fifth of an interval, its silence is seen within two. An ask in the brief form is 200
bytes there and back, which keeps a day below a megabyte without any train."""
HOP_INTERVALS = 30
"""It is asked so that it is known to answer, and by which time to live."""
UNKNOWN_HOP_INTERVALS = 12
"""Until then sooner: an answer is easily lost, as routers give few a second."""


class AskingPlan:
    """``interval_us``: between asks of the gateway while all is well, and of everybody while one is out."""

    def __init__(self, interval_us: int) -> None:
        self._interval_us = interval_us

    def due(self, rules: OutageRules, now: ClockReading) -> list[Target]:
        """Who is to be asked now."""
        if rules.suspects(now):
            wanted = dict.fromkeys(Target, SUSPECTED)
        elif rules.outages:
            wanted = dict.fromkeys(Target, 1.0)
        else:
            hop = HOP_INTERVALS if rules.targets[Target.FIRST_HOP].known else UNKNOWN_HOP_INTERVALS
            wanted = {Target.GATEWAY: 1.0, Target.PEER: PEER_INTERVALS, Target.FIRST_HOP: hop}
            if not rules.connection.connected:
                wanted[Target.BROKER] = 1.0
        if rules.way.kind is WayKind.DIRECT:
            wanted.pop(Target.FIRST_HOP, None)
        if rules.way.kind is not WayKind.ROUTED:
            wanted.pop(Target.GATEWAY, None)
        return [target for target, intervals in wanted.items() if self._is_due(rules, target, intervals, now)]

    def _is_due(self, rules: OutageRules, target: Target, intervals: float, now: ClockReading) -> bool:
        one = rules.targets[target]
        done = latest(one.last, one.answered) if target is Target.PEER else one.last
        if done is None:
            return True
        if target is Target.BROKER and rules.down is not None and done.boot_us < rules.down.boot_us:
            return True
        # A tenth of a look early rather than a whole one late.
        slack_us = rules.wait_us // 10
        return now.boot_us - done.boot_us >= intervals * self._interval_us - slack_us
