"""Contents of the ledger, checked against their digests (:mod:`collector.ledger.schema.digests`).

Measurements are read in the order of their batches, some batches at a time. Rows of the other tables follow
in the order of their keys. A check may go on for days beside the writer, one transaction a portion. The sums
of the tables need one transaction for all.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Integer,
    Table,
    bindparam,
    func,
    select,
    type_coerce,
)

from collector.ledger.schema import tables as schema
from collector.ledger.schema.digests import (
    NO_CHAIN,
    SUM_MASK,
    AnyRow,
    BatchChain,
    digested_tables,
    record_digest,
    row_digest_of,
    value_tables,
)
from collector.ledger.schema.layout import ROW_DIGEST

BATCHES = 200  # a portion, some ten milliseconds
ROWS = 2000

_b, _m, _s = schema.batches.c, schema.measurements.c, schema.sites.c
_BEFORE = select(_b.chain).where(_b.site_key == bindparam("site"), _b.number == bindparam("number"))
_NEWEST = select(func.max(_b.key))

_TRUTHS = {0: False, 1: True}

Rows = dict[int, dict[str, list[dict[str, Any]]]]
"""Value rows by measurement and table."""


class ContentsCheck:
    """Check of rows and batches, a portion at a time.

    ``after_key``: the last batch that was checked. ``rows`` is the number of rows read so far.
    """

    def __init__(self, after_key: int = 0) -> None:
        self.after_key = after_key
        self.rows = 0
        self._sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._before: dict[int, tuple[int, bytes]] = {}  # number and chain of each site's last batch

    def batches(self, connection: Connection) -> list[str] | None:
        """Check the next batches with their records; returns what is wrong, or None after the last one."""
        batches = _read(connection, schema.batches, _b.key > self.after_key, limit=BATCHES)
        if not batches:
            return None
        self.after_key = batches[-1]["key"]
        found = [*self._altered(schema.batches, batches)]
        # A range that a turned bit made wide would be read for hours.
        sound = [one for one in batches if row_digest_of(schema.batches)(one) == one[ROW_DIGEST]]
        first = min((one["first_key"] for one in sound), default=1)
        last = max((one["first_key"] + one["records"] - 1 for one in sound), default=0)
        measurements = _read(connection, schema.measurements, _m.key.between(first, last))
        found += self._altered(schema.measurements, measurements)
        values: Rows = defaultdict(lambda: defaultdict(list))
        for table in value_tables():
            held = _read(connection, table, table.c.measurement_key.between(first, last))
            found += self._altered(table, held)
            for row in held:
                values[row["measurement_key"]][table.name].append(row)
        by_key = {row["key"]: row for row in measurements}
        for batch in sound:
            found += self._of_batch(connection, batch, by_key, values)
        return found

    def table(self, connection: Connection, table: Table, after: int | None) -> tuple[list[str], int | None]:
        """Check the next rows of a table; returns what is wrong, and the key to go on after, or None."""
        primary = table.primary_key.columns[0]
        later = () if after is None else (primary > after,)
        rows = _read(connection, table, *later, limit=ROWS)
        found = [*self._altered(table, rows)]
        return found, rows[-1][primary.name] if len(rows) == ROWS else None

    def sums(self, connection: Connection) -> Iterator[str]:
        """Tables of which rows were removed, added, or altered with their digests; after all was checked."""
        held = {row.table: row for row in connection.execute(select(schema.table_sums))}
        for table in digested_tables():
            rows, digests = self._sums[table.name]
            told = held.get(table.name)
            if told is None:
                yield f"table {table.name}: its sum is missing"
            elif told.rows != rows:
                yield f"table {table.name}: {told.rows} rows were written, {rows} are there"
            elif told.digests != digests:
                yield f"table {table.name}: a row was altered together with its digest"

    def heads(self, connection: Connection) -> Iterator[str]:
        """Sites whose newest batches are missing, or not those that they had; after all batches."""
        for site in connection.execute(select(_s.key, _s.site_id, _s.batches, _s.chain)):
            number, chain = self._before.get(site.key, (0, NO_CHAIN))
            if number != site.batches:
                yield f"site {site.site_id}: {site.batches} batches were written, the newest is {number}"
            elif chain != site.chain:
                yield f"site {site.site_id}: batch {number}, its newest, is not the one that was written"

    def _altered(self, table: Table, rows: Iterable[AnyRow]) -> Iterator[str]:
        digest, total = row_digest_of(table), self._sums[table.name]
        primary = [column.name for column in table.primary_key.columns]
        for row in rows:
            self.rows += 1
            total[0] += 1
            total[1] = total[1] + row[ROW_DIGEST] & SUM_MASK
            if digest(row) != row[ROW_DIGEST]:
                place = ", ".join(f"{name} {row[name]}" for name in primary)
                yield f"table {table.name}, {place}: the row was altered"

    def _of_batch(
        self, connection: Connection, batch: AnyRow, measurements: dict[int, dict[str, Any]], values: Rows
    ) -> Iterator[str]:
        keys = range(batch["first_key"], batch["first_key"] + batch["records"])
        held = [measurements[key] for key in keys if key in measurements]
        before = self._chain_before(connection, batch)
        if before is None:
            yield f"{_called(connection, batch)}: the batch before it is missing"
        else:
            chain = BatchChain(before)
            for row in held:
                chain.add(record_digest(row, values.get(row["key"], {})))
            if len(held) != batch["records"]:
                yield f"{_called(connection, batch)}: {len(held)} of its {batch['records']} records are there"
            elif chain.of(batch) != batch["chain"]:
                why = "a row of it was removed or altered, or the batch before it"
                yield f"{_called(connection, batch)}: not as it was received: {why}"
        self._before[batch["site_key"]] = batch["number"], batch["chain"]

    def _chain_before(self, connection: Connection, batch: AnyRow) -> bytes | None:
        if batch["number"] == 1:
            return NO_CHAIN
        number, chain = self._before.get(batch["site_key"], (0, NO_CHAIN))
        if batch["number"] == number + 1:
            return chain
        # The check began after the site's first batch, or goes backwards, or a batch is missing.
        place = {"site": batch["site_key"], "number": batch["number"] - 1}
        found: bytes | None = connection.execute(_BEFORE, place).scalar()
        return found


def newest_batch(connection: Connection) -> int:
    """Key of the newest batch, or 0."""
    found: int | None = connection.execute(_NEWEST).scalar()
    return found or 0


def other_tables() -> list[Table]:
    """Tables that do not belong to batches of measurements."""
    of_batches = {schema.batches, schema.measurements, *value_tables()}
    return [table for table in digested_tables() if table not in of_batches]


def _read(
    connection: Connection, table: Table, *where: ColumnElement[bool], limit: int | None = None
) -> list[dict[str, Any]]:
    """Rows in the order of their keys, as they are stored: in SQLite 1 and 3 are both true."""
    truths = [column.name for column in table.columns if isinstance(column.type, Boolean)]
    columns = (
        type_coerce(column, Integer).label(column.name) if column.name in truths else column
        for column in table.columns
    )
    query = select(*columns).where(*where).order_by(*table.primary_key.columns).limit(limit)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    for row in rows:
        for name in truths:
            row[name] = _TRUTHS.get(row[name], row[name])
    return rows


def _called(connection: Connection, batch: AnyRow) -> str:
    site: str | None = connection.execute(select(_s.site_id).where(_s.key == batch["site_key"])).scalar()
    try:
        received = datetime.fromtimestamp(batch["received_us"] // 1_000_000, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        received = "at no possible time"
    return f"site {site or 'unknown'}, batch {batch['number']} (received {received})"
