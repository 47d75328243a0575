"""Request to the path helper and its answer: one JSON document in each direction.

Only the helper may send such packets, and it has no key. The agent gives it finished test packets. The helper
returns the reflector's replies unchanged, and the agent verifies them.
"""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from wire.records import Dscp, Failure, PathValues, Text
from wire.records.path import Ttl

# 64 replies of 2 kB in base64 and 64 hops fit twice.
MOST_ANSWER_BYTES = 512 * 1024
MOST_REQUEST_BYTES = 1024 * 1024


class PathRequest(Struct, frozen=True, kw_only=True):
    """Request to trace the path to ``address`` and to search its MTU within ``within_s``.

    ``test_packets`` are STAMP packets with the Sequence Numbers 0, 1, 2, ..., all of one length. Each packet
    of the trace uses one, and the trace ends when they are used up. ``authenticated`` names their STAMP
    layout.
    """

    address: Text
    port: Annotated[int, Meta(ge=1, le=65_535)]
    dscp: Dscp
    hops: Annotated[int, Meta(ge=1, le=64)]
    packets: Annotated[int, Meta(ge=1, le=10)]
    within_s: Annotated[float, Meta(gt=0, le=600)]
    authenticated: bool
    test_packets: Annotated[
        tuple[Annotated[bytes, Meta(max_length=512)], ...], Meta(min_length=1, max_length=2000)
    ]


class PeerReply(Struct, frozen=True, kw_only=True):
    """Reply of a reflector to a packet of the trace.

    ``rtt_ns`` includes the dwell in the reflector; None where the clock was set meanwhile.
    """

    ttl: Ttl
    rtt_ns: Annotated[int, Meta(ge=0)] | None
    payload: Annotated[bytes, Meta(max_length=2048)]


class PathAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Result of the helper, or its failure. ``replies`` has at most one reply for each packet of the trace.

    ``limited_before`` is the TTL of the first router that answers, where packets larger than the path MTU are
    lost before it.
    """

    values: PathValues | None = None
    replies: Annotated[tuple[PeerReply, ...], Meta(max_length=64)] = ()
    limited_before: Ttl | None = None
    failure: Failure | None = None
    detail: Text = ""
    bytes_sent: Annotated[int, Meta(ge=0)] = 0
    bytes_received: Annotated[int, Meta(ge=0)] = 0


_Document = TypeVar("_Document", PathRequest, PathAnswer)


def decode_request(document: bytes) -> PathRequest:
    """Read a request. Raises msgspec.DecodeError."""
    return _decode(document, PathRequest)


def decode_answer(document: bytes) -> PathAnswer:
    """Read an answer. Raises msgspec.DecodeError."""
    return _decode(document, PathAnswer)


def _decode(document: bytes, kind: type[_Document]) -> _Document:
    try:
        return msgspec.json.decode(document, type=kind)
    # Text that is not UTF-8, and nesting beyond the recursion limit: both found by fuzzing.
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
