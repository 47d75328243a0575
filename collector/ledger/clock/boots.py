"""Anchors of each site's boots: looked up, replaced by better ones and written in one transaction.

``collector.model.clock_correction`` decides which of two anchors is better.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, select

from collector.ledger.keys import RowKeys
from collector.ledger.schema.tables import boots, names
from collector.ledger.transaction import LedgerTransaction
from collector.model.clock_correction import (
    Anchor,
    AnchorSource,
    CorrectedTime,
    anchor_from_envelope,
    anchor_from_record,
    correct,
    should_redate,
    should_replace,
)
from collector.model.message import Accepted, Batch
from wire.records import ReachabilityMeasurement, Record

Boot = tuple[int, int]  # the keys of site and boot id

BOUND = 200_000
_COLUMNS = ("offset_us", "error_us", "at_us", "source_key")
FIND = select(boots, names.c.name.label("source")).select_from(
    boots.outerjoin(names, names.c.key == boots.c.source_key)
)
_OF_BOOT = (boots.c.site_key == bindparam("site"), boots.c.boot_key == bindparam("boot"))
_FIND = FIND.where(*_OF_BOOT)


class Boots:
    """The anchors that the ledger holds, remembered from one transaction to the next, bounded."""

    def __init__(self) -> None:
        self._known: dict[Boot, Anchor | None] = {}

    def forget(self) -> None:
        """Remember nothing: what was remembered may not exist."""
        self._known.clear()

    def remember(self, boot: Boot, anchor: Anchor | None) -> None:
        """Note what the ledger holds of a boot."""
        if len(self._known) >= BOUND:
            self._known.clear()
        self._known[boot] = anchor

    def state(self, connection: Connection, boot: Boot) -> "BootState":
        """State of a boot in the ledger."""
        if boot not in self._known:
            row = connection.execute(_FIND, {"site": boot[0], "boot": boot[1]}).first()
            if row is None:
                return BootState(held=False, anchor=None)
            self.remember(boot, None if row.offset_us is None else anchor_of(row))
        return BootState(held=True, anchor=self._known[boot])


@dataclass(slots=True)
class BootState:
    """One boot in one transaction. ``to_redate``: its measurements in the ledger are to be dated again."""

    held: bool
    anchor: Anchor | None
    changed: bool = False
    to_redate: bool = False


def anchor_of(row: Row[Any]) -> Anchor:
    """Anchor in a row of ``boots`` that was found by ``FIND`` and has one."""
    return Anchor(row.offset_us, row.error_us, row.at_us, AnchorSource(row.source))


class Clocks:
    """One transaction's work on boots: learn from batches, date their measurements, write."""

    def __init__(self, transaction: LedgerTransaction, keys: RowKeys, known: Boots) -> None:
        self._transaction = transaction
        self._keys = keys
        self._known = known
        self._states: dict[Boot, BootState] = {}

    def learn(self, batch: Batch) -> None:
        """Take the anchors of a batch, before its measurements are dated."""
        sent, received_us = batch.envelope.sent, batch.arrival.received_us
        sending = anchor_from_envelope(sent, received_us)
        self.better(self._boot(batch.site, sent.boot_id), sending)
        for item in batch.items:
            if not isinstance(item, Accepted):
                continue
            boot_id = item.record.start.boot_id
            if boot_id == sent.boot_id and sending.source is AnchorSource.SYNCHRONISED:
                continue  # its readings add nothing to the sending
            found = anchor_from_record(item.record, sent, received_us)
            if found is not None:
                self.better(self._boot(batch.site, boot_id), found)

    def place(self, batch: Batch, record: Record) -> CorrectedTime:
        """Time of a measurement of the batch."""
        sent, received_us, start = batch.envelope.sent, batch.arrival.received_us, record.start
        if start.synchronised:
            when = correct(start, sent, received_us)
            # A trusted clock needs no anchor, so most boots are not even looked up here.
            if when.trusted:
                return when
        state = self._state(self._boot(batch.site, start.boot_id))
        # A boot without an anchor gets a row too: it waits for one, or for its neighbours.
        state.changed |= not state.held
        return correct(start, sent, received_us, state.anchor)

    def begin_offset_us(self, site_id: str, record: Record) -> int | None:
        """UTC less CLOCK_BOOTTIME of the earlier boot in which an outage began, if it is known."""
        if not isinstance(record, ReachabilityMeasurement) or record.values is None:
            return None
        begun = record.values.begin.boot_id
        if begun == record.start.boot_id:
            return None
        anchor = self._state(self._boot(site_id, begun)).anchor
        return anchor.offset_us if anchor is not None else None

    def better(self, boot: Boot, anchor: Anchor) -> None:
        """Take ``anchor`` where it is better than what is known of the boot."""
        state = self._state(boot)
        if should_replace(anchor, state.anchor):
            state.to_redate |= should_redate(anchor, state.anchor)
            state.anchor, state.changed = anchor, True

    def write(self) -> None:
        """Write what has changed; ``redating`` dates again what is in the ledger already."""
        for (site_key, boot_key), state in self._states.items():
            if not state.changed:
                continue
            row = dict(zip(_COLUMNS, self._columns(state.anchor), strict=True))
            if not state.held:
                identity = {"site_key": site_key, "boot_key": boot_key}
                self._transaction.insert_one(boots, identity | {"redated": False} | row)
            else:
                again = {"redated": False} if state.to_redate else {}
                of_boot = {"site": site_key, "boot": boot_key}
                self._transaction.change_where(boots, and_(*_OF_BOOT), of_boot, row | again)
            self._known.remember((site_key, boot_key), state.anchor)

    def _columns(self, anchor: Anchor | None) -> tuple[int | None, ...]:
        if anchor is None:
            return (None,) * len(_COLUMNS)
        source_key = self._keys.name(self._transaction, anchor.source)
        return anchor.offset_us, anchor.error_us, anchor.at_us, source_key

    def _state(self, boot: Boot) -> BootState:
        found = self._states.get(boot)
        if found is None:
            found = self._states[boot] = self._known.state(self._transaction.connection, boot)
        return found

    def _boot(self, site_id: str, boot_id: str) -> Boot:
        return self._keys.site(self._transaction, site_id), self._keys.name(self._transaction, boot_id)
