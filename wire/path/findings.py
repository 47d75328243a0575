"""What a finished trace amounts to: the record's values, from what was seen and the replies that hold."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from wire.path.exchange import PathAnswer, PeerReply
from wire.path.hops import Trace, remark
from wire.path.mtu import MtuSearch
from wire.path.probing import Kind
from wire.records import PathValues
from wire.stamp.sender import ReplyArrival, Sender


def seen(trace: Trace, search: MtuSearch | None) -> PathValues:
    """The values as far as they can be told without the key."""
    hops = tuple(hop.record() for hop in trace.hops)
    if search is None:
        return PathValues(hops=hops, reached=trace.reached)
    return PathValues(
        hops=hops,
        reached=trace.reached,
        path_mtu_bytes=search.path_mtu,
        mtu_limited_at=search.limited_at,
        mtu_limited_by=search.limited_by,
        mtu_told_bytes=search.told,
        black_hole=search.black_hole,
        return_mtu_bytes=search.return_mtu,
    )


def replies(trace: Trace) -> tuple[PeerReply, ...]:
    """The reflector's replies to packets of the trace, for :func:`verified`."""
    last = trace.hops[-1:]
    return tuple(
        PeerReply(ttl=hop.ttl, rtt_ns=max(0, answer.rtt_ns), payload=answer.payload)
        for hop in last
        for answer in hop.answers
        if answer.kind is Kind.REPLY and answer.rtt_ns is not None
    )


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
        sender.received(reply.payload, reply.rtt_ns, by_kernel=True)
    return [exchange.arrival for exchange in sender.exchanges if exchange.arrival is not None]


def _with_peer(values: PathValues, arrivals: list[ReplyArrival]) -> PathValues:
    """The last hop is the peer: its own time does not count, as in a STAMP train (RFC 8762 section 4.3.1)."""
    rtts = [one.received_ns - (one.reflector_sent_ns - one.reflector_received_ns) for one in arrivals]
    classes = Counter(one.class_of_service.received_dscp for one in arrivals if one.class_of_service)
    hop = msgspec.structs.replace(
        values.hops[-1],
        rtt_us=max(0, (min(rtts) + 500) // 1000),
        dscp=max(classes, key=classes.__getitem__) if classes else values.hops[-1].dscp,
    )
    return msgspec.structs.replace(values, hops=(*values.hops[:-1], hop))
