"""Bound of one site's journal epochs: a site that begins ever new ones would slow down every count.

Records of an epoch too many are rejected as *over quota*. Their site keeps them apart, and sends them again
once a day.
"""

from dataclasses import replace

from msgspec import structs

from collector.ledger.keys import MOST_EPOCHS, RowKeys
from collector.ledger.transaction import LedgerTransaction
from collector.model.message import Accepted, Batch, Refused
from wire.messages.envelope import Fault, Reason

OVER_QUOTA = Fault(
    Reason.OVER_QUOTA, f"the site has {MOST_EPOCHS} journal epochs here, and may begin no other"
)


class EpochQuota:
    """The bound in one transaction."""

    def __init__(self, transaction: LedgerTransaction, keys: RowKeys) -> None:
        self._transaction = transaction
        self._keys = keys

    def within(self, batch: Batch) -> Batch:
        """The batch without the epochs that its site may not begin."""
        envelope = batch.envelope
        named = [item.record.epoch for item in batch.items if isinstance(item, Accepted)]
        named += [one for mark in envelope.marks for one in (mark.epoch, mark.previous) if one]
        named += [gap.epoch for gap in envelope.gaps]
        refused = {epoch for epoch in dict.fromkeys(named) if not self._may_hold(batch.site, epoch)}
        if not refused:
            return batch
        items = tuple(
            Refused((item.record.epoch, item.record.seq), OVER_QUOTA, item.raw)
            if isinstance(item, Accepted) and item.record.epoch in refused
            else item
            for item in batch.items
        )
        marks = tuple(mark for mark in envelope.marks if not {mark.epoch, mark.previous} & refused)
        gaps = tuple(gap for gap in envelope.gaps if gap.epoch not in refused)
        return replace(batch, items=items, envelope=structs.replace(envelope, marks=marks, gaps=gaps))

    def _may_hold(self, site: str, epoch: str) -> bool:
        return self._keys.may_hold(self._transaction, site, epoch)
