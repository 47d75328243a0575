"""Receipts: the answer to a message, from the results of its records. Pure."""

from collections.abc import Iterable

from collector.model.message import Batch, Judged, PeerBatch, RecordResult, Refused, UnreadableMessage
from wire.messages import topics
from wire.messages.envelope import SCHEMA, Envelope, EpochRange, Gap, Receipt, ReceiptLine
from wire.messages.topics import Kind, PeerKind


def receipt_topic(message: Judged) -> str | None:
    """Topic for the receipt of a message, or None if the message's topic names no sender."""
    if isinstance(message, UnreadableMessage | PeerBatch) and message.peer is not None:
        return topics.peer_topic(message.peer, PeerKind.RECEIPTS)
    if isinstance(message, UnreadableMessage | Batch) and message.site is not None:
        return topics.topic(message.site, Kind.RECEIPTS)
    return None


def receipt_of_unreadable(message: UnreadableMessage) -> Receipt | None:
    """Receipt with the reason, or None if the topic names no sender."""
    sender = message.peer or message.site
    if sender is None:
        return None
    reason, detail = message.fault.reason, message.fault.detail
    return Receipt(schema=SCHEMA, sender=sender, payload=message.digest, reason=reason, detail=detail)


def receipt_of_batch(batch: Batch | PeerBatch, results: Iterable[RecordResult]) -> Receipt:
    """Receipt of a batch: one line for each run of consecutive sequence numbers with one result.

    A batch without any readable identity is rejected whole, by its digest. A gap that ends before it begins
    declares nothing and gets no answer.
    """
    lines = _lines(results)
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
    """Gaps of an envelope that declare anything."""
    return [gap for gap in envelope.gaps if gap.first <= gap.last]


def _lines(results: Iterable[RecordResult]) -> tuple[ReceiptLine, ...]:
    # A batch in order has one line, however many records it has.
    runs: list[tuple[RecordResult, int]] = []
    for result in sorted(results, key=lambda result: (result.epoch, result.seq)):
        if runs and _continues(*runs[-1], result):
            runs[-1] = (runs[-1][0], result.seq)
        else:
            runs.append((result, result.seq))
    return tuple(_line(first, last) for first, last in runs)


def _continues(first: RecordResult, last: int, result: RecordResult) -> bool:
    same = (first.epoch, first.status, first.fault) == (result.epoch, result.status, result.fault)
    return same and result.seq == last + 1


def _line(first: RecordResult, last: int) -> ReceiptLine:
    fault = first.fault
    return ReceiptLine(
        epoch=first.epoch,
        first=first.seq,
        last=last,
        status=first.status,
        reason=fault.reason if fault else None,
        detail=fault.detail if fault else "",
    )
