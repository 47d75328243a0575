"""Salvage of a damaged journal: records it still has, and gaps for those it lacks.

Rows are read by SQL around the damage, and count if their checksum is right. What an epoch lacks of all that
may have waited for a receipt is a gap. In doubt a row waits again: the collector, which may have it, says so.
"""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from outbox.journal import gaps, schema
from outbox.journal.heartbeat import Reach
from outbox.journal.store import Store
from outbox.rows import without
from wire.messages.envelope import GapReason

log = logging.getLogger(__name__)

_AT_ONCE = 500
_FIRST = -1_000_000  # smaller than every row number
_LONGEST_STEP = 2**60
_UNREADABLE = (sqlite3.Error, UnicodeDecodeError, OverflowError)

_INSERTS = {
    "record": "INSERT INTO record (position, epoch, seq, state, drop_order, judged_us, schedule, slot_us,"
    " resume_key, record) VALUES (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
    "epoch": "INSERT INTO epoch (rowid, epoch, previous, previous_last, last_seq, resolved, opened_us,"
    " newest, closed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
    "gap": "INSERT INTO gap (epoch, first, last, reason, at_us, named, named_us)"
    " VALUES (?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    "fact": "INSERT INTO fact (name, value) VALUES (?2, ?3) ON CONFLICT DO NOTHING",
}
_COVERED = (
    "SELECT seq, seq FROM record WHERE epoch = ? UNION ALL SELECT first, last FROM gap WHERE epoch = ?"
    " ORDER BY 1"
)
# An epoch whose own row is lost is known by what is left of it. It was not the newest, or it stands in the
# heartbeat, or it has the newest record.
_UNKNOWN = (
    "INSERT INTO epoch (rowid, epoch, last_seq, opened_us, newest)"
    " SELECT (SELECT coalesce(min(rowid), 0) FROM epoch) - row_number() OVER (), epoch, 0, ?, ''"
    " FROM (SELECT epoch FROM record UNION SELECT epoch FROM gap)"
    " WHERE epoch NOT IN (SELECT epoch FROM epoch)"
)
_EXTENT = (
    "max(last_seq, coalesce((SELECT max(seq) FROM record WHERE record.epoch = epoch.epoch), 0),"
    " coalesce((SELECT max(last) FROM gap WHERE gap.epoch = epoch.epoch), 0))"
)
_NEWEST = "UPDATE epoch SET rowid = (SELECT max(rowid) + 1 FROM epoch) WHERE epoch = ?"


def rows_of(connection: sqlite3.Connection, table: str) -> Iterator[tuple[object, ...]]:
    """Row number and columns of every row that is what was written, as far as SQLite can read them."""
    columns = schema.COLUMNS[table]
    query = (
        f"SELECT rowid, {columns}, checksum IS checksum('{table}', {columns}) FROM {table} NOT INDEXED"  # noqa: S608 -- stand above
        # NOT INDEXED: an index may be damaged where its table is not.
        " WHERE rowid > ? ORDER BY rowid"
    )
    last: int | None = _FIRST
    while last is not None:
        try:
            for *row, sound in connection.execute(query, (last,)):
                if row[0] <= last:
                    raise schema.damaged("rows are out of order")
                last = row[0]
                if sound:
                    yield tuple(row)
            return
        except _UNREADABLE:
            last = _beyond_damage(connection, query, last)


def _beyond_damage(connection: sqlite3.Connection, query: str, last: int) -> int | None:
    """The row number behind which rows can be read again; None if there is none."""

    def reads(number: int) -> bool:
        try:
            next(connection.execute(query, (number,)), None)
        except _UNREADABLE:
            return False
        return True

    # Doubled steps cross a damaged stretch of any length in 60 reads; halving then finds its end.
    low, step = last, 1
    while not reads(last + step):
        low, step = last + step, 2 * step
        if step > _LONGEST_STEP:
            return None
    high = last + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reads(middle) else (middle, high)
    return high


def salvage(broken: Path, store: Store, known: Sequence[Reach], now_us: int) -> None:
    """Take over what a damaged journal still has; the rest, up to what is ``known``, is declared lost.

    Raises sqlite3.Error if the fresh journal takes nothing.
    """
    try:
        with closing(sqlite3.connect(broken, isolation_level=None)) as connection:
            schema.teach(connection)
            for table in schema.COLUMNS:
                _take(table, rows_of(connection, table), store)
    except _UNREADABLE as error:
        log.error("%s: cannot read it (%s)", broken, error)
    with store.transaction():
        lost = declare_rest(store, known, now_us)
    held = store.connection.execute("SELECT count(*) FROM record").fetchone()[0]
    log.error("%s: copied %d records; %d are lost and declared", broken.name, held, lost)


def declare_rest(store: Store, known: Sequence[Reach], now_us: int) -> int:
    """Declare lost the records that an epoch lacks beyond ``resolved``, in the caller's transaction."""
    store.connection.execute(_UNKNOWN, (now_us,))
    store.connection.execute(f"UPDATE epoch SET last_seq = {_EXTENT} WHERE last_seq < {_EXTENT}")  # noqa: S608 -- stands above
    extend(store, known, now_us)
    epochs = store.connection.execute("SELECT epoch, resolved, last_seq FROM epoch").fetchall()
    return sum(_declare(store, epoch, resolved + 1, last, now_us) for epoch, resolved, last in epochs)


def declare_beyond(store: Store, known: Sequence[Reach], now_us: int) -> int:
    """Declare lost what is ``known`` of epochs of which a sound journal knows less; returns how many.

    A write-ahead log that breaks off, an older copy put back, a file that is gone: what it has is whole.
    """
    marks = {mark.epoch: mark.high_water for mark in store.marks([reach.epoch for reach in known])}
    beyond = [reach for reach in known if reach.last > marks.get(reach.epoch, 0) or reach.epoch not in marks]
    if not beyond:
        return 0
    with store.transaction():
        extend(store, beyond, now_us)
        begins = [max(reach.resolved, marks.get(reach.epoch, 0)) + 1 for reach in beyond]
        lost = sum(
            _declare(store, reach.epoch, begin, reach.last, now_us)
            for reach, begin in zip(beyond, begins, strict=True)
        )
    if lost:
        log.error("the journal lacks %d records that were in it: they are lost and declared", lost)
    return lost


def extend(store: Store, known: Sequence[Reach], now_us: int) -> None:
    """Let the epochs of a heartbeat reach as far as it says, the first of them as the newest."""
    for reach in reversed(known):
        store.connection.execute(
            "INSERT INTO epoch (epoch, last_seq, resolved, opened_us, newest) VALUES (?1, ?2, ?3, ?4, '')"
            " ON CONFLICT (epoch) DO UPDATE SET last_seq = max(last_seq, ?2), resolved = max(resolved, ?3)",
            (reach.epoch, reach.last, reach.resolved, now_us),
        )
    newest = store.connection.execute("SELECT epoch FROM record ORDER BY position DESC LIMIT 1").fetchone()
    named = (known[0].epoch,) if known else newest
    if named is not None:
        store.connection.execute(_NEWEST, named)


def _declare(store: Store, epoch: str, first: int, last: int, now_us: int) -> int:
    covered = store.connection.execute(_COVERED, (epoch, epoch)).fetchall()
    lacking = without(first, last, covered)
    for low, high in lacking:
        gaps.declare(store.connection, epoch, low, high, GapReason.DAMAGED, now_us)
    return sum(high - low + 1 for low, high in lacking)


def _take(table: str, rows: Iterator[tuple[object, ...]], store: Store) -> None:
    """In transactions of a bounded size: a whole journal in one would double it on the disk."""
    while portion := list(islice(rows, _AT_ONCE)):
        with store.transaction():
            store.connection.executemany(_INSERTS[table], portion)
