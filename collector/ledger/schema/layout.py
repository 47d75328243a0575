"""Layout of a struct in a table: its columns, its row, and the struct read back.

========================  ============================================================
field                     stands as
========================  ============================================================
number, truth, text       a column of its name
word of a vocabulary      ``<field>_key``, a key into ``names``
struct                    its fields, each in a column ``<field>_<its field>``
tuple of numbers, texts   a column of its name, JSON text
tuple of structs          a table of its own: see :mod:`collector.ledger.schema.values`
========================  ============================================================

A column may be NULL where its field may be absent. A struct with a field that fits no line of the table
cannot be declared: making its layout raises TypeError.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import NoneType
from typing import Annotated, Any, Generic, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    MetaData,
    RowMapping,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.schema import SchemaItem

Row = dict[str, Any]
NameKey = Callable[[str], int]
Word = Callable[[int], str]

Placed = TypeVar("Placed", bound=Struct)

metadata = MetaData()
# SQLite makes only a column of type INTEGER the row's own number; elsewhere it must hold 64 bits.
KEY = BigInteger().with_variant(Integer(), "sqlite")


def key(name: str = "key") -> Column[int]:
    """A table's own key."""
    return Column(name, KEY, primary_key=True)


ROW_DIGEST = "row_digest"


def digested_table(name: str, *items: SchemaItem, **options: Any) -> Table:
    """Make a table whose rows carry a digest of their other columns (``collector.ledger.schema.digests``)."""
    return Table(name, metadata, *items, Column(ROW_DIGEST, BigInteger, nullable=False), **options)


class FieldType(NamedTuple):
    """A field's type without its wrappings. ``most`` is the greatest number that it may hold."""

    type: Any
    optional: bool
    most: float | None


def field_type(hint: Any) -> FieldType:
    """A field's type behind ``Annotated`` and ``| None``."""
    optional, most = False, None
    while True:
        if get_origin(hint) is Annotated:
            hint, *metas = get_args(hint)
            most = next((meta.le for meta in metas if isinstance(meta, Meta)), most)
        elif NoneType in get_args(hint) and len(get_args(hint)) == 2:
            hint, optional = next(part for part in get_args(hint) if part is not NoneType), True
        else:
            return FieldType(hint, optional, most)


def items_of(hint: Any) -> type | None:
    """The type of a tuple's items, or None for what is no tuple."""
    found = field_type(hint).type
    return field_type(get_args(found)[0]).type if get_origin(found) is tuple else None


class Layout(Generic[Placed]):
    """One struct in one table, or a struct in a struct under ``prefix``. ``apart`` are fields left out.

    ``parts`` are its tuples of structs, by field, with the type of their items.
    """

    def __init__(
        self, struct: type[Placed], *, apart: frozenset[str] = frozenset(), prefix: str = ""
    ) -> None:
        self.struct = struct
        self.parts: dict[str, type[Struct]] = {}
        self._types: dict[str, tuple[Any, bool]] = {}  # by column: its SQL type, and whether it may be NULL
        self._plain: dict[str, str] = {}  # field by column
        self._words: dict[str, type[StrEnum]] = {}
        self._lists: dict[str, Any] = {}
        self._nested: dict[str, Layout[Any]] = {}
        self._prefix = prefix
        for field, hint in get_type_hints(struct, include_extras=True).items():
            if field not in apart:
                self._place(field, hint)
        self._nothing: Row = dict.fromkeys(self._types)

    def _place(self, field: str, hint: Any) -> None:
        found, column = field_type(hint), self._prefix + field
        item = items_of(hint)
        if isinstance(item, type) and issubclass(item, Struct):
            self.parts[field] = item
        elif item is not None:
            self._lists[field] = found.type
            self._types[column] = (Text, True)
        elif not isinstance(found.type, type):
            raise TypeError(f"{self.struct.__name__}.{field}: no column holds a {found.type}")
        elif issubclass(found.type, StrEnum):
            self._words[field] = found.type
            self._types[f"{column}_key"] = (BigInteger, found.optional)
        elif issubclass(found.type, Struct):
            inner = self._nested[field] = Layout(found.type, prefix=f"{column}_")
            if inner.parts:
                raise TypeError(
                    f"{self.struct.__name__}.{field}: within a struct no tuple of structs has a place"
                )
            self._types |= {
                name: (kind, optional or found.optional) for name, (kind, optional) in inner._types.items()
            }
        else:
            self._plain[column] = field
            self._types[column] = (_sql_type(found, f"{self.struct.__name__}.{field}"), found.optional)

    def columns(self) -> list[Column[Any]]:
        """New columns for a table."""
        return [Column(name, kind, nullable=optional) for name, (kind, optional) in self._types.items()]

    def row(self, found: Placed, name_key: NameKey) -> Row:
        """The columns that hold ``found``."""
        row = {column: getattr(found, field) for column, field in self._plain.items()}
        for field in self._words:
            word = getattr(found, field)
            row[f"{self._prefix}{field}_key"] = None if word is None else name_key(word)
        for field in self._lists:
            items = getattr(found, field)
            row[self._prefix + field] = msgspec.json.encode(items).decode() if items else None
        for field, layout in self._nested.items():
            inner = getattr(found, field)
            row |= layout._nothing if inner is None else layout.row(inner, name_key)
        return row

    def fields(self, row: Mapping[str, Any] | RowMapping, word: Word, label: str = "") -> Row:
        """Arguments of the struct, read from a row. ``label`` precedes the names of the columns.

        Raises ValueError for an unknown word.
        """
        place = label + self._prefix
        found = {field: row[label + column] for column, field in self._plain.items()}
        for field, words in self._words.items():
            key = row[f"{place}{field}_key"]
            # An older version wrote no word: the struct's default holds.
            if key is not None:
                found[field] = words(word(key))
        for field, kind in self._lists.items():
            text = row[place + field]
            found[field] = msgspec.json.decode(text, type=kind) if text else ()
        for field, layout in self._nested.items():
            given = any(row[label + column] is not None for column in layout._types)
            found[field] = layout.struct(**layout.fields(row, word, label)) if given else None
        return found


def _sql_type(found: FieldType, place: str) -> Any:
    if found.type is bool:
        return Boolean
    if found.type is int:
        most = found.most if found.most is not None else 2**63
        return SmallInteger if most < 2**15 else Integer if most < 2**31 else BigInteger
    if found.type is float:
        return Float
    if found.type is str:
        return Text
    raise TypeError(f"{place}: no column holds a {found.type}")
