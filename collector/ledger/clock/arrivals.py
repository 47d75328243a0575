"""Arrivals: the collector's own clock in the ledger, and re-dating of what arrived while it was wrong.

``collector.model.clock_steps`` decides which offset dates arrivals. When another offset takes over, every
arrival of this boot of the collector's machine is shifted by the difference. The anchors that those
arrivals gave are learned anew, and each of their measurements is dated as if it had arrived just then.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select, true, tuple_, union

from collector.ledger.clock.boots import Boots, Clocks
from collector.ledger.clock.redating import RedatedSite, new_time, redated_site, write_times
from collector.ledger.keys import RowKeys
from collector.ledger.read.terms import NamesByKey
from collector.ledger.schema import tables as schema
from collector.ledger.schema.layout import Word
from collector.ledger.schema.values import VALUES
from collector.ledger.transaction import LedgerTransaction
from collector.model.clock_steps import ArrivalClock, Era
from collector.model.message import Accepted, Arrival, Batch
from wire.messages.envelope import MAX_RECORDS, SCHEMA, Envelope
from wire.records import (
    ClockMeasurement,
    ClockReading,
    ClockValues,
    Outcome,
    Purpose,
    Record,
    UnknownMeasurement,
)

PORTION = 300  # rows a transaction, some ten milliseconds
SITES = 20  # reported to views in a transaction

_m, _b, _e, _j = schema.measurements.c, schema.batches.c, schema.clock_eras.c, schema.arrival_redatings.c
_clock = VALUES["clock"]
_boot, _sent_boot = schema.names.alias(), schema.names.alias()
_ROWS: Select[Any] = (
    select(
        *(_m[name] for name in ("key", "seq", "batch_key", "time_us", "clock_offset_us", "boot_us")),
        *(_m.synchronised, _m.max_error_us, _boot.c.name.label("boot")),
        *(_b[name] for name in ("received_us", "sent_wall_us", "sent_boot_us", "sent_synchronised")),
        *(_b.site_key, _b.sent_max_error_us, schema.sites.c.site_id, _sent_boot.c.name.label("sent_boot")),
        *(column.label(f"v_{column.name}") for column in _clock.table.c),
    )
    .select_from(
        schema.measurements.join(schema.batches, _b.key == _m.batch_key)
        .join(schema.sites, schema.sites.c.key == _b.site_key)
        .join(_boot, _boot.c.key == _m.boot_key)
        .join(_sent_boot, _sent_boot.c.key == _b.sent_boot_key)
        .outerjoin(_clock.table, _clock.table.c.measurement_key == _m.key)
    )
    .order_by(_m.key)
)
_first_batch = (
    select(_m.batch_key).where(_m.key > bindparam("after")).order_by(_m.key).limit(1).scalar_subquery()
)
_PORTION = _ROWS.where(_m.key > bindparam("after"), _m.key <= bindparam("last")).limit(PORTION)
_REST_OF_BATCH = _ROWS.where(
    _m.key > bindparam("after"), _m.key <= bindparam("last"), _m.batch_key == bindparam("batch")
)
_JOB = select(schema.arrival_redatings).order_by(_j.key).limit(1)
# At once: a wrong anchor would date what arrives meanwhile. Re-dating learns the anchors anew.
_MISLED = tuple_(schema.boots.c.site_key, schema.boots.c.boot_key).in_(
    union(
        select(_b.site_key, _b.sent_boot_key).where(_b.key >= _first_batch),
        select(schema.series.c.site_key, _m.boot_key)
        .join(schema.series, schema.series.c.key == _m.series_key)
        .where(_m.key > bindparam("after"), _m.synchronised.is_(False)),
    )
)
_NO_ANCHOR = {"offset_us": None, "error_us": None, "at_us": None, "source_key": None, "redated": False}


def held_clock(connection: Connection) -> ArrivalClock | None:
    """The collector's clock as the ledger has it, or None in a new ledger."""
    query = select(schema.clock_eras, schema.names.c.name.label("boot")).join(
        schema.names, schema.names.c.key == _e.boot_key
    )
    rows = connection.execute(query.order_by(_e.key)).all()
    present = [place for place, row in enumerate(rows) if row.present]
    dating = [place for place, row in enumerate(rows) if row.first_key is not None]
    if not present or not dating:
        return None
    eras = tuple(Era(row.offset_us, row.lasted_us, row.left_us, row.synchronised) for row in rows)
    return ArrivalClock(rows[0].boot, eras, present[0], dating[0])


def keep_clock(
    transaction: LedgerTransaction, keys: RowKeys, clock: ArrivalClock, before: ArrivalClock | None
) -> int:
    """Write the clock; returns by how much arrivals of its boot are shifted, 0 unless another era dates them.

    Their re-dating begins with the next portions of :class:`ArrivalRedating`.
    """
    last_key: int = transaction.execute(select(func.max(_m.key))).scalar() or 0
    known = transaction.execute(select(_e.first_key).where(_e.first_key.is_not(None))).scalar()
    is_same_boot = before is not None and before.boot_id == clock.boot_id
    first_key = known if is_same_boot and known is not None else last_key + 1
    shift_us = 0
    if before is not None and is_same_boot and _is_taken_over(before, clock):
        shift_us = clock.offset_us - before.offset_us
        job = {"shift_us": shift_us, "after_key": first_key - 1, "last_key": last_key}
        transaction.insert_one(schema.arrival_redatings, job)
        transaction.change_where(schema.boots, _MISLED, {"after": first_key - 1}, _NO_ANCHOR)
    transaction.remove(schema.clock_eras, true())
    boot_key = keys.name(transaction, clock.boot_id)
    rows = [
        {
            "key": place + 1, "boot_key": boot_key, "offset_us": era.offset_us, "lasted_us": era.lasted_us,
            "left_us": era.left_us, "synchronised": era.synchronised, "present": place == clock.present,
            "first_key": first_key if place == clock.dating else None,
        }
        for place, era in enumerate(clock.eras)
    ]  # fmt: skip
    transaction.insert(schema.clock_eras, rows)
    return shift_us


def _is_taken_over(before: ArrivalClock, clock: ArrivalClock) -> bool:
    # An era has its offset from its last look, so what it slewed meanwhile is no change of the dating era.
    return before.dating != clock.dating and clock.present == clock.dating


class ArrivalRedating:
    """Re-dates in portions. After a failed transaction call :meth:`forget`: its work was undone."""

    def __init__(self, keys: RowKeys, known: Boots) -> None:
        self._keys = keys
        self._known = known
        self._unreported: dict[int, None] = {}  # sites with re-dated measurements that views do not know
        self._reported: dict[int, None] = {}  # those that the last transaction returned

    def forget(self) -> None:
        """Forget what the last transaction did. Changes of earlier ones are still to be reported."""
        self._reported.clear()

    def portion(
        self, transaction: LedgerTransaction, now_us: int | None = None
    ) -> tuple[list[RedatedSite], bool]:
        """Re-date a portion; returns sites that are done, and true if there is more to do."""
        connection = transaction.connection
        for site_key in self._reported:
            self._unreported.pop(site_key, None)
        self._reported.clear()
        job = connection.execute(_JOB).first()
        if job is None:
            return self._report(connection, now_us), len(self._unreported) > len(self._reported)
        rows = self._rows(connection, job)
        if rows:
            self._redate(transaction, rows, job.shift_us)
            done = {"after_key": rows[-1].key}
            transaction.change(schema.arrival_redatings, [job.key], lambda _: dict(done))
        else:
            transaction.remove(schema.arrival_redatings, _j.key == job.key)
        return [], True

    def _report(self, connection: Connection, now_us: int | None) -> list[RedatedSite]:
        self._reported = dict.fromkeys(list(self._unreported)[:SITES])
        return [redated_site(connection, site_key, now_us) for site_key in self._reported]

    def _rows(self, connection: Connection, job: Row[Any]) -> list[Row[Any]]:
        """Next rows of a job, the last batch whole."""
        rows = list(connection.execute(_PORTION, {"after": job.after_key, "last": job.last_key}).all())
        if len(rows) == PORTION:
            last = rows[-1]
            rest = {"after": last.key, "last": min(job.last_key, last.key + MAX_RECORDS)}
            rows += connection.execute(_REST_OF_BATCH, rest | {"batch": last.batch_key}).all()
        return rows

    def _redate(self, transaction: LedgerTransaction, rows: Sequence[Row[Any]], shift_us: int) -> None:
        clocks = Clocks(transaction, self._keys, self._known)
        word = NamesByKey(transaction.connection).__getitem__
        times, arrived = [], {}
        for batch_key, of_batch in groupby(rows, key=attrgetter("batch_key")):
            held = list(of_batch)
            records = [_record(row, word) for row in held]
            batch = _batch(held[0], records, shift_us)
            clocks.learn(batch)
            times += [
                new_time(row.key, clocks.place(batch, one)) for row, one in zip(held, records, strict=True)
            ]
            arrived[batch_key] = batch.arrival.received_us
            self._unreported[held[0].site_key] = None
        clocks.write()
        write_times(transaction, times)
        transaction.change(schema.batches, arrived, lambda row: {"received_us": arrived[row["key"]]})
        transaction.change(schema.payloads, arrived, lambda row: {"received_us": arrived[row["batch_key"]]})


def _batch(row: Row[Any], records: Sequence[Record], shift_us: int) -> Batch:
    """Batch of a row as it would have arrived by the right clock: what the clocks of its site told."""
    sent = ClockReading(
        wall_us=row.sent_wall_us, boot_us=row.sent_boot_us, boot_id=row.sent_boot,
        synchronised=row.sent_synchronised, max_error_us=row.sent_max_error_us,
    )  # fmt: skip
    envelope = Envelope(schema=SCHEMA, sender=row.site_id, program="", sent=sent, marks=(), records=())
    arrival = Arrival("", b"", max(0, row.received_us + shift_us))
    return Batch(arrival, row.site_id, envelope, "", tuple(Accepted(one, b"") for one in records))


def _record(row: Row[Any], word: Word) -> Record:
    """Measurement of a row, as far as it tells anything of clocks."""
    start = ClockReading(
        wall_us=max(0, row.time_us + row.clock_offset_us), boot_us=row.boot_us, boot_id=row.boot,
        synchronised=row.synchronised, max_error_us=row.max_error_us,
    )  # fmt: skip
    common: dict[str, Any] = {
        "epoch": "", "seq": row.seq, "peer": "", "start": start, "duration_us": 0, "outcome": Outcome.OK
    }  # fmt: skip
    if row.v_measurement_key is None:
        return UnknownMeasurement(**common, probe="", purpose="")
    values = ClockValues(**_clock.layout.fields(row._mapping, word, "v_"))
    return ClockMeasurement(**common, purpose=Purpose.EVENT, values=values)
