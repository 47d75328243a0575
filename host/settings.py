"""Settings files: YAML, read once and checked completely; every error has its place and its remedy.

A type of settings is a msgspec Struct, with quantities of ``host.units``. Messages never repeat a value,
which may be a secret, except a quantity.
"""

import difflib
import re
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from host import plain_yaml, units
from host.plain_yaml import SettingsError as SettingsError

Settings = TypeVar("Settings")
# PyYAML asks each open bracket about each token: without a bound a wrong file would take minutes.
MAX_FILE_BYTES = 1024 * 1024
# Bound of a message, for any content of the file.
_MOST_CHARACTERS = 600
_LONGEST_KEY = 64

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a section of `key: value` lines",
    "null": "nothing",
    "date": "a date",
    "datetime": "a date and time",
}
_SCALARS = {"int", "float", "bool", "date", "datetime"}


def load(path: Path, kind: type[Settings]) -> Settings:
    """Read ``path`` as ``kind``. Raises SettingsError, whose text is one line for people.

    Its cause is an OSError if the file cannot be read.
    """
    try:
        return convert(_parse(_read(path)), kind)
    except SettingsError as error:
        raise SettingsError(f"{path}: {_cut(str(error))}") from error.__cause__


@contextmanager
def belonging_to(path: Path) -> Iterator[None]:
    """Add ``path`` to a SettingsError about a file that ``path`` names, such as that of a key."""
    try:
        yield
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error.__cause__


def convert(document: object, kind: type[Settings]) -> Settings:
    """Convert a parsed document to ``kind``. Raises SettingsError."""
    if document is None:
        document = {}
    # Unknown keys first: a misspelt key explains the missing one.
    _refuse_unknown_keys(document, kind, "")
    try:
        return msgspec.convert(document, kind, dec_hook=_quantity)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error), kind)) from None


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SettingsError(f"larger than {MAX_FILE_BYTES} bytes: this is no settings file")
        # Windows' editors begin a text file with a byte order mark.
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise SettingsError("no such file: give the path of a settings file") from error
    except UnicodeDecodeError:
        raise SettingsError("not UTF-8 text: this is no settings file") from None
    except OSError as error:
        raise SettingsError(f"cannot be read: {error.strerror}") from error


def _parse(text: str) -> object:
    try:
        return plain_yaml.load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise SettingsError(f"{place}not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise SettingsError("not valid YAML") from None


def _quantity(kind: Any, value: object) -> object:
    if kind in units.QUANTITIES:
        return units.parse(kind, value)
    raise TypeError(f"no rule to read {kind!r}")


def _refuse_unknown_keys(document: object, kind: Any, path: str) -> None:
    """Compare document and type; raise SettingsError for the first key without a setting."""
    structs = _structs(kind)
    if isinstance(document, dict) and structs:
        _check_keys(document, structs, path)
    if isinstance(document, list):
        for item_kind in _items(kind):
            for index, item in enumerate(document):
                _refuse_unknown_keys(item, item_kind, f"{path}[{index}]")


def _check_keys(document: dict[Any, Any], structs: list[type[msgspec.Struct]], path: str) -> None:
    fields = {field.encode_name: field.type for struct in structs for field in msgspec.structs.fields(struct)}
    for key, value in document.items():
        where = f"{path}.{key}" if path else str(key)
        if key not in fields:
            raise SettingsError(f"{where}: no such setting{_suggest(str(key), list(fields))}")
        _refuse_unknown_keys(value, fields[key], where)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} ..."


def _suggest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key[:_LONGEST_KEY], known, n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else f"; there are: {', '.join(sorted(known))}"


def _structs(kind: Any) -> list[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) in (typing.Union, typing.Annotated):
        return [struct for part in typing.get_args(kind) for struct in _structs(part)]
    return []


def _items(kind: Any) -> list[Any]:
    """Item types of a list type, also of an optional or annotated one."""
    if typing.get_origin(kind) in (list, tuple):
        return [part for part in typing.get_args(kind) if part is not Ellipsis]
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) in (typing.Union, typing.Annotated):
        return [item for part in typing.get_args(kind) for item in _items(part)]
    return []


def _explain(message: str, kind: Any) -> str:
    """Rewrite msgspec's message: first the place, then the expectation."""
    text, _, place = message.partition(" - at `")
    path = place.rstrip("`").removeprefix("$").removeprefix(".")
    words = text.replace("Object missing required field", "missing setting")
    if words.startswith("Expected "):
        words = _explain_expectation(words)
    if words.startswith("Invalid enum value "):
        words = f"expected one of {', '.join(_words(kind, re.findall(r'[a-z_]+', path)))}"
    return f"{path}: {words}" if path else words


def _words(kind: Any, path: list[str]) -> list[str]:
    """List the words allowed at a place; msgspec names only the word that is not."""
    if path:
        structs = [struct for part in (kind, *_items(kind)) for struct in _structs(part)]
        fields = [field for struct in structs for field in msgspec.structs.fields(struct)]
        kinds = [field.type for field in fields if field.encode_name == path[0]]
        return [word for one in kinds for word in _words(one, path[1:])]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(member.value) for member in kind]
    return [word for part in typing.get_args(kind) for word in _words(part, [])]


def _explain_expectation(words: str) -> str:
    wanted, _, got = words.removeprefix("Expected ").partition(", got ")
    bound = ""
    if "` " in wanted:
        kind, _, bound = wanted.partition("` ")
        wanted, bound = kind + "`", f" {bound}"
    names = [_KINDS.get(name.strip(), name.strip()) for name in wanted.strip("`").split("|")]
    sentence = f"expected {' or '.join(names)}{bound}"
    if not got:
        return sentence
    found = got.strip("`")
    # YAML reads a SIRET number (only digits) as a number, `no` as a truth value, and a date as a date.
    quote = ": write it in quotes" if "text" in names and found in _SCALARS else ""
    return f"{sentence}, got {_KINDS.get(found, found)}{quote}"
