"""What a finished trace amounts to: what the helper saw, with the replies of the reflector that hold.

The agent loads this and the exchange with its helper, and nothing of the trace itself.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from wire.path.exchange import PathAnswer, PeerReply
from wire.records import Hop, PathValues
from wire.stamp.sender import ReplyArrival, Sender


def verified(answer: PathAnswer, sender: Sender, dscp: int) -> PathValues | None:
    """The values with what the reflector's replies say; ``sender`` made the test packets, sent in ``dscp``.

    The class in which packets reached the peer, and how long it kept them, stand in its replies. Where
    replies came and none holds, the peer is not reached: whoever answered does not have the key.
    """
    values = answer.values
    if values is None:
        return None
    if answer.replies:
        arrivals = _arrivals(answer.replies, sender)
        values = _with_peer(values, arrivals) if arrivals else msgspec.structs.replace(values, reached=False)
    change = remark(values.hops, dscp)
    if change is None:
        return values
    return msgspec.structs.replace(values, dscp_changed_at=change.at, dscp_became=change.became)


def _arrivals(came: Iterable[PeerReply], sender: Sender) -> list[ReplyArrival]:
    """Those of the replies that hold; their time of receipt is counted from their packet's sending."""
    for reply in came:
        sender.received(reply.payload, reply.rtt_ns or 0, by_kernel=reply.rtt_ns is not None)
    return [exchange.arrival for exchange in sender.exchanges if exchange.arrival is not None]


def _with_peer(values: PathValues, arrivals: list[ReplyArrival]) -> PathValues:
    """The last hop is the peer: its own time does not count, as in a STAMP train (RFC 8762 section 4.3.1)."""
    rtts = [
        one.received_ns - (one.reflector_sent_ns - one.reflector_received_ns)
        for one in arrivals
        if one.received_by_kernel
    ]
    classes = Counter(one.class_of_service.received_dscp for one in arrivals if one.class_of_service)
    hop = msgspec.structs.replace(
        values.hops[-1],
        rtt_us=max(0, (min(rtts) + 500) // 1000) if rtts else None,
        dscp=max(classes, key=classes.__getitem__) if classes else values.hops[-1].dscp,
    )
    return msgspec.structs.replace(values, hops=(*values.hops[:-1], hop))


class Remark(NamedTuple):
    """Where a DSCP changes: packets came to hop ``after`` (0: left this machine) unchanged, to ``at`` as
    ``became``.
    """

    after: int
    at: int
    became: int


def remark(hops: Iterable[Hop], sent_dscp: int) -> Remark | None:
    """The first change of the mark on the way, if any; hops that quote nothing are passed over."""
    after = 0
    for hop in hops:
        if hop.dscp is None:
            continue
        if hop.dscp != sent_dscp:
            return Remark(after, hop.ttl, hop.dscp)
        after = hop.ttl
    return None
