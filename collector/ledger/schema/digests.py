"""Digests of rows, of records and of batches: what the ledger's contents are checked against. Pure.

| digest of | covers | kept in | shows |
|---|---|---|---|
| a row | all its columns | the row | that it was altered |
| a table | number of rows, sum of digests | ``table_sums`` | rows removed, or altered with their digest |
| a record | what never changes of its measurement, its values' digests | nowhere | |
| a batch | its columns, its records, the site's batch before | ``batches`` | the same, named to the batch |
| a site | its newest batch | ``sites`` | that newest batches were removed |

Re-dating changes the time of a measurement or of a batch. These columns are in a row's digest, but not in
that of a record or a batch: a chain is as its batches were received. Values that an older program kept as
JSON stay, so that their record's digest does.

Digests find damage and changes by hand. Who computes all of them anew, from the changed row to the site's
newest batch and the sums, is not found by them: docs/evidence.md.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from hashlib import blake2b
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Table

from collector.ledger.schema import tables
from collector.ledger.schema.layout import ROW_DIGEST, Row, metadata
from collector.ledger.schema.values import VALUES, unknown_values

SUM_BITS = 61  # the sum of two numbers stays within 64 bits, in every database
SUM_MASK = (1 << SUM_BITS) - 1
NO_CHAIN = b"\0" * 16
_REDATED = {
    tables.measurements.name: {"time_us", "clock_offset_us", "time_error_us", "ahead", "outdated"},
    tables.batches.name: {"received_us", "chain"},
}
_encode = msgspec.msgpack.Encoder().encode

AnyRow = Mapping[str, Any]


@cache
def _values_of(table: Table, *, unchanging: bool = False) -> Callable[[AnyRow], tuple[Any, ...]]:
    left_out = {ROW_DIGEST} | (_REDATED.get(table.name, set()) if unchanging else set())
    return itemgetter(*(column.name for column in table.columns if column.name not in left_out))


@cache
def row_digest_of(table: Table) -> Callable[[AnyRow], int]:
    """Function that computes the digest of a row of a table, 61 bits."""
    values, name = _values_of(table), table.name.encode()

    def digest(row: AnyRow) -> int:
        found = blake2b(_encode(values(row)), digest_size=8, key=name[:64]).digest()
        return int.from_bytes(found, "big") & SUM_MASK

    return digest


def value_tables() -> list[Table]:
    """Tables with values of measurements, in the order in which a record's digest has them."""
    known = [table for kind in VALUES.values() for table in kind.tables()]
    return sorted([*known, unknown_values], key=lambda table: table.name)


def record_digest(measurement: AnyRow, values: Mapping[str, Iterable[AnyRow]]) -> bytes:
    """Digest of a record, 16 bytes: of its measurement, and of the digests of its values by their table.

    ``values`` are in the order of their ordinals. A record that was kept as JSON is that JSON alone.
    """
    found = blake2b(_encode(_values_of(tables.measurements, unchanging=True)(measurement)), digest_size=16)
    if kept := list(values.get(unknown_values.name, ())):
        found.update(kept[0]["json"])
        return found.digest()
    for name in sorted(values):
        for row in values[name]:
            found.update(row[ROW_DIGEST].to_bytes(8, "big"))
    return found.digest()


class BatchChain:
    """Chain of a batch: begun with the chain before it, then given each record's digest in their order."""

    def __init__(self, before: bytes) -> None:
        self._found = blake2b(before, digest_size=16)

    def add(self, record: bytes) -> None:
        """Take the digest of the next record."""
        self._found.update(record)

    def of(self, batch: AnyRow) -> bytes:
        """Chain of the batch with these columns and the records that were added."""
        found = self._found.copy()
        found.update(_encode(_values_of(tables.batches, unchanging=True)(batch)))
        return found.digest()


def digested_tables() -> list[Table]:
    """All tables whose rows have digests."""
    return [table for table in metadata.sorted_tables if ROW_DIGEST in table.columns]


def with_digest(table: Table, row: Row) -> Row:
    """Row with its digest, in place; one that has its digest already stays as it is."""
    if ROW_DIGEST not in row:
        row[ROW_DIGEST] = row_digest_of(table)(row)
    return row
