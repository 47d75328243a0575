"""Re-dating: measurements get a better time after their boot's anchor improved, in the writer's idle time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select

from collector.ledger.clock.boots import FIND, Boots, anchor_of
from collector.ledger.clock.bounding import Bounding
from collector.ledger.keys import RowKeys
from collector.ledger.read import latest as reading
from collector.ledger.read import outages
from collector.ledger.schema.tables import batches, boots, measurements, peer_comparisons, series, sites
from collector.ledger.transaction import LedgerTransaction
from collector.model.clock_correction import Anchor, CorrectedTime, correct_by_anchor
from collector.model.observation import Observation
from collector.model.outages import Outage

PORTION = 300  # rows a transaction, some ten milliseconds
BOOTS = 20  # a transaction

_m = measurements
_TO_REDATE = FIND.where(boots.c.redated.is_(False), boots.c.offset_us.is_not(None)).limit(BOOTS)
_TIMES = (_m.c.boot_us, _m.c.time_us, _m.c.clock_offset_us, _m.c.time_error_us)
_PART: Select[Any] = (
    select(_m.c.key, *_TIMES, batches.c.received_us)
    .select_from(
        _m.join(series, series.c.key == _m.c.series_key).join(batches, batches.c.key == _m.c.batch_key)
    )
    .where(
        _m.c.synchronised.is_(False),  # as the index has it
        _m.c.boot_key == bindparam("boot"),
        series.c.site_key == bindparam("site"),
        _m.c.key > bindparam("after"),
    )
    .order_by(_m.c.key)
    .limit(PORTION)
)
_COMPARISONS = select(peer_comparisons.c.key, peer_comparisons.c.measurement_key)


NewTime = tuple[int, dict[str, Any]]
"""Key of a measurement, and its columns that hold its time."""


@dataclass(frozen=True, slots=True)
class RedatedSite:
    """A site with re-dated measurements: the newest of its series, and its outages, as they are now."""

    site: str
    observations: tuple[Observation, ...]
    outages: tuple[Outage, ...] = ()


@dataclass(frozen=True, slots=True)
class _Progress:
    """Last measurement of one boot that was compared with an anchor."""

    anchor: Anchor
    after_key: int = 0


class Redating:
    """Re-dates in portions, and then has waiting boots bounded.

    After a failed transaction call :meth:`forget`: its work was undone.
    """

    def __init__(self, keys: RowKeys, known: Boots) -> None:
        self._bounding = Bounding(keys, known)
        self._progress: dict[int, _Progress] = {}  # by boot
        self._unreported: dict[int, None] = {}  # sites with re-dated measurements that views do not know
        self._reported: dict[int, None] = {}  # those of them that the last transaction returned

    def forget(self) -> None:
        """Begin anew. Changes of earlier transactions are still to be reported."""
        self._progress.clear()
        self._reported.clear()
        self._bounding.forget()

    def portion(
        self, transaction: LedgerTransaction, now_us: int | None = None
    ) -> tuple[list[RedatedSite], bool]:
        """Re-date a portion; returns the sites that are done, and true if there is more to do."""
        connection = transaction.connection
        found = connection.execute(_TO_REDATE).all()
        for site_key in self._reported:
            self._unreported.pop(site_key, None)
        self._reported.clear()
        left = PORTION
        for row in found:
            left -= self._go_through(transaction, row)
            if left <= 0:
                break
        more = len(found) == BOOTS or left <= 0
        if not more:
            more = self._bounding.portion(transaction)
        return [redated_site(connection, site_key, now_us) for site_key in self._reported], more

    def _go_through(self, transaction: LedgerTransaction, boot: Row[Any]) -> int:
        """Re-date a part of one boot; returns the number of measurements compared."""
        connection = transaction.connection
        anchor = anchor_of(boot)
        known = self._progress.get(boot.key)
        done = known if known and known.anchor == anchor else _Progress(anchor)
        of = {"site": boot.site_key, "boot": boot.boot_key, "after": done.after_key}
        rows = connection.execute(_PART, of).all()
        if self._date(transaction, rows, anchor):
            self._unreported[boot.site_key] = None
        # The rest of this boot is for the next transaction: messages wait behind the writer.
        if len(rows) == PORTION:
            self._progress[boot.key] = _Progress(anchor, rows[-1].key)
            return PORTION
        if outages.began_in(connection, boot.site_key, boot.boot_key):
            self._unreported[boot.site_key] = None  # an outage was reported before this boot was known
        if boot.site_key in self._unreported:
            self._reported[boot.site_key] = None
        self._progress.pop(boot.key, None)
        transaction.change(boots, [boot.key], lambda _: {"redated": True})
        return len(rows)

    def _date(self, transaction: LedgerTransaction, rows: Sequence[Row[Any]], anchor: Anchor) -> bool:
        """Re-date those whose error becomes smaller by the anchor; returns true if there are any."""
        new = []
        for row in rows:
            if row.time_error_us is not None and row.time_error_us <= anchor.error_at(row.boot_us):
                continue
            when = correct_by_anchor(row.boot_us, row.time_us + row.clock_offset_us, row.received_us, anchor)
            new.append(new_time(row.key, when))
        write_times(transaction, new)
        return bool(new)


def new_time(key: int, when: CorrectedTime) -> NewTime:
    """New time of a measurement, for :func:`write_times`."""
    return key, {
        "time_us": when.time_us, "clock_offset_us": when.clock_offset_us,
        "time_error_us": when.error_us, "ahead": when.ahead, "outdated": when.outdated,
    }  # fmt: skip


def write_times(transaction: LedgerTransaction, new: Sequence[NewTime]) -> None:
    """Write new times of measurements and of their peer comparisons."""
    by_key = dict(new)
    if not by_key:
        return
    transaction.change(measurements, by_key, lambda row: dict(by_key[row["key"]]))
    of_these = peer_comparisons.c.measurement_key.in_(by_key)
    compared = transaction.execute(_COMPARISONS.where(of_these)).all()
    times = {key: by_key[measurement_key]["time_us"] for key, measurement_key in compared}
    transaction.change(peer_comparisons, times, lambda row: {"time_us": times[row["key"]]})


def redated_site(connection: Connection, site_key: int, now_us: int | None) -> RedatedSite:
    """A site as views show it at ``now_us``."""
    site = connection.execute(select(sites.c.site_id).where(sites.c.key == site_key)).scalar_one()
    newest = tuple(reading.newest_of(connection, site_key, now_us))
    return RedatedSite(site, newest, tuple(outages.newest_of(connection, site_key)))
