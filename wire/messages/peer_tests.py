"""What a peer tells of the load tests it served: the second side of each test, and the receipts for it.

The agent's record and the peer's have the session id in common (RFC 9946 gives it no field of its own:
``wire.udpstp.load.session_id``). JSON on ``qos/v1/peers/<peer>/tests``; the collector answers on
``qos/v1/peers/<peer>/receipts`` after its commit, and only that receipt is evidence. Decoders return a
:class:`Fault` for input that does not fit, never an exception.
"""

from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from wire.messages.envelope import (
    SCHEMA,
    Digest,
    Fault,
    Reason,
    ReceiptStatus,
    Schema,
    decode_bounded,
    decoding_fault,
)
from wire.records import ClockReading, Count, Direction, Micros, Name, Rate, Session, SiteId, Text

MAX_TESTS = 500

KeyId = Annotated[int, Meta(ge=0, le=255)]
Row = Annotated[int, Meta(ge=0, le=0xFFFF)]


class TestKind(StrEnum):
    """How the load was sent: at one rate, or by the load-rate-adjustment search (RFC 9946 section 5.1)."""

    __test__ = False  # the name is the domain's; pytest is not to collect it

    FIXED = "fixed"
    SEARCH = "search"


class PeerTest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One load test as the peer served it; of refused set-ups there is none.

    Identity is (peer, session, direction, start). Counts are of Load PDUs of the test, bytes at the IP layer.
    What the peer itself saw is exact: ``sent_*`` downstream, ``received_*`` upstream. The other pair is what
    feedback or sequence numbers told it, absent where nothing did: downstream ``received_*`` are sums over
    the agent's Status PDUs, upstream ``sent_packets`` is the highest sequence number that arrived.
    ``lost_packets`` is the load receiver's own count. ``outcome`` is a word of
    ``wire.udpstp.server.ServerOutcome``, or a newer peer's. ``row`` is the sending-rate row (of a search its
    first), ``planned_bps`` that row's IP-layer rate. ``start`` is the activation of the test, ``duration_us``
    the time from then to its end; ``load_us`` lies between first and last Load PDU, so that bytes over it are
    a mean rate. Of a set-up whose test was never activated ``start`` is the set-up; it has no ``row`` and no
    counts, and its ``kind``, which nobody asked for yet, stands at ``fixed``.
    """

    session: Session
    key_id: KeyId
    direction: Direction
    kind: TestKind
    outcome: Name
    start: ClockReading
    duration_us: Micros
    row: Row | None = None
    planned_bps: Rate | None = None
    load_us: Micros | None = None
    sent_packets: Count | None = None
    sent_bytes: Count | None = None
    received_packets: Count | None = None
    received_bytes: Count | None = None
    lost_packets: Count | None = None


class PeerEnvelope(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One batch of a peer's tests. ``sent`` is the peer's clocks at sending."""

    schema: Schema
    peer: SiteId
    program: Name
    sent: ClockReading
    tests: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=MAX_TESTS)]
    signature: Text | None = None


class PeerReceiptLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fate of one test, named by its identity. ``committed`` and ``duplicate``: it is in the ledger."""

    session: Session
    direction: Direction
    start_us: Micros
    status: ReceiptStatus
    reason: Reason | None = None
    detail: Text = ""


class PeerReceipt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one batch, named by the SHA-256 of its payload.

    Without lines and with a ``reason`` nothing of the batch could be read, and nothing of it was kept.
    """

    schema: Schema
    peer: SiteId
    payload: Digest
    lines: Annotated[tuple[PeerReceiptLine, ...], Meta(max_length=MAX_TESTS)] = ()
    reason: Reason | None = None
    detail: Text = ""


PeerMessage = TypeVar("PeerMessage", PeerEnvelope, PeerReceipt)

_MESSAGES: dict[type, msgspec.json.Decoder[PeerEnvelope | PeerReceipt]] = {
    kind: msgspec.json.Decoder(kind) for kind in (PeerEnvelope, PeerReceipt)
}
_TEST = msgspec.json.Decoder(PeerTest)


def envelope(peer: str, program: str, sent: ClockReading, tests: tuple[bytes, ...]) -> PeerEnvelope:
    """A batch of tests that are encoded already, as a queue holds them."""
    raw = tuple(msgspec.Raw(test) for test in tests)
    return PeerEnvelope(schema=SCHEMA, peer=peer, program=program, sent=sent, tests=raw)


def decode_peer(payload: bytes, kind: type[PeerMessage], peer: str) -> PeerMessage | Fault:
    """Decode a message that came in on ``peer``'s topic: bounded, validated, and really of that peer."""
    message = decode_bounded(payload, _MESSAGES[kind])
    if isinstance(message, Fault):
        return message
    if message.peer != peer:
        return Fault(Reason.WRONG_PEER, f"says peer {message.peer} on the topic of {peer}")
    return message  # type: ignore[return-value]  # the decoder of ``kind`` gives that kind


def decode_test(raw: bytes | msgspec.Raw) -> PeerTest | Fault:
    """Decode one test of an envelope."""
    try:
        return _TEST.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return decoding_fault(error)
