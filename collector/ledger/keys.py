"""Keys of names, sites, epochs and series in the ledger: read once, kept in memory, bounded."""

from collections.abc import Hashable
from typing import Any

from sqlalchemy import Select, Table, bindparam, func, select

from collector.ledger.schema.digests import NO_CHAIN
from collector.ledger.schema.tables import epochs, measurements, names, series, sites
from collector.ledger.transaction import LedgerTransaction
from collector.model.observation import Series

BOUND = 1_000_000
MOST_EPOCHS = 5000
"""Epochs of one site. An agent begins one at each start: ten a day for more than a year."""


def _find(table: Table, *identity: str) -> Select[int]:
    same = (table.c[column].is_not_distinct_from(bindparam(column)) for column in identity)
    return select(table.c.key).where(*same)


# Built once: at the first arrival of a whole fleet, building them would cost more than the database.
_FIND = {
    names.name: _find(names, "name"),
    sites.name: _find(sites, "site_id"),
    epochs.name: _find(epochs, "site_key", "epoch"),
    series.name: _find(series, "site_key", "probe_key", "direction", "dscp"),
}
_NO_COUNTS = {
    "high_water": 0,
    "previous": None,
    "previous_last": None,
    "committed": 0,
    "declared": 0,
    "conflicts": 0,
}
_NO_BATCH = {"batches": 0, "chain": NO_CHAIN}
_EPOCHS = select(func.count()).where(epochs.c.site_key == bindparam("site_key"))
_LAST_SEQ = select(func.max(measurements.c.seq)).where(measurements.c.epoch_key == bindparam("epoch_key"))


class RowKeys:
    """Finds keys and makes new ones inside the transaction of the one writer.

    After a rollback call :meth:`forget`: the keys in memory may not exist.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, int] = {}
        self._last_seq: dict[int, int] = {}
        self._epochs: dict[int, int] = {}  # number of those of each site that began one

    def forget(self) -> None:
        """Remember nothing."""
        self._known.clear()
        self._last_seq.clear()
        self._epochs.clear()

    def name(self, transaction: LedgerTransaction, text: str) -> int:
        """The key of a word or name."""
        return self._key(text, transaction, names, name=text)

    def site(self, transaction: LedgerTransaction, site_id: str) -> int:
        """The key of a site."""
        return self._key((sites.name, site_id), transaction, sites, _NO_BATCH, site_id=site_id)

    def epoch(self, transaction: LedgerTransaction, site_id: str, epoch: str) -> int:
        """The key of one journal epoch of one site."""
        site_key, index = self.site(transaction, site_id), (epochs.name, site_id, epoch)
        return self._key(index, transaction, epochs, _NO_COUNTS, site_key=site_key, epoch=epoch)

    def may_hold(self, transaction: LedgerTransaction, site_id: str, epoch: str) -> bool:
        """Check if an epoch is in the ledger, or may be: a site's epochs are bounded. It is then made."""
        if (sites.name, site_id, epoch) in self._known:
            return True
        site_key = self.site(transaction, site_id)
        identity = {"site_key": site_key, "epoch": epoch}
        if transaction.execute(_FIND[epochs.name], identity).scalar() is None:
            held = self._epochs.get(site_key)
            if held is None:
                held = int(transaction.execute(_EPOCHS, {"site_key": site_key}).scalar() or 0)
            self._epochs[site_key] = held
            if held >= MOST_EPOCHS:
                return False
            self._epochs[site_key] += 1
        self.epoch(transaction, site_id, epoch)
        return True

    def last_seq(self, transaction: LedgerTransaction, epoch_key: int) -> int:
        """Highest committed sequence number of an epoch, or 0. No number above it is in the ledger."""
        known = self._last_seq.get(epoch_key)
        if known is None:
            last: int | None = transaction.execute(_LAST_SEQ, {"epoch_key": epoch_key}).scalar()
            known = self._last_seq[epoch_key] = last or 0
        return known

    def raise_last_seq(self, epoch_key: int, seq: int) -> None:
        """Note that ``seq`` is about to be committed, unless the epoch was forgotten."""
        if epoch_key in self._last_seq:
            self._last_seq[epoch_key] = max(seq, self._last_seq[epoch_key])

    def series(self, transaction: LedgerTransaction, of: Series) -> int:
        """The key of a series."""
        return self._key(
            of,
            transaction,
            series,
            site_key=self.site(transaction, of.site),
            probe_key=self.name(transaction, of.probe),
            direction=of.direction.value if of.direction else None,
            dscp=of.dscp,
        )

    def _key(
        self,
        index: Hashable,
        transaction: LedgerTransaction,
        table: Table,
        new: dict[str, Any] | None = None,
        **identity: Any,
    ) -> int:
        key = self._known.get(index)
        if key is None:
            if len(self._known) >= BOUND:
                self.forget()
            key = self._known[index] = _find_or_insert(transaction, table, identity, new or {})
        return key


def _find_or_insert(
    transaction: LedgerTransaction, table: Table, identity: dict[str, Any], new: dict[str, Any]
) -> int:
    found: int | None = transaction.execute(_FIND[table.name], identity).scalar()
    if found is not None:
        return found
    return transaction.insert_one(table, identity | new)
