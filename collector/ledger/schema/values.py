"""Tables of the values of each kind, made from the structs of its record, and their rows.

``<kind>_values`` has one row a measurement, ``<kind>_<field>`` one row an item of a field that is a tuple of
structs. A raw series within such an item is itself a tuple of structs. It stands compressed in a table of its
own: it is large, and few items have one.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Boolean, Column, LargeBinary, SmallInteger, Table

from collector.kinds import KINDS
from collector.kinds.kind import MeasurementKind
from collector.ledger.schema.layout import Layout, NameKey, Row, digested_table, key
from wire.records import Record, UnknownMeasurement, Values, probe_of

Tables = dict[str, list[Row]]


class PartTables:
    """Tables of one field that is a tuple of structs."""

    def __init__(self, kind: str, field: str, item: type[Struct]) -> None:
        self.layout: Layout[Any] = Layout(item)
        ordinal = Column("ordinal", SmallInteger, primary_key=True)
        self.table = digested_table(
            f"{kind}_{field}",
            key("measurement_key"),
            ordinal,
            *self.layout.columns(),
            sqlite_with_rowid=False,
        )
        self.series = {name: _series_table(kind, name) for name in self.layout.parts}

    def rows(self, own: Row, items: Sequence[Struct], name_key: NameKey) -> Tables:
        """Rows of the items of one measurement; ``own`` are its key columns."""
        placed = [own | {"ordinal": number} for number in range(len(items))]
        found = {
            self.table.name: [
                place | self.layout.row(item, name_key) for place, item in zip(placed, items, strict=True)
            ]
        }
        for field, table in self.series.items():
            found[table.name] = [
                place | {"zlib": zlib.compress(msgspec.json.encode(series))}
                for place, item in zip(placed, items, strict=True)
                if (series := getattr(item, field))
            ]
        return found


class ValueTables:
    """Tables of one kind of measurement."""

    def __init__(self, kind: MeasurementKind[Any]) -> None:
        self.kind = kind
        self.layout: Layout[Any] = Layout(kind.values)
        self.table = digested_table(f"{kind.name}_values", key("measurement_key"), *self.layout.columns())
        self.parts = {field: PartTables(kind.name, field, item) for field, item in self.layout.parts.items()}

    def rows(self, own: Row, values: Values, name_key: NameKey) -> Tables:
        """Rows of one measurement's values; ``own`` are its key columns."""
        found: Tables = {self.table.name: [own | self.layout.row(values, name_key)]}
        for field, part in self.parts.items():
            found |= part.rows(own, getattr(values, field), name_key)
        return found

    def tables(self) -> Iterable[Table]:
        """All of them."""
        yield self.table
        for part in self.parts.values():
            yield part.table
            yield from part.series.values()


def _series_table(kind: str, field: str) -> Table:
    ordinal = Column("ordinal", SmallInteger, primary_key=True)
    packed = Column("zlib", LargeBinary, nullable=False)
    return digested_table(f"{kind}_{field}", key("measurement_key"), ordinal, packed)


VALUES = {kind.name: ValueTables(kind) for kind in KINDS}

# Values of a kind that this version does not know, whole, for the version that does.
# ``known_now``: a later version knows its kind and has its values in their own tables, too.
unknown_values = digested_table(
    "unknown_values",
    key("measurement_key"),
    Column("json", LargeBinary, nullable=False),
    Column("known_now", Boolean, nullable=False),
)


def value_rows(key: int, record: Record, raw: bytes, name_key: NameKey) -> Tables:
    """Rows of the probe's own tables, by table name; a record without such tables is kept whole."""
    own = {"measurement_key": key}
    if not isinstance(record, UnknownMeasurement):
        if record.values is None:
            return {}
        if (tables := VALUES.get(probe_of(record))) is not None:
            return tables.rows(own, record.values, name_key)
    return {unknown_values.name: [own | {"json": raw, "known_now": False}]}
