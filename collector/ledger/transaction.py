"""Transaction that writes to the ledger: rows with their digests, and the tables' sums.

Every row is written, changed and removed here, so that none is without its digest and no sum is forgotten.
Reading needs none of this and takes the ``connection``.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Table,
    Update,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from collector.ledger.schema.digests import SUM_MASK, AnyRow, digested_tables, row_digest_of, with_digest
from collector.ledger.schema.layout import ROW_DIGEST, Row
from collector.ledger.schema.tables import table_sums

_CHUNK = 500  # bound parameters of one query
_s = table_sums.c
_ADD = (
    update(table_sums)
    .where(_s.table == bindparam("name"))
    .values(rows=_s.rows + bindparam("more"), digests=(_s.digests + bindparam("sum")).bitwise_and(SUM_MASK))
)


@dataclass(slots=True)
class _Change:
    rows: int = 0
    digests: int = 0


class LedgerTransaction:
    """One transaction of a connection that is inside one. Call :meth:`finish` before it is committed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.execute = connection.execute  # for queries
        self._next_key: dict[str, int] = {}
        self._changes: dict[str, _Change] = defaultdict(_Change)

    def new_key(self, table: Table) -> int:
        """Next key of a table."""
        # Keys are given here and not by the database: they are part of the digest.
        if table.name not in self._next_key:
            last: int | None = self.execute(select(func.max(table.c.key))).scalar()
            self._next_key[table.name] = (last or 0) + 1
        key = self._next_key[table.name]
        self._next_key[table.name] = key + 1
        return key

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert rows that have every column but their digest."""
        if not rows:
            return
        change = self._changes[table.name]
        change.rows += len(rows)
        change.digests += sum(with_digest(table, row)[ROW_DIGEST] for row in rows)
        # Rows that the driver binds itself cost a third of the time.
        self.connection.exec_driver_sql(_insert(table, self.connection.dialect.name), list(rows))

    def insert_one(self, table: Table, row: Row) -> int:
        """Insert a row, of which optional columns may be missing; returns the key that it gets."""
        key = self.new_key(table)
        self.insert(table, [{column.name: None for column in _given(table)} | row | {"key": key}])
        return key

    def change(self, table: Table, keys: Iterable[int], new: Callable[[AnyRow], Row]) -> None:
        """Change the rows with these keys: ``new`` returns the changed columns of a row, always the same."""
        primary = table.primary_key.columns[0]
        digest, change = row_digest_of(table), self._changes[table.name]
        for chunk in _chunks(keys):
            changed: list[Row] = []
            for found in self.execute(select(table).where(primary.in_(chunk))).mappings():
                row = dict(found)
                values = new(row)
                values[ROW_DIGEST] = digest(row | values)
                change.digests += values[ROW_DIGEST] - row[ROW_DIGEST]
                changed.append({_new(name): value for name, value in values.items()})
                changed[-1]["of"] = row[primary.name]
            if changed:
                self.execute(_update(table, tuple(values)), changed)

    def change_where(
        self, table: Table, where: ColumnElement[bool], parameters: Mapping[str, Any], values: Row
    ) -> None:
        """Give all rows that match the same values."""
        keys = self.execute(select(table.primary_key.columns[0]).where(where), parameters).scalars().all()
        self.change(table, keys, lambda _: dict(values))

    def remove(
        self, table: Table, where: ColumnElement[bool], parameters: Mapping[str, Any] | None = None
    ) -> int:
        """Remove the rows that match; returns their number."""
        digests = self.execute(select(table.c[ROW_DIGEST]).where(where), parameters).scalars().all()
        if digests:
            self.execute(delete(table).where(where), parameters)
            change = self._changes[table.name]
            change.rows -= len(digests)
            change.digests -= sum(digests)
        return len(digests)

    def finish(self) -> None:
        """Write the sums of the tables that were changed."""
        added = [
            {"name": name, "more": change.rows, "sum": change.digests & SUM_MASK}
            for name, change in self._changes.items()
            if change.rows or change.digests
        ]
        if added:
            self.execute(_ADD, added)
        self._changes.clear()


def begin_sums(connection: Connection, tables: Iterable[Table] | None = None) -> None:
    """Make the sums of new tables, which are empty."""
    rows = [{"table": one.name, "rows": 0, "digests": 0} for one in tables or digested_tables()]
    connection.execute(table_sums.insert(), rows)


def _given(table: Table) -> Iterator[Any]:
    return (column for column in table.columns if column.name != ROW_DIGEST)


def _chunks(keys: Iterable[int]) -> Iterator[list[int]]:
    left = iter(keys)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk


@cache
def _insert(table: Table, dialect: str) -> str:
    of: Dialect = postgresql.dialect() if dialect == "postgresql" else sqlite.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    return str(table.insert().compile(dialect=of))


def _new(column: str) -> str:
    return f"new_{column}"


@cache
def _update(table: Table, columns: tuple[str, ...]) -> Update:
    new: dict[str, Any] = {name: bindparam(_new(name)) for name in columns}
    return update(table).where(table.primary_key.columns[0] == bindparam("of")).values(new)
