"""Model of what a collector promises to the journals that send to it."""

from outbox.publisher import Sender
from tests.outbox.journalled import Identity
from wire.messages import envelope as messages
from wire.messages.envelope import Envelope, EpochRange, Fault, Reason, Receipt, ReceiptLine, ReceiptStatus

SENDER = Sender("A", "0.1.0", "qos/v1/A/results")


class LedgerModel:
    """Ledger that commits before it answers; a backup of it is what it was then.

    ``rejects`` all records, ``refuses`` all batches, and those with a record of ``poison``.
    """

    def __init__(self) -> None:
        self.contents: dict[Identity, bytes] = {}
        self.declared: set[Identity] = set()
        self.high_water: dict[str, int] = {}
        self.rejects = False
        self.refuses = False
        self.poison: set[Identity] = set()
        self.knows_gaps = True
        self.command: str | None = None
        self.since_us = 0

    def take(self, payload: bytes) -> Receipt:
        batch = messages.decode(payload, Envelope, "A")
        assert not isinstance(batch, Fault)
        if self.refuses or any(self._identity(bytes(raw)) in self.poison for raw in batch.records):
            return Receipt(schema=1, sender="A", payload=messages.digest(payload), reason=Reason.MALFORMED)
        for mark in batch.marks:
            self.high_water[mark.epoch] = max(self.high_water.get(mark.epoch, 0), mark.high_water)
        for gap in batch.gaps:
            assert gap.last <= self.high_water[gap.epoch], "a gap beyond what its epoch is known to hold"
            self.declared |= {(gap.epoch, seq) for seq in range(gap.first, gap.last + 1)}
        named = [EpochRange(epoch=gap.epoch, first=gap.first, last=gap.last) for gap in batch.gaps]
        return Receipt(
            schema=1,
            sender="A",
            payload=messages.digest(payload),
            lines=tuple(self._line(bytes(raw)) for raw in batch.records),
            declared=tuple(named) if self.knows_gaps else (),
        )

    @staticmethod
    def _identity(raw: bytes) -> Identity:
        record = messages.decode_measurement(raw)
        assert not isinstance(record, Fault)
        return record.epoch, record.seq

    def _line(self, raw: bytes) -> ReceiptLine:
        identity, reason = self._identity(raw), None
        if self.rejects:
            status, reason = ReceiptStatus.REJECTED, Reason.INVALID
        else:
            assert self.contents.setdefault(identity, raw) == raw, "two contents under one identity"
            status = ReceiptStatus.COMMITTED
        epoch, seq = identity
        return ReceiptLine(epoch=epoch, first=seq, last=seq, status=status, reason=reason)

    def backup(self) -> tuple[dict[Identity, bytes], set[Identity], dict[str, int]]:
        return dict(self.contents), set(self.declared), dict(self.high_water)
