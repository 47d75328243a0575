"""What the agent asks of the path helper, and what the helper answers: one JSON document each way.

The helper is the only process that may send such packets, and holds no key: test packets come to it ready
made, and the reflector's replies go back as they came, for the agent to verify.
"""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from wire.records import Dscp, Failure, PathValues, Text
from wire.records.path import Ttl

MOST_ANSWER_BYTES = 512 * 1024
MOST_REQUEST_BYTES = 1024 * 1024


class PathRequest(Struct, frozen=True, kw_only=True):
    """Trace the way to ``address`` and search its MTU.

    ``test_packets``: STAMP packets with the Sequence Numbers 0, 1, 2, ..., all of one length; a trace takes
    one for each packet that it sends, and ends when they are used up. ``within_s`` bounds the whole.
    ``authenticated`` says which of the two STAMP layouts they have.
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
    """A reflector's reply to a packet of the trace.

    ``rtt_ns`` includes the time the reflector kept it, and is absent where the clock was set meanwhile.
    """

    ttl: Ttl
    rtt_ns: Annotated[int, Meta(ge=0)] | None
    payload: Annotated[bytes, Meta(max_length=2048)]


class PathAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the helper found, or why it could not look. ``replies`` are at most one a packet of the trace.

    ``limited_before``: the first router that answers, where packets larger than the path MTU do not even come
    to it.
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
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
