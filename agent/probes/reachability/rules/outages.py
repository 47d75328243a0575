"""What is out, since when, and where: a core without clock, socket or disk.

Asks and answers of gateway, first hop, peer and broker go into ``targets``; what this machine knows of its
way out, of its session with the broker and of receipts comes with each ``decide``, which gives the outages
that began or ended. What each cause means, and what cannot be told, is in docs/methods.md, "Outages".
"""

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from agent.probes.reachability.rules.silence import ANSWERS, Silence, latest
from wire.records import Cause, ClockReading, ReachabilityValues

SUSPECTED = 0.2
"""Of an interval: how soon all are asked again once somebody did not answer; an ask waits as long."""

SESSION_US = 90_000_000
"""A session may take that long to come back to a broker that answers (``net.mqtt.BACKOFF_LAST_S``)."""


class Target(StrEnum):
    """Who is asked."""

    GATEWAY = "gateway"
    FIRST_HOP = "first hop"
    PEER = "peer"
    BROKER = "broker"


class Track(StrEnum):
    """What an outage is of: one of each may be open. While the line is out nothing is told of the rest."""

    LINE = "line"
    PEER = "peer"
    BROKER = "broker"
    COLLECTOR = "collector"


class WayKind(StrEnum):
    """How packets to the peer leave this machine."""

    ROUTED = "routed"  # by a gateway
    POINT_TO_POINT = "point-to-point"  # this machine has the line itself
    DIRECT = "direct"  # the peer is a neighbour, or this machine
    NONE = "none"  # there is no route


class Way(Struct, frozen=True):
    """What this machine knows of its way to the peer.

    ``carrier``: whether the interface has a link, None where it does not say. ``neighbour_failed``: the
    gateway does not even answer on the local network. ``broker_shares``: the broker is reached the same way.
    """

    kind: WayKind = WayKind.ROUTED
    carrier: bool | None = None
    neighbour_failed: bool = False
    broker_shares: bool = True

    @property
    def is_cut_here(self) -> bool:
        """No packet gets as far as the gateway."""
        return self.kind is WayKind.NONE or self.carrier is False or self.neighbour_failed


class Connection(Struct, frozen=True):
    """The uplink: whether it has a session with the broker, and what receipts tell of the collector.

    ``unanswered``: when the first batch after the newest receipt was taken by the broker. ``heard``: the
    newest receipt, ``missed`` the newest batch before it that had none. ``patience_us``: how long one
    may take, a collector that has lost the broker included.
    """

    connected: bool = False
    unanswered: ClockReading | None = None
    heard: ClockReading | None = None
    missed: ClockReading | None = None
    patience_us: int = 90_000_000


class OutageRules:
    """``interval_us``: between asks while all is well. ``before``: when the agent was last alive before.

    ``outages`` are those open now, at first those that an earlier run left open.
    """

    def __init__(
        self, interval_us: int, new_id: Callable[[], str], before: ClockReading | None = None
    ) -> None:
        self.wait_us = round(interval_us * SUSPECTED)
        self.targets = {target: Silence(self.wait_us) for target in Target}
        self.outages: dict[Track, ReachabilityValues] = {}
        self.way = Way()
        self.connection = Connection()
        self.down: ClockReading | None = None
        self._new_id = new_id
        self._before = before
        self._heard_before: ClockReading | None = None
        self._refused = False

    def decide(self, now: ClockReading, way: Way, connection: Connection) -> list[ReachabilityValues]:
        """What began or ended, and since when."""
        self.way = way
        self._connect(now, connection)
        self._believe_who_answers(now)
        told = self._line(now)
        if Track.LINE not in self.outages:
            told = [*told, *self._peer(now), *self._broker(now), *self._collector(now)]
        return told

    def suspects(self, now: ClockReading) -> bool:
        """Whether something may have begun, or ended, that cannot be told yet: all are to be asked soon."""
        if any(0 < self.targets[one].answers < ANSWERS for one in self._asked_for_outages()):
            return True
        if Track.LINE in self.outages:
            return False
        gateway, peer, broker = (self.targets[one] for one in (Target.GATEWAY, Target.PEER, Target.BROKER))
        return (
            (peer.waits(now) and Track.PEER not in self.outages)
            or (broker.waits(now) and not self.connection.connected and Track.BROKER not in self.outages)
            or (gateway.waits(now) and gateway.known and self.way.kind is WayKind.ROUTED)
            or self.way.is_cut_here
        )

    def is_line_in_doubt(self, now: ClockReading) -> bool:
        """Whether what is sent now may not arrive."""
        return Track.LINE in self.outages or self.suspects(now)

    def answering(self, target: Target, since: ClockReading | None, now: ClockReading) -> bool | None:
        """Whether ``target`` answers since then; None where that was not asked or cannot be known."""
        one = self.targets[target]
        if one.answers_since(since):
            return True
        if target is Target.GATEWAY and self.way.is_cut_here:
            return False
        return False if one.known and one.is_silent(now) else None

    def _asked_for_outages(self) -> list[Target]:
        asked = {
            Track.LINE: [Target.PEER, Target.BROKER],
            Track.PEER: [Target.PEER],
            Track.BROKER: [Target.BROKER],
        }
        return [target for track in self.outages for target in asked.get(track, [])]

    def _connect(self, now: ClockReading, connection: Connection) -> None:
        """A session, and a receipt, prove more than an answer."""
        before, self.connection = self.connection, connection
        broker = self.targets[Target.BROKER]
        if connection.connected:
            self.down = None
            if not before.connected:
                broker.prove(now)
        elif self.down is None:
            self.down, self._heard_before = now, latest(broker.answered, connection.heard)
            broker.begin_anew()
        heard = connection.heard
        if heard is not None and heard != before.heard and not broker.is_asked_since(heard):
            broker.answer(heard)

    def _believe_who_answers(self, now: ClockReading) -> None:
        """Who answers from farther out has passed gateway and hop, whatever these say themselves."""
        heard = latest(*(one.answered for one in self._far()))
        for one in self._near():
            if one.is_silent(now) and heard and one.since and heard.boot_us >= one.since.boot_us:
                one.known = False
                one.begin_anew()

    def _far(self) -> list[Silence]:
        """Those beyond the access line."""
        peer, broker = self.targets[Target.PEER], self.targets[Target.BROKER]
        return [peer, broker] if self.way.broker_shares else [peer]

    def _line(self, now: ClockReading) -> list[ReachabilityValues]:
        outage = self.outages.get(Track.LINE)
        if outage is None:
            return [self._begin_line(now)] if self._is_cut(now) else []
        back = [one for one in self._far() if one.is_back()]
        if not back:
            self._know_better(outage, now)
            return []
        first = min(back, key=lambda one: one.back.boot_us if one.back else 0)
        for one in self.targets.values():
            if one not in back:
                one.begin_anew()
        return [self._end(Track.LINE, first.back or now, first.unheard)]

    def _is_cut(self, now: ClockReading) -> bool:
        """Nothing beyond the access answers, nor says that it is there."""
        if self.way.kind is WayKind.DIRECT and self.way.carrier is not False:
            return False
        if not all(one.is_mute(now) for one in self._far()):
            return False
        return self.way.is_cut_here or not any(self._is_in_doubt(one, now) for one in self._near())

    def _near(self) -> list[Silence]:
        """Those between this machine and what is beyond the access line."""
        gateway, hop = self.targets[Target.GATEWAY], self.targets[Target.FIRST_HOP]
        return [gateway, hop] if self.way.kind is WayKind.ROUTED else [hop]

    def _is_in_doubt(self, one: Silence, now: ClockReading) -> bool:
        """It may answer yet: it was not asked often enough since nothing beyond it answers."""
        return one.known and not one.is_silent(now) and not one.answers_since(self._first_silent())

    def _first_silent(self) -> ClockReading | None:
        """Since when nobody beyond the access was heard: an ask that came before an answer is none."""
        heard = latest(*(one.heard() for one in self._far()))
        since = [one.mute_since for one in self._far() if one.mute_since]
        after = [one for one in since if heard is None or one.boot_us >= heard.boot_us]
        return min(after or since, key=lambda one: one.boot_us, default=None)

    def _begin_line(self, now: ClockReading) -> ReachabilityValues:
        cause = self._line_cause(self._first_silent(), now)
        dead = self._far()
        if cause in (Cause.SITE, Cause.ACCESS):
            dead.append(self.targets[Target.FIRST_HOP])
        if cause is Cause.SITE:
            dead.append(self.targets[Target.GATEWAY])
        heard = latest(*(one.heard() for one in dead))
        since = [one.mute_since for one in dead if one.mute_since]
        since = [one for one in since if heard is None or one.boot_us >= heard.boot_us]
        return self._begin(
            Track.LINE, cause, min(since, key=lambda one: one.boot_us, default=now), heard, now
        )

    def _line_cause(self, since: ClockReading | None, now: ClockReading) -> Cause:
        """From the site outwards; what is not known to answer proves nothing by its silence."""
        routed = self.way.kind is not WayKind.POINT_TO_POINT
        if self.way.is_cut_here:
            return Cause.SITE if routed else Cause.ACCESS
        gateway = self.answering(Target.GATEWAY, since, now) if routed else True
        hop = self.answering(Target.FIRST_HOP, since, now)
        if hop:
            return Cause.BEYOND if self._has_two_beyond() else Cause.UNKNOWN
        if gateway is False:
            return Cause.SITE
        return Cause.ACCESS if gateway and hop is False else Cause.UNKNOWN

    def _has_two_beyond(self) -> bool:
        """One that is silent alone may be out itself."""
        own = (Track.PEER, Track.BROKER)
        return len([one for one in self._far() if one.known]) > 1 and not any(
            one in self.outages for one in own
        )

    def _know_better(self, outage: ReachabilityValues, now: ClockReading) -> None:
        if outage.cause is not Cause.UNKNOWN:
            return
        since = self._in_this_boot(outage.begin, now)
        cause = self._line_cause(since, now)
        if cause is not Cause.UNKNOWN:
            self.outages[Track.LINE] = self._with_who(replace(outage, cause=cause), since, now)

    def _peer(self, now: ClockReading) -> list[ReachabilityValues]:
        """The peer is silent, and something else as far away, or its own machine, is not."""
        peer, broker = self.targets[Target.PEER], self.targets[Target.BROKER]
        if Track.PEER in self.outages:
            return [self._end(Track.PEER, peer.back or now, peer.unheard)] if peer.is_back() else []
        if not peer.is_silent(now) or peer.since is None:
            return []
        open_way = self.way.kind is WayKind.DIRECT or peer.refuses_since(peer.since)
        if self.way.broker_shares:
            open_way = open_way or broker.answers_since(peer.since) or broker.refuses_since(peer.since)
        return [self._begin(Track.PEER, Cause.PEER, peer.since, peer.answered, now)] if open_way else []

    def _broker(self, now: ClockReading) -> list[ReachabilityValues]:
        """There is no session, and the broker does not answer, or does not let us in."""
        broker = self.targets[Target.BROKER]
        if Track.BROKER in self.outages:
            return self._end_broker(broker, now)
        if self.down is None:
            return []
        if self._is_refused(now):
            begin, self._refused = broker.back or self.down, True
            return [self._begin(Track.BROKER, Cause.BROKER, begin, self._heard_before, now)]
        if not broker.is_silent(now) or broker.since is None or not self._reaches_broker(broker.since):
            return []
        begin, heard = self.down, self._heard_before
        if broker.answers_since(self.down):
            begin, heard = broker.since, broker.answered
        elif broker.refuses_since(broker.since):
            # Its machine ended the session when the broker did, and the session is looked at once a wait.
            heard = replace(begin, boot_us=max(0, begin.boot_us - self.wait_us))
        return [self._begin(Track.BROKER, Cause.BROKER, begin, heard, now)]

    def _end_broker(self, broker: Silence, now: ClockReading) -> list[ReachabilityValues]:
        """One that let nobody in is back when it does, one that was silent when it speaks."""
        if self._refused and self.connection.connected:
            self._refused = False
            return [self._end(Track.BROKER, now, replace(now, boot_us=max(0, now.boot_us - self.wait_us)))]
        if not self._refused and (self.connection.connected or broker.is_back()):
            return [self._end(Track.BROKER, broker.back or now, broker.unheard)]
        return []

    def _reaches_broker(self, since: ClockReading) -> bool:
        peer, broker = self.targets[Target.PEER], self.targets[Target.BROKER]
        return not self.way.broker_shares or peer.answers_since(since) or broker.refuses_since(since)

    def _is_refused(self, now: ClockReading) -> bool:
        """The broker's machine takes connections, and for long no session has come of any."""
        broker = self.targets[Target.BROKER]
        if self.down is None or not broker.answers or broker.back is None:
            return False
        return now.boot_us - broker.back.boot_us >= SESSION_US

    def _collector(self, now: ClockReading) -> list[ReachabilityValues]:
        """The broker takes batches, and no receipt comes."""
        found = self.connection
        outage = self.outages.get(Track.COLLECTOR)
        if outage is not None:
            since = self._in_this_boot(outage.begin, now)
            back = found.heard is not None and (since is None or found.heard.boot_us >= since.boot_us)
            return [self._end(Track.COLLECTOR, found.heard or now, found.missed or since)] if back else []
        if not found.connected or found.unanswered is None or Track.BROKER in self.outages:
            return []
        # Whoever else is as far away is heard after that time: else the line may be out since a moment ago.
        late_us = found.unanswered.boot_us + found.patience_us
        heard = latest(*(one.heard() for one in self._far()))
        if now.boot_us < late_us or heard is None or heard.boot_us < late_us:
            return []
        return [self._begin(Track.COLLECTOR, Cause.COLLECTOR, found.unanswered, found.heard, now)]

    def _begin(
        self,
        track: Track,
        cause: Cause,
        begin: ClockReading,
        heard: ClockReading | None,
        now: ClockReading,
    ) -> ReachabilityValues:
        """``heard`` is when what is out now was known to be well."""
        outage = ReachabilityValues(
            outage=self._new_id(), cause=cause, begin=begin, begin_error_us=self._between(heard, begin)
        )
        outage = self._with_who(outage, begin, now)
        self.outages[track] = outage
        return outage

    def _end(self, track: Track, end: ClockReading, unheard: ClockReading | None) -> ReachabilityValues:
        return replace(self.outages.pop(track), end=end, end_error_us=self._between(unheard, end))

    def _with_who(
        self, outage: ReachabilityValues, since: ClockReading | None, now: ClockReading
    ) -> ReachabilityValues:
        """The outage, and who answers while it lasts."""
        routed = self.way.kind is WayKind.ROUTED
        broker = self.answering(Target.BROKER, since, now)
        return replace(
            outage,
            gateway=self.answering(Target.GATEWAY, since, now) if routed else None,
            first_hop=self.answering(Target.FIRST_HOP, since, now),
            peer=self.answering(Target.PEER, since, now),
            broker=broker if broker is not None or not self.connection.connected else True,
            collector=False if outage.cause is Cause.COLLECTOR else None,
        )

    def _between(self, heard: ClockReading | None, moment: ClockReading) -> int:
        """How long before ``moment`` the change may have been.

        Where nothing was heard in this run of the agent: since the last one ended, or this boot began.
        """
        if heard is not None:
            return max(0, moment.boot_us - heard.boot_us)
        before = self._before
        if before is None:
            return moment.boot_us
        if before.boot_id == moment.boot_id:
            return max(0, moment.boot_us - before.boot_us)
        known = before.synchronised and moment.synchronised
        return max(0, moment.wall_us - before.wall_us) if known else moment.boot_us

    @staticmethod
    def _in_this_boot(moment: ClockReading, now: ClockReading) -> ClockReading | None:
        return moment if moment.boot_id == now.boot_id else None
