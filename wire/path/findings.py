"""Result of a trace and a search: values for the record, and replies that only the agent can verify."""

from wire.path.exchange import PeerReply
from wire.path.hops import Trace
from wire.path.mtu import MtuSearch
from wire.path.probing import AnswerKind
from wire.records import PathValues


def seen(trace: Trace, search: MtuSearch | None) -> PathValues:
    """Build the values as far as they are known without the key."""
    hops = tuple(hop.record() for hop in trace.hops)
    if search is None:
        return PathValues(hops=hops, reached=trace.reached)
    return PathValues(
        hops=hops,
        reached=trace.reached,
        path_mtu_bytes=search.path_mtu,
        mtu_limited_at=search.limited_at,
        mtu_limited_by=search.limited_by,
        mtu_reported_bytes=search.reported,
        black_hole=search.black_hole,
        return_mtu_bytes=search.return_mtu,
    )


def replies(trace: Trace) -> tuple[PeerReply, ...]:
    """Collect the reflector's replies to packets of the trace, for :func:`wire.path.verdict.verified`."""
    # Only the last hop is the peer; packets of a larger TTL reached it as well, but are no hops.
    last = trace.hops[-1:]
    return tuple(
        PeerReply(ttl=hop.ttl, rtt_ns=answer.rtt_ns, payload=answer.payload)
        for hop in last
        for answer in hop.answers
        if answer.kind is AnswerKind.REPLY
    )
