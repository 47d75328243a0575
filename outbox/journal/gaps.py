"""Declared gaps: records that are lost for good, until a receipt names them and a week beyond.

Functions over one connection; whoever calls them owns the transaction. All may raise sqlite3.Error.
"""

import sqlite3
from collections.abc import Iterable

import msgspec

from outbox.journal import schema
from wire.messages.envelope import EpochRange, Gap, GapReason
from wire.records import Micros

_REASONS = {reason.encode(): reason for reason in GapReason}


def unnamed(connection: sqlite3.Connection, limit: int) -> list[Gap]:
    """Gaps that no receipt has named, oldest first.

    One whose reason alone does not read becomes ``damaged``. What else does not read raises as other damage
    does: no collector would accept it.
    """
    # As bytes: text that is not UTF-8 would raise before anything can be made of it.
    found = connection.execute(
        "SELECT rowid, CAST(epoch AS BLOB), first, last, CAST(reason AS BLOB), at_us FROM gap"
        " WHERE NOT named ORDER BY rowid LIMIT ?",
        (limit,),
    ).fetchall()
    return [_gap(connection, *columns) for columns in found]


def _gap(
    connection: sqlite3.Connection, rowid: int, epoch: bytes, first: int, last: int, word: bytes, at_us: int
) -> Gap:
    broken = schema.damaged("a gap is not what was written")
    try:
        found = msgspec.convert({"epoch": epoch.decode(), "first": first, "last": last}, EpochRange)
        at_us = msgspec.convert(max(0, at_us), Micros)
    except (msgspec.ValidationError, UnicodeDecodeError, TypeError):
        raise broken from None
    if found.last < found.first:
        raise broken
    reason = _REASONS.get(word)
    if reason is None:
        reason = GapReason.DAMAGED
        connection.execute("UPDATE gap SET reason = ? WHERE rowid = ?", (reason, rowid))
    return Gap(epoch=found.epoch, first=found.first, last=found.last, reason=reason, at_us=at_us)


def declare(
    connection: sqlite3.Connection, epoch: str, first: int, last: int, reason: GapReason, at_us: int
) -> None:
    """Declare records lost; neighbours of the same reason that no receipt has named become one gap."""
    neighbours = connection.execute(
        "SELECT rowid, first, last FROM gap WHERE epoch = ? AND reason = ? AND NOT named"
        " AND first <= ? AND last >= ?",
        (epoch, reason, last + 1, first - 1),
    ).fetchall()
    for rowid, low, high in neighbours:
        first, last = min(first, low), max(last, high)
        connection.execute("DELETE FROM gap WHERE rowid = ?", (rowid,))
    _insert(connection, epoch, first, last, reason, at_us)


def name(connection: sqlite3.Connection, ranges: Iterable[EpochRange], named_us: int | None) -> None:
    """A receipt names these. The part of a gap that has grown since remains unnamed."""
    for one in ranges:
        found = connection.execute(
            "SELECT rowid, first, last, reason, at_us FROM gap"
            " WHERE epoch = ? AND NOT named AND first <= ? AND last >= ?",
            (one.epoch, one.last, one.first),
        ).fetchall()
        for rowid, first, last, reason, at_us in found:
            low, high = max(first, one.first), min(last, one.last)
            connection.execute(
                "UPDATE gap SET first = ?, last = ?, named = 1, named_us = ? WHERE rowid = ?",
                (low, high, named_us, rowid),
            )
            if first < low:
                _insert(connection, one.epoch, first, low - 1, reason, at_us)
            if high < last:
                _insert(connection, one.epoch, high + 1, last, reason, at_us)


def forget_names(connection: sqlite3.Connection, since_us: int) -> None:
    """Forget what receipts named since then, or at an unknown time."""
    connection.execute(
        "UPDATE gap SET named = 0, named_us = NULL WHERE named AND (named_us IS NULL OR named_us >= ?)",
        (since_us,),
    )


def forget_names_in(connection: sqlite3.Connection, one: EpochRange) -> None:
    """Forget what receipts named of gaps that overlap a range."""
    connection.execute(
        "UPDATE gap SET named = 0, named_us = NULL WHERE named AND epoch = ? AND first <= ? AND last >= ?",
        (one.epoch, one.last, one.first),
    )


def transfer(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Write the gaps of ``source`` to ``target`` as well."""
    found = source.execute(
        "SELECT epoch, first, last, reason, at_us, named, named_us FROM gap ORDER BY rowid"
    )
    for epoch, first, last, reason, at_us, is_named, named_us in found:
        declare(target, epoch, first, last, GapReason(reason), at_us)
        if is_named:
            name(target, [EpochRange(epoch=epoch, first=first, last=last)], named_us)


def _insert(
    connection: sqlite3.Connection, epoch: str, first: int, last: int, reason: str, at_us: int
) -> None:
    connection.execute(
        "INSERT INTO gap (epoch, first, last, reason, at_us) VALUES (?, ?, ?, ?, ?)",
        (epoch, first, last, reason, at_us),
    )
