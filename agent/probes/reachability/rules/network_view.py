"""View of the network at one moment: the targets with their histories, the egress, and the uplink. Pure.

The rules of every scope (``line``, ``services``) read this view and change nothing in it.
"""

from collections.abc import Container, Mapping
from enum import StrEnum

from msgspec import Struct

from agent.probes.reachability.rules.target_history import TargetHistory, earliest, latest
from wire.records import Cause, ClockReading


class Target(StrEnum):
    """Device or program that is polled."""

    GATEWAY = "gateway"
    FIRST_HOP = "first hop"
    PEER = "peer"
    BROKER = "broker"
    RESOLVER = "resolver"  # the site's, asked for the names of peer and broker


class OutageScope(StrEnum):
    """Subject of an outage; at most one outage of each is open."""

    LINE = "line"
    PEER = "peer"
    BROKER = "broker"
    NAMES = "names"
    COLLECTOR = "collector"


class EgressKind(StrEnum):
    """Manner in which packets to the peer leave this machine."""

    ROUTED = "routed"  # through a gateway
    POINT_TO_POINT = "point-to-point"  # this machine terminates the line itself, as a router does
    DIRECT = "direct"  # the peer is on the local network, or is this machine
    NONE = "none"  # there is no route


class Egress(Struct, frozen=True):
    """Egress towards the peer, as the kernel reports it.

    ``carrier`` is the interface's link state, None where it does not report one. ``neighbour_failed``: the
    gateway does not resolve on the local network. ``broker_shares``: the broker is reached the same way.
    """

    kind: EgressKind = EgressKind.ROUTED
    carrier: bool | None = None
    neighbour_failed: bool = False
    broker_shares: bool = True

    @property
    def is_cut_here(self) -> bool:
        """True if no packet gets as far as the gateway."""
        return self.kind is EgressKind.NONE or self.carrier is False or self.neighbour_failed


class UplinkState(Struct, frozen=True):
    """Session with the broker, and receipts of the collector.

    ``last_receipt`` is the time of the newest receipt. ``awaited_since`` is when the broker took the first
    batch after it. ``last_missed`` is the newest batch before it that got none. A receipt may take
    ``receipt_wait_us``, which includes the time that a collector needs to reconnect to the broker.
    """

    connected: bool = False
    awaited_since: ClockReading | None = None
    last_receipt: ClockReading | None = None
    last_missed: ClockReading | None = None
    receipt_wait_us: int = 90_000_000


class OutageBegin(Struct, frozen=True):
    """Begin of an outage: its cause, its time, and the newest time at which its subject was known to work."""

    cause: Cause
    at: ClockReading
    last_good: ClockReading | None


class OutageEnd(Struct, frozen=True):
    """End of an outage, and the newest time at which its subject was known not to work."""

    at: ClockReading
    last_bad: ClockReading | None


class NetworkView(Struct, frozen=True):
    """Everything that the rules know at ``now``. ``open_scopes`` are those with an open outage.

    ``names_fail``: the resolver is known to fail. It gave an error, or nothing yet, or addresses at which
    nothing authenticates while others of the same host are proved.
    """

    now: ClockReading
    targets: Mapping[Target, TargetHistory]
    egress: Egress
    uplink: UplinkState
    open_scopes: Container[OutageScope]
    names_fail: bool = False

    @property
    def peer(self) -> TargetHistory:
        """History of the peer."""
        return self.targets[Target.PEER]

    @property
    def broker(self) -> TargetHistory:
        """History of the broker."""
        return self.targets[Target.BROKER]

    @property
    def beyond_access(self) -> list[TargetHistory]:
        """Targets beyond the access line."""
        return [self.peer, self.broker] if self.egress.broker_shares else [self.peer]

    @property
    def before_access(self) -> list[TargetHistory]:
        """Targets between this machine and the far side of the access line."""
        gateway, hop = self.targets[Target.GATEWAY], self.targets[Target.FIRST_HOP]
        return [gateway, hop] if self.egress.kind is EgressKind.ROUTED else [hop]

    def last_heard_beyond(self) -> ClockReading | None:
        """Newest answer from beyond the access line. Refusals are none: any box on the way can refuse."""
        return latest(*(one.last_answer for one in self.beyond_access))

    def silent_since(self) -> ClockReading | None:
        """First poll without an answer from beyond the access line, if there is one."""
        first = [one.unanswered.first for one in self.beyond_access]
        heard = self.last_heard_beyond()
        # A poll before another target's answer belongs to no common silence.
        return earliest(*not_before(first, heard)) or earliest(*first)

    def refuses(self, one: TargetHistory, then: ClockReading | None) -> bool:
        """True if ``one`` itself has refused since ``then``, as far as can be known.

        Between this machine and the first hop nothing refused in its place if the hop answers.
        """
        hop = self.targets[Target.FIRST_HOP]
        is_open = hop.answered_since(then) and not hop.is_silent(self.now)
        return one.refused_since(then) and (is_open or self.egress.kind is EgressKind.DIRECT)

    def answers(self, target: Target, then: ClockReading | None) -> bool | None:
        """True if ``target`` has answered since ``then``, False if not; None where silence proves nothing."""
        one = self.targets[target]
        if one.answered_since(then):
            return True
        if target is Target.GATEWAY and self.egress.is_cut_here:
            return False
        return False if one.known and one.is_silent(self.now) else None


def not_before(moments: list[ClockReading | None], then: ClockReading | None) -> list[ClockReading | None]:
    """Moments that are not before ``then``; all of them where ``then`` is None."""
    return [one for one in moments if one and (then is None or one.boot_us >= then.boot_us)]
