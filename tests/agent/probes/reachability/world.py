"""Simulated network around a site that fails on a timetable, and the outage rules that watch it."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.probes.reachability.rules.network_view import Egress, EgressKind, Target, UplinkState
from agent.probes.reachability.rules.outages import OutageRules
from agent.probes.reachability.rules.polling_plan import PollingPlan
from wire.records import ClockReading, ReachabilityValues

INTERVAL_S = 10.0
STEP_S = 2.0
RTT_S = 0.04
WALL_S = 1_775_000_000.0

Span = tuple[float, float]


def at(second: float, boot_id: str = "boot", wall_s: float = WALL_S) -> ClockReading:
    return ClockReading(
        wall_us=round((wall_s + second) * 1e6),
        boot_us=round((1000 + second) * 1e6),
        boot_id=boot_id,
        synchronised=True,
    )


def never(_: float) -> bool:
    return False


def during(*spans: Span) -> Callable[[float], bool]:
    return lambda second: any(begin <= second < end for begin, end in spans)


@dataclass
class World:
    """Timetable of faults, in seconds. ``loss`` is the share of polls that the line loses besides.

    ``box``: reaction of a box in the place of peer and broker, ``accept`` or ``refuse``, where
    the line is cut. With ``unknown_addresses`` there is nowhere to send a poll of either.
    """

    gateway: Callable[[float], bool] = never
    access: Callable[[float], bool] = never
    beyond: Callable[[float], bool] = never
    peer: Callable[[float], bool] = never
    peer_program: Callable[[float], bool] = never
    broker: Callable[[float], bool] = never
    broker_program: Callable[[float], bool] = never
    broker_refuses: Callable[[float], bool] = never
    collector: Callable[[float], bool] = never
    resolver: Callable[[float], bool] = never
    box: Callable[[float], str] = lambda _: ""
    unknown_addresses: bool = False
    carrier: Callable[[float], bool] = never
    neighbour_fails_after_s: float = 1e9
    gateway_filters: bool = False
    hop_filters: bool = False
    kind: EgressKind = EgressKind.ROUTED
    broker_shares: bool = True
    loss: float = 0.0
    keepalive_s: float = 45.0
    batch_every_s: float = 60.0
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def reaches(self, target: Target, second: float) -> str:
        """Reaction to a poll: ``answer``, ``refuse``, ``accept`` or empty."""
        if target is Target.RESOLVER:
            return "" if self.resolver(second) or self._is_cut(second) else "answer"
        here = self.carrier(second) or (self.gateway(second) and self.kind is EgressKind.ROUTED)
        if target is Target.GATEWAY:
            return "" if here or self.gateway_filters else "answer"
        if target is Target.BROKER and not self.broker_shares:
            return self._far(target, second)
        if here or self.access(second) or self.chance.random() < self.loss:
            return "" if here or target is Target.FIRST_HOP else self.box(second)
        if target is Target.FIRST_HOP:
            return "" if self.hop_filters else "answer"
        return self.box(second) if self.beyond(second) else self._far(target, second)

    def _is_cut(self, second: float) -> bool:
        """True if the resolver, which is beyond, cannot be reached."""
        return any(out(second) for out in (self.carrier, self.gateway, self.access, self.beyond))

    def _far(self, target: Target, second: float) -> str:
        gone, ended = (
            (self.peer, self.peer_program) if target is Target.PEER else (self.broker, self.broker_program)
        )
        return "" if gone(second) else "refuse" if ended(second) else "answer"

    def egress(self, second: float) -> Egress:
        failed = self.gateway(second) and self.gateway(second - self.neighbour_fails_after_s)
        return Egress(self.kind, not self.carrier(second), failed, self.broker_shares)


@dataclass
class Run:
    """Run of the rules over a world.

    While ``busy``, a load test of ours has the line and nobody is polled.
    """

    world: World
    rules: OutageRules = field(default_factory=lambda: fresh_rules())
    busy: Callable[[float], bool] = never
    records: list[tuple[float, ReachabilityValues]] = field(default_factory=list)
    polled: dict[Target, list[float]] = field(default_factory=lambda: {target: [] for target in Target})
    train: Callable[[float], bool] = never
    _session: bool = False
    _silent_since: float | None = None
    _next_batch: float = 0.0
    _unanswered: float | None = None
    _batches: list[float] = field(default_factory=list)
    _heard: float | None = None
    _missed: float | None = None

    def __post_init__(self) -> None:
        self._plan = PollingPlan(round(INTERVAL_S * 1e6))

    def until(self, end: float, begin: float = 0.0, boot_id: str = "boot") -> "Run":
        second = begin
        while second < end:
            if not self.busy(second):
                self._step(second, boot_id)
            second += STEP_S
        return self

    def _step(self, second: float, boot_id: str) -> None:
        now = at(second, boot_id)
        if self.train(second) and self.world.reaches(Target.PEER, second) == "answer":
            self.rules.targets[Target.PEER].answer(now)
        fails = self.world.reaches(Target.RESOLVER, second) != "answer"
        uplink = self._uplink(second, boot_id)
        new = self.rules.decide(now, self.world.egress(second), uplink, names_fail=fails)
        self.records += [(second, one) for one in new]
        for target in self._plan.due(self.rules, now):
            if self.world.unknown_addresses and target not in (Target.GATEWAY, Target.RESOLVER):
                continue
            self.polled[target].append(second)
            self.rules.targets[target].poll(now)
            self._react(self.world.reaches(target, second), target, at(second + RTT_S, boot_id))

    def _react(self, how: str, target: Target, then: ClockReading) -> None:
        if how == "answer":
            self.rules.targets[target].answer(then)
        elif how == "refuse":
            self.rules.targets[target].refuse(then)
        elif how == "accept":
            self.rules.targets[target].accept(then)

    def _uplink(self, second: float, boot_id: str) -> UplinkState:
        how = "" if self.world.unknown_addresses else self.world.reaches(Target.BROKER, second)
        if how == "answer":
            self._silent_since = None
            self._session = not self.world.broker_refuses(second)
        else:
            self._silent_since = second if self._silent_since is None else self._silent_since
            hung_up = how == "refuse" or second - self._silent_since >= self.world.keepalive_s
            self._session = self._session and not hung_up
        self._send(second, reached=how == "answer")
        said = [
            None if one is None else at(one, boot_id) for one in (self._unanswered, self._heard, self._missed)
        ]
        return UplinkState(self._session, *said)

    def _send(self, second: float, *, reached: bool) -> None:
        if not (self._session and reached) or self.rules.is_line_in_doubt(at(second)):
            self._unanswered = None
        elif second >= self._next_batch:
            self._next_batch = second + self.world.batch_every_s
            if self.world.collector(second):
                self._unanswered = second if self._unanswered is None else self._unanswered
                self._missed = second
            else:
                self._unanswered, self._heard = None, second

    @property
    def begun(self) -> list[ReachabilityValues]:
        return [one for _, one in self.records if one.end is None]

    @property
    def ended(self) -> list[ReachabilityValues]:
        return [one for _, one in self.records if one.end is not None]


def fresh_rules(previous_run: ClockReading | None = None) -> OutageRules:
    numbers = iter(range(1000))
    return OutageRules(round(INTERVAL_S * 1e6), lambda: f"outage-{next(numbers)}", previous_run)


def second_of(reading: ClockReading | None) -> float:
    assert reading is not None
    return reading.boot_us / 1e6 - 1000


def who(values: ReachabilityValues) -> Mapping[str, bool | None]:
    return {name: getattr(values, name) for name in ("gateway", "first_hop", "peer", "broker", "collector")}
