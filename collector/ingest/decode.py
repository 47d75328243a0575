"""What arrives from the broker, judged: a batch with its measurements, or why nothing could be read.

Pure: topic, bytes and time of arrival in, :class:`Batch` or :class:`Unreadable` out.
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
from wire.messages.peer_tests import (
    PeerEnvelope,
    PeerReceipt,
    PeerReceiptLine,
    PeerTest,
    decode_peer,
    decode_test,
)
from wire.records import ClockReading, Direction, Epoch, Record, Sequence, Session


@dataclass(frozen=True, slots=True)
class Arrival:
    """One MQTT message as it came: ``received_us`` is the collector's wall clock, Unix microseconds."""

    topic: str
    payload: bytes
    received_us: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A measurement that fits its schema; ``raw`` is its JSON as the agent's journal holds it."""

    record: Record
    raw: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A measurement that does not fit; without ``identity`` no receipt line can name it."""

    identity: tuple[str, int] | None
    fault: Fault
    raw: bytes


Item = Accepted | Refused


@dataclass(frozen=True, slots=True)
class Batch:
    """A readable envelope and its measurements, each accepted or refused."""

    arrival: Arrival
    site: str
    envelope: Envelope
    digest: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Speaker:
    """The site that a batch came from, and the command that it says to have carried out last."""

    site: str
    obeyed: str | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message of which nothing could be taken. ``site`` or ``peer`` is the topic's, where that is ours."""

    arrival: Arrival
    site: str | None
    digest: str
    fault: Fault
    peer: str | None = None


class PeerIdentity(Struct, frozen=True):
    """What names a test of one peer."""

    session: Session
    direction: Direction
    start: ClockReading


@dataclass(frozen=True, slots=True)
class PeerItem:
    """One test as a peer told it, or why it does not fit; without ``identity`` no receipt can name it."""

    test: PeerTest | Fault
    identity: PeerIdentity | None
    raw: bytes


@dataclass(frozen=True, slots=True)
class PeerBatch:
    """A readable envelope of a peer, and its tests."""

    arrival: Arrival
    peer: str
    envelope: PeerEnvelope
    digest: str
    items: tuple[PeerItem, ...]


Judged = Batch | PeerBatch | Unreadable


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one measurement that has an identity."""

    epoch: str
    seq: int
    status: ReceiptStatus
    fault: Fault | None = None


class _Identity(Struct):
    epoch: Epoch
    seq: Sequence


_IDENTITY = msgspec.json.Decoder(_Identity)
_PEER_IDENTITY = msgspec.json.Decoder(PeerIdentity)


def judge(arrival: Arrival) -> Judged:
    """Decode a message that came in on a results topic, or a peer's. Never raises on any bytes."""
    digest = messages.digest(arrival.payload)
    if (of_peer := topics.parse_peer(arrival.topic)) is not None:
        return _judge_peer(arrival, of_peer[0], digest)
    place = topics.parse(arrival.topic)
    if place is None or place[1] is not topics.Kind.RESULTS:
        fault = Fault(Reason.WRONG_TOPIC, "not the results topic of a possible site id")
        return Unreadable(arrival, None, digest, fault)
    envelope = messages.decode(arrival.payload, Envelope, place[0])
    if isinstance(envelope, Fault):
        return Unreadable(arrival, place[0], digest, envelope)
    items = tuple(_judge_measurement(bytes(raw)) for raw in envelope.measurements)
    return Batch(arrival, place[0], envelope, digest, items)


def _judge_peer(arrival: Arrival, peer: str, digest: str) -> PeerBatch | Unreadable:
    envelope = decode_peer(arrival.payload, PeerEnvelope, peer)
    if isinstance(envelope, Fault):
        return Unreadable(arrival, None, digest, envelope, peer)
    items = tuple(_judge_test(bytes(raw)) for raw in envelope.tests)
    return PeerBatch(arrival, peer, envelope, digest, items)


def _judge_test(raw: bytes) -> PeerItem:
    try:
        identity = _PEER_IDENTITY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        identity = None
    return PeerItem(decode_test(raw), identity, raw)


def _judge_measurement(raw: bytes) -> Item:
    record = messages.decode_measurement(raw)
    if not isinstance(record, Fault):
        return Accepted(record, raw)
    try:
        identity = _IDENTITY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refused(None, record, raw)
    return Refused((identity.epoch, identity.seq), record, raw)


def receipt_of_unreadable(message: Unreadable) -> Receipt | PeerReceipt | None:
    """The receipt that tells the sender why, where the topic says who the sender is."""
    reason, detail = message.fault.reason, message.fault.detail
    if message.peer is not None:
        return PeerReceipt(
            schema=SCHEMA, peer=message.peer, payload=message.digest, reason=reason, detail=detail
        )
    if message.site is None:
        return None
    return Receipt(schema=SCHEMA, site=message.site, payload=message.digest, reason=reason, detail=detail)


def receipt_of_peer(batch: PeerBatch, statuses: Iterable[ReceiptStatus]) -> PeerReceipt:
    """The receipt of a peer's batch: one line a test that has a readable identity.

    A batch of which no test has one is refused whole, by its digest.
    """
    told = zip(batch.items, statuses, strict=True)
    lines = tuple(line for item, status in told if (line := _peer_line(item, status)) is not None)
    fault = None if lines else next((i.test for i in batch.items if isinstance(i.test, Fault)), None)
    return PeerReceipt(
        schema=SCHEMA,
        peer=batch.peer,
        payload=batch.digest,
        lines=lines,
        reason=fault.reason if fault else None,
        detail=fault.detail if fault else "",
    )


def _peer_line(item: PeerItem, status: ReceiptStatus) -> PeerReceiptLine | None:
    if item.identity is None:
        return None
    fault = item.test if isinstance(item.test, Fault) else None
    return PeerReceiptLine(
        session=item.identity.session,
        direction=item.identity.direction,
        start_us=item.identity.start.wall_us,
        status=status,
        reason=fault.reason if fault else None,
        detail=fault.detail if fault else "",
    )


def receipt_of_batch(batch: Batch, fates: Iterable[Fate]) -> Receipt:
    """The receipt of a batch: one line for every run of consecutive sequence numbers with one fate.

    A batch of which not one measurement has a readable identity is refused whole, by its digest. A gap that
    ends before it begins tells of nothing and gets no answer.
    """
    lines = _lines(fates)
    fault = None if lines else next((item.fault for item in batch.items if isinstance(item, Refused)), None)
    return Receipt(
        schema=SCHEMA,
        site=batch.site,
        payload=batch.digest,
        lines=lines,
        reason=fault.reason if fault else None,
        detail=fault.detail if fault else "",
        declared=tuple(
            EpochRange(epoch=gap.epoch, first=gap.first, last=gap.last) for gap in told_gaps(batch.envelope)
        ),
    )


def told_gaps(envelope: Envelope) -> list[Gap]:
    """The gaps of an envelope that tell of anything."""
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
