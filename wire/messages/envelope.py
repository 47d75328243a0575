"""Envelopes, receipts and presence: the messages between senders and collector, and their bounded codec.

A sender is a site's agent or a peer. JSON, so that a person reading a topic sees something readable.
Decoders return a :class:`Fault` for input that does not fit, never an exception: what comes from a broker is
anybody's bytes.
"""

import hashlib
from enum import StrEnum
from typing import Annotated, Protocol, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

from wire.records import (
    BY_NAME,
    ClockReading,
    Epoch,
    Micros,
    Name,
    Record,
    Sequence,
    SiteId,
    Text,
    UnknownMeasurement,
)

# Raised only when an older collector could misread: by a new outcome or direction, not by added fields,
# probes or other words.
SCHEMA = 1
MAX_MESSAGE_BYTES = 512 * 1024
MAX_RECORDS = 500
MAX_GAPS = 64

Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Schema = Annotated[int, Meta(ge=1, le=1000)]


class Reason(StrEnum):
    """Reason for rejecting a message or one of its records: the closed vocabulary."""

    TOO_LARGE = "too-large"
    MALFORMED = "malformed"
    INVALID = "invalid"
    NEWER_SCHEMA = "newer-schema"
    WRONG_SENDER = "wrong-sender"
    WRONG_TOPIC = "wrong-topic"
    STORAGE = "storage"
    OVER_QUOTA = "over-quota"


class Fault(Struct, frozen=True):
    """Fault of a message, with a detail for a person."""

    reason: Reason
    detail: str


class EpochMark(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """High water of one journal epoch, which makes a lost tail visible, and the epoch before."""

    epoch: Epoch
    high_water: Annotated[int, Meta(ge=0, le=2**53)]
    previous: Epoch | None = None
    previous_last: Annotated[int, Meta(ge=0, le=2**53)] | None = None


class GapReason(StrEnum):
    """Reason for the loss of measurements that had an identity."""

    NOT_STORED = "not-stored"  # the disk took nothing, and memory was not enough
    DROPPED = "dropped"  # the journal was full of what had no receipt
    DAMAGED = "damaged"  # the journal's file was


class EpochRange(Struct, frozen=True, kw_only=True):
    """The sequence numbers ``first`` to ``last``, both included, of one epoch."""

    epoch: Epoch
    first: Sequence
    last: Sequence


class Gap(EpochRange, frozen=True, kw_only=True):
    """Records that will never come, and why. ``at_us``: the sender's wall clock when that was known.

    ``reason`` is a word of ``GapReason``, or one of a newer sender: that alone must not cost its batch.
    """

    reason: Name
    at_us: Micros


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One batch from one sender: a site's measurements, or the load tests that a peer served.

    ``sender`` is the site's id or the peer's name, ``program`` the sender's version, ``sent`` its clocks at
    sending; ``signature`` is room for one. ``gaps`` are declared until a receipt names them. ``obeyed`` is
    the id of the last command obeyed.
    """

    schema: Schema
    sender: SiteId
    program: Name
    sent: ClockReading
    marks: Annotated[tuple[EpochMark, ...], Meta(max_length=64)]
    records: Annotated[tuple[msgspec.Raw, ...], Meta(max_length=MAX_RECORDS)]
    signature: Text | None = None
    gaps: Annotated[tuple[Gap, ...], Meta(max_length=MAX_GAPS)] = ()
    obeyed: Name | None = None


class ReceiptStatus(StrEnum):
    """``committed``: it is in the ledger, be it since now or before. ``conflict``: both contents are kept."""

    COMMITTED = "committed"
    CONFLICT = "conflict"
    REJECTED = "rejected"


class ReceiptLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fate of the records ``first`` to ``last`` (both included) of one epoch."""

    epoch: Epoch
    first: Sequence
    last: Sequence
    status: ReceiptStatus
    reason: Reason | None = None
    detail: Text = ""


class Receipt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Results of one batch of ``sender``, named by the SHA-256 of its payload.

    Without lines and with a ``reason`` the batch was rejected whole, and nothing of it was kept but its
    reject record. ``declared`` are the batch's gaps that the ledger holds now.
    """

    schema: Schema
    sender: SiteId
    payload: Digest
    lines: Annotated[tuple[ReceiptLine, ...], Meta(max_length=MAX_RECORDS)] = ()
    reason: Reason | None = None
    detail: Text = ""
    declared: Annotated[tuple[EpochRange, ...], Meta(max_length=MAX_GAPS)] = ()


class PresenceState(StrEnum):
    """``connection-lost`` is the broker speaking for a vanished agent; it never means "line down"."""

    ONLINE = "online"
    STOPPED = "stopped"
    CONNECTION_LOST = "connection-lost"


class Presence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Retained on the site's presence topic; the last will carries ``connection-lost``."""

    schema: Schema
    sender: SiteId
    state: PresenceState
    program: Name
    since_us: Micros


Message = TypeVar("Message", Envelope, Receipt, Presence)


class Dated(Protocol):
    """Any message: it names the schema that it was written in."""

    @property
    def schema(self) -> int:
        """The number of that schema."""


Versioned = TypeVar("Versioned", bound=Dated)


class _Head(Struct):
    probe: Name


class _SchemaOnly(Struct):
    schema: Schema


_ENCODER = msgspec.json.Encoder()
_HEAD = msgspec.json.Decoder(_Head)
_SCHEMA = msgspec.json.Decoder(_SchemaOnly)
_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_UNKNOWN = msgspec.json.Decoder(UnknownMeasurement)
_KNOWN = {name: msgspec.json.Decoder(kind) for name, kind in BY_NAME.items()}
_MESSAGES: dict[type, msgspec.json.Decoder[Envelope | Receipt | Presence]] = {
    kind: msgspec.json.Decoder(kind) for kind in (Envelope, Receipt, Presence)
}


def encode(message: Struct) -> bytes:
    """Any message or measurement as JSON."""
    return _ENCODER.encode(message)


def digest(payload: bytes) -> str:
    """The SHA-256 that names a payload in receipts and rejects, as 64 hexadecimal digits."""
    return hashlib.sha256(payload).hexdigest()


def decode(payload: bytes, kind: type[Message], sender: str) -> Message | Fault:
    """Decode a message of ``sender``'s topics: bounded, validated, and really of that sender."""
    message = decode_bounded(payload, _MESSAGES[kind])
    if isinstance(message, Fault):
        return message
    if message.sender != sender:
        return Fault(Reason.WRONG_SENDER, f"says {message.sender} on the topic of {sender}")
    return cast("Message", message)


def decode_bounded(payload: bytes, decoder: msgspec.json.Decoder[Versioned]) -> Versioned | Fault:
    """Decode a message of a schema that this program knows, if it is no larger than messages may be."""
    if len(payload) > MAX_MESSAGE_BYTES:
        return Fault(Reason.TOO_LARGE, f"{len(payload)} bytes; at most {MAX_MESSAGE_BYTES} are taken")
    try:
        message = decoder.decode(payload)
    except _UNDECODABLE as error:
        return _newer_schema(payload) or decoding_fault(error)
    return _too_new(message.schema) if message.schema > SCHEMA else message


def decode_measurement(raw: bytes | msgspec.Raw) -> Record | Fault:
    """Decode one measurement.

    An unknown probe, or a word that a known probe's vocabulary lacks, comes from a newer agent. Such a record
    is kept as :class:`UnknownMeasurement`.
    """
    try:
        return _KNOWN.get(_HEAD.decode(raw).probe, _UNKNOWN).decode(raw)
    except _UNDECODABLE as error:
        return (_in_newer_words(raw) if _is_unknown_word(error) else None) or decoding_fault(error)


def _is_unknown_word(error: Exception) -> bool:
    """msgspec tells a word that an enumeration lacks from every other fault by its text alone."""
    return isinstance(error, msgspec.ValidationError) and str(error).startswith("Invalid enum value ")


def _in_newer_words(raw: bytes | msgspec.Raw) -> UnknownMeasurement | None:
    try:
        return _UNKNOWN.decode(raw)
    except _UNDECODABLE:
        return None


def _newer_schema(payload: bytes) -> Fault | None:
    """A newer schema may look wrong in every other way, so its number speaks first."""
    try:
        schema = _SCHEMA.decode(payload).schema
    except _UNDECODABLE:
        return None
    return _too_new(schema) if schema > SCHEMA else None


def _too_new(schema: int) -> Fault:
    return Fault(Reason.NEWER_SCHEMA, f"schema {schema} is newer than this program's {SCHEMA}: upgrade it")


def decoding_fault(error: Exception) -> Fault:
    """Describe msgspec's finding: no JSON at all, or JSON that does not fit."""
    reason = Reason.INVALID if isinstance(error, msgspec.ValidationError) else Reason.MALFORMED
    return Fault(reason, str(error)[:300])
