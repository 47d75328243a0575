"""What arrives from the broker, judged: a batch with its measurements, or why nothing could be read.

Pure: topic, bytes and time of arrival in, :class:`Batch` or :class:`UnreadableMessage` out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from wire.messages import envelope as messages
from wire.messages import topics
from wire.messages.envelope import (
    SCHEMA,
    Envelope,
    EpochRange,
    Fault,
    Gap,
    Reason,
    Receipt,
    ReceiptLine,
    ReceiptStatus,
)
from wire.messages.peer_tests import PeerTest, decode_test
from wire.messages.topics import Kind, PeerKind
from wire.records import Epoch, Record, Sequence


@dataclass(frozen=True, slots=True)
class Arrival:
    """One MQTT message as it came: ``received_us`` is the collector's wall clock, Unix microseconds."""

    topic: str
    payload: bytes
    received_us: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A measurement that fits its schema; ``raw`` is its JSON as the agent's journal has it."""

    record: Record
    raw: bytes


@dataclass(frozen=True, slots=True)
class AcceptedTest:
    """A peer's record of a test that fits its schema."""

    record: PeerTest
    raw: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that does not fit; without ``identity`` no receipt line can name it."""

    identity: tuple[str, int] | None
    fault: Fault
    raw: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """A readable envelope of a site and its measurements, each accepted or refused."""

    arrival: Arrival
    site: str
    envelope: Envelope
    digest: str
    items: tuple[Accepted | Refused, ...]


@dataclass(frozen=True, slots=True)
class PeerBatch:
    """A readable envelope of a peer and its tests, each accepted or refused."""

    arrival: Arrival
    peer: str
    envelope: Envelope
    digest: str
    items: tuple[AcceptedTest | Refused, ...]


@dataclass(frozen=True, slots=True)
class Speaker:
    """The site that a batch came from, and the command that it says to have carried out last."""

    site: str
    obeyed: str | None


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """A message of which nothing could be taken. ``site`` or ``peer`` is the topic's, where that is ours."""

    arrival: Arrival
    site: str | None
    digest: str
    fault: Fault
    peer: str | None = None


Judged = Batch | PeerBatch | UnreadableMessage


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one record that has an identity. ``redelivered``: committed before."""

    epoch: str
    seq: int
    status: ReceiptStatus
    fault: Fault | None = None
    redelivered: bool = False


class _Identity(Struct):
    epoch: Epoch
    seq: Sequence


_IDENTITY = msgspec.json.Decoder(_Identity)


def judge(arrival: Arrival) -> Judged:
    """Decode a message that came in on a results topic, or a peer's. Never raises on any bytes."""
    digest = messages.digest(arrival.payload)
    of_peer, of_site = topics.parse_peer(arrival.topic), topics.parse(arrival.topic)
    if of_peer is None and (of_site is None or of_site[1] is not Kind.RESULTS):
        fault = Fault(Reason.WRONG_TOPIC, "not the results topic of a possible site id")
        return UnreadableMessage(arrival, None, digest, fault)
    sender = (of_peer or of_site or ("",))[0]
    envelope = messages.decode(arrival.payload, Envelope, sender)
    if isinstance(envelope, Fault):
        if of_peer is not None:
            return UnreadableMessage(arrival, None, digest, envelope, sender)
        return UnreadableMessage(arrival, sender, digest, envelope)
    if of_peer is not None:
        tests = tuple(_judge_test(bytes(raw)) for raw in envelope.records)
        return PeerBatch(arrival, sender, envelope, digest, tests)
    items = tuple(_judge_measurement(bytes(raw)) for raw in envelope.records)
    return Batch(arrival, sender, envelope, digest, items)


def _judge_measurement(raw: bytes) -> Accepted | Refused:
    record = messages.decode_measurement(raw)
    return _refused(record, raw) if isinstance(record, Fault) else Accepted(record, raw)


def _judge_test(raw: bytes) -> AcceptedTest | Refused:
    record = decode_test(raw)
    return _refused(record, raw) if isinstance(record, Fault) else AcceptedTest(record, raw)


def _refused(fault: Fault, raw: bytes) -> Refused:
    try:
        identity = _IDENTITY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refused(None, fault, raw)
    return Refused((identity.epoch, identity.seq), fault, raw)


def receipt_topic(message: Judged) -> str | None:
    """The topic of receipts of the sender of a message, where its own topic says who that is."""
    if isinstance(message, UnreadableMessage | PeerBatch) and message.peer is not None:
        return topics.peer_topic(message.peer, PeerKind.RECEIPTS)
    if isinstance(message, UnreadableMessage | Batch) and message.site is not None:
        return topics.topic(message.site, Kind.RECEIPTS)
    return None


def receipt_of_unreadable(message: UnreadableMessage) -> Receipt | None:
    """The receipt that says why, where the topic says who the sender is."""
    sender = message.peer or message.site
    if sender is None:
        return None
    reason, detail = message.fault.reason, message.fault.detail
    return Receipt(schema=SCHEMA, sender=sender, payload=message.digest, reason=reason, detail=detail)


def receipt_of_batch(batch: Batch | PeerBatch, fates: Iterable[Fate]) -> Receipt:
    """The receipt of a batch: one line for every run of consecutive sequence numbers with one fate.

    A batch of which not one record has a readable identity is rejected whole, by its digest. A gap that ends
    before it begins declares nothing and gets no answer.
    """
    lines = _lines(fates)
    fault = None if lines else next((item.fault for item in batch.items if isinstance(item, Refused)), None)
    return Receipt(
        schema=SCHEMA,
        sender=batch.envelope.sender,
        payload=batch.digest,
        lines=lines,
        reason=fault.reason if fault else None,
        detail=fault.detail if fault else "",
        declared=tuple(
            EpochRange(epoch=gap.epoch, first=gap.first, last=gap.last)
            for gap in declared_gaps(batch.envelope)
        ),
    )


def declared_gaps(envelope: Envelope) -> list[Gap]:
    """The gaps of an envelope that declare anything."""
    return [gap for gap in envelope.gaps if gap.first <= gap.last]


def _lines(fates: Iterable[Fate]) -> tuple[ReceiptLine, ...]:
    runs: list[tuple[Fate, int]] = []
    for fate in sorted(fates, key=lambda fate: (fate.epoch, fate.seq)):
        if runs and _continues(*runs[-1], fate):
            runs[-1] = (runs[-1][0], fate.seq)
        else:
            runs.append((fate, fate.seq))
    return tuple(_line(first, last) for first, last in runs)


def _continues(first: Fate, last: int, fate: Fate) -> bool:
    same = (first.epoch, first.status, first.fault) == (fate.epoch, fate.status, fate.fault)
    return same and fate.seq == last + 1


def _line(first: Fate, last: int) -> ReceiptLine:
    fault = first.fault
    return ReceiptLine(
        epoch=first.epoch,
        first=first.seq,
        last=last,
        status=first.status,
        reason=fault.reason if fault else None,
        detail=fault.detail if fault else "",
    )
