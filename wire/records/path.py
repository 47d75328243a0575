"""Record of the path probe: the routers on the way to the peer, and their treatment of packets."""

from typing import Annotated

from msgspec import Meta, Struct

from wire.records.attempt import Measurement, Values
from wire.records.vocabulary import Count, Dscp, Micros, Text

Ttl = Annotated[int, Meta(ge=1, le=255)]
PacketBytes = Annotated[int, Meta(ge=0, le=65_535)]


class Hop(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The router at which packets of this TTL ended. ``address`` is absent where none answered.

    ``dscp`` is the class in which packets arrived there, from the header that its ICMP message quotes;
    ``rtt_us`` the smallest of its answers. More than one address means that packets of one flow took several
    ways.
    """

    ttl: Ttl
    sent: Count
    answered: Count
    address: Text | None = None
    also: Annotated[tuple[Text, ...], Meta(max_length=8)] = ()
    rtt_us: Micros | None = None
    dscp: Dscp | None = None


class PathValues(Values, frozen=True, kw_only=True, omit_defaults=True):
    """One trace in one DSCP class, in the same flow as a STAMP session.

    ``reached``: the peer itself answered. ``dscp_changed_at`` is the TTL of the first hop that quoted the
    packets in another class, ``dscp_became`` that class. The hop before it changed the mark on sending, or
    this hop on receiving. ``path_mtu_bytes`` is the largest IP packet that arrived at the peer.
    ``mtu_limited_at``: the TTL of the router in front of the narrow link, ``mtu_limited_by`` the router
    that reported it, ``mtu_reported_bytes`` the size that it reported. ``black_hole``: larger packets vanish
    and no router reports it. ``return_mtu_bytes`` only where packets up to the path MTU arrived, and replies
    larger than this did not come back.
    """

    hops: Annotated[tuple[Hop, ...], Meta(max_length=64)]
    reached: bool
    dscp_changed_at: Ttl | None = None
    dscp_became: Dscp | None = None
    path_mtu_bytes: PacketBytes | None = None
    mtu_limited_at: Ttl | None = None
    mtu_limited_by: Text | None = None
    mtu_reported_bytes: PacketBytes | None = None
    black_hole: bool = False
    return_mtu_bytes: PacketBytes | None = None


class PathMeasurement(Measurement, frozen=True, kw_only=True, tag="path"):
    """The way to the peer in one DSCP class: its hops, what they do to the mark, and its MTU."""

    values: PathValues | None = None
