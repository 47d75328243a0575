"""Verification of a finished trace: the helper's values, with the reflector's replies that verify.

The agent imports this module and ``exchange`` only: trace and search run in the helper.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from wire.path.exchange import PathAnswer, PeerReply
from wire.records import Hop, PathValues
from wire.stamp.sender import ReplyArrival, SessionSender


def verified(answer: PathAnswer, sender: SessionSender, dscp: int) -> PathValues | None:
    """Add to the values what verified replies contain: the DSCP at the peer, and its dwell.

    ``sender`` made the test packets, which were sent with ``dscp``.
    """
    values = answer.values
    if values is None:
        return None
    if answer.replies:
        # Replies of which none verifies come from a host without the key: the peer is not reached.
        arrivals = _arrivals(answer.replies, sender)
        values = _with_peer(values, arrivals) if arrivals else msgspec.structs.replace(values, reached=False)
    change = dscp_change(values.hops, dscp)
    if change is None:
        return values
    return msgspec.structs.replace(values, dscp_changed_at=change.at, dscp_became=change.became)


def _arrivals(came: Iterable[PeerReply], sender: SessionSender) -> list[ReplyArrival]:
    """Verify the replies; receive times are counted from the sending of their packet."""
    for reply in came:
        sender.received(reply.payload, reply.rtt_ns or 0, by_kernel=reply.rtt_ns is not None)
    return [exchange.arrival for exchange in sender.exchanges if exchange.arrival is not None]


def _with_peer(values: PathValues, arrivals: list[ReplyArrival]) -> PathValues:
    # The last hop is the peer: its dwell does not count, as in a STAMP train (RFC 8762 section 4.3.1).
    rtts = [
        one.received_ns - (one.reflector_sent_ns - one.reflector_received_ns)
        for one in arrivals
        if one.received_by_kernel
    ]
    # The most frequent class: one packet remarked on its own says little of the path.
    classes = Counter(one.class_of_service.received_dscp for one in arrivals if one.class_of_service)
    hop = msgspec.structs.replace(
        values.hops[-1],
        rtt_us=max(0, (min(rtts) + 500) // 1000) if rtts else None,
        dscp=max(classes, key=classes.__getitem__) if classes else values.hops[-1].dscp,
    )
    return msgspec.structs.replace(values, hops=(*values.hops[:-1], hop))


class DscpChange(NamedTuple):
    """Change of the DSCP: unchanged up to hop ``after`` (0: this machine), ``became`` from hop ``at`` on."""

    after: int
    at: int
    became: int


def dscp_change(hops: Iterable[Hop], sent_dscp: int) -> DscpChange | None:
    """Find the first change of the DSCP on the path; hops that quote none are skipped."""
    after = 0
    for hop in hops:
        if hop.dscp is None:
            continue
        if hop.dscp != sent_dscp:
            return DscpChange(after, hop.ttl, hop.dscp)
        after = hop.ttl
    return None
