"""How a struct of a record stands in a table: which field in which column, written and read by one rule.

A field stands in the column of its name; a word or name as a key into ``names``, in the column
``<field>_key``; a struct in a struct, field by field, in columns ``<field>_<its field>``.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from types import NoneType
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct
from sqlalchemy import RowMapping, Table

Row = dict[str, Any]
NameKey = Callable[[str], int]
Word = Callable[[int], str]

Kind = TypeVar("Kind", bound=Struct)


class Layout(Generic[Kind]):
    """One struct in one table. ``apart`` are the fields that stand elsewhere.

    ``unplaced`` are fields that should have a column and have none.
    """

    def __init__(self, kind: type[Kind], table: Table, *, apart: frozenset[str] = frozenset()) -> None:
        self.kind, self.table = kind, table
        self.unplaced: list[str] = []
        self._plain: list[str] = []
        self._words: dict[str, type[str]] = {}
        self._nested: dict[str, type[Struct]] = {}
        for field, hint in get_type_hints(kind).items():
            if field not in apart:
                self._place(field, hint)
        self._read_plain = _getter(self._plain)
        self._parts = [
            (field, tuple(_columns(field, inner).values()), _getter(list(_columns(field, inner))))
            for field, inner in self._nested.items()
        ]

    def _place(self, field: str, hint: Any) -> None:
        inner, columns = _told_type(hint), self.table.c
        if field in columns:
            self._plain.append(field)
        elif issubclass(inner, str) and f"{field}_key" in columns:
            self._words[field] = inner
        elif issubclass(inner, Struct) and all(name in columns for name in _columns(field, inner).values()):
            self._nested[field] = inner
        else:
            self.unplaced.append(field)

    def row(self, found: Kind, name_key: NameKey) -> Row:
        """The columns that hold ``found``."""
        row = dict(zip(self._plain, self._read_plain(found), strict=True))
        for field in self._words:
            word = getattr(found, field)
            row[f"{field}_key"] = None if word is None else name_key(word)
        for field, columns, read in self._parts:
            inner = getattr(found, field)
            row.update(zip(columns, read(inner), strict=True) if inner else dict.fromkeys(columns))
        return row

    def fields(self, row: Mapping[str, Any] | RowMapping, word: Word, prefix: str = "") -> Row:
        """What :meth:`row` wrote, as the struct's arguments. Raises ValueError for a word that is unknown."""
        found = {field: row[prefix + field] for field in self._plain}
        for field, words in self._words.items():
            key = row[f"{prefix}{field}_key"]
            # NULL where an older version wrote no word: the struct's own default holds
            if key is not None:
                found[field] = words(word(key))
        for field, inner in self._nested.items():
            parts = {name: row[prefix + column] for name, column in _columns(field, inner).items()}
            found[field] = inner(**parts) if any(part is not None for part in parts.values()) else None
        return found


def _told_type(hint: Any) -> type:
    """The class behind ``Annotated`` and ``| None``; ``object`` where there is none."""
    if get_origin(hint) is Annotated:
        return _told_type(get_args(hint)[0])
    chosen = [part for part in get_args(hint) if part is not NoneType]
    if len(chosen) == 1 and NoneType in get_args(hint):
        return _told_type(chosen[0])
    return hint if isinstance(hint, type) else object


def _columns(field: str, inner: type[Struct]) -> dict[str, str]:
    return {name: f"{field}_{name}" for name in inner.__struct_fields__}


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) == 1:
        one = attrgetter(names[0])
        return lambda found: (one(found),)
    read: Callable[[Any], tuple[Any, ...]] = attrgetter(*names)
    return read
