"""Nearly valid inputs: bytes changed in place, and JSON changed in its structure."""

import json
import random
from collections.abc import Sequence
from typing import Any

LONGEST = 600_000  # beyond what any decoder takes
_BYTES = (
    b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"[" * 2000, b'{"a":' * 2000, b"\xc3\x28",
    b"\xed\xa0\x80", b"1e400", b"-0", b"9" * 5000, b"\r\n", b'"', b"%s", b"/+/#", b"&a [*a, *a]", b": ",
    b"\xef\xbb\xbf",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**53, 2**63, 2**64, -(2**63), 1.5, -0.0, 1e308, "", "x" * 300, "\ud800", "\x00",
    "1970-01-01", [], {}, [[]] * 600, {"probe": "floor"}, "scheduled", "new-word", "é", "0x10",
)  # fmt: skip


def mutate(chance: random.Random, examples: Sequence[bytes]) -> bytes:
    """Make one input: mostly an example with a few changes, seldom random bytes."""
    if chance.random() < 0.02:
        return chance.randbytes(chance.randint(0, 300))
    data = chance.choice(examples)
    if data[:1] in (b"{", b"[") and chance.random() < 0.6:
        data = _mutate_json(chance, data)
    for _ in range(chance.choice((0, 1, 1, 2, 4, 8))):
        data = chance.choice(_CHANGES)(chance, data)
    return data[:LONGEST]


def _mutate_json(chance: random.Random, data: bytes) -> bytes:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return data
    for _ in range(chance.randint(1, 3)):
        document = _change(chance, document)
    return json.dumps(document, ensure_ascii=chance.random() < 0.5).encode(errors="surrogatepass")


def _change(chance: random.Random, document: Any) -> Any:
    """Descend at random and change the value found."""
    if not isinstance(document, dict | list) or not document or chance.random() < 0.15:
        return chance.choice(_VALUES)
    if isinstance(document, list):
        return _change_list(chance, list(document))
    return _change_dict(chance, dict(document))


def _change_dict(chance: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    name = chance.choice(list(document))
    match chance.randrange(5):
        case 0:
            del document[name]
        case 1:
            document[chance.choice((name + "x", "probe", "later", ""))] = document[name]
        case _:
            document[name] = _change(chance, document[name])
    return document


def _change_list(chance: random.Random, document: list[Any]) -> list[Any]:
    place = chance.randrange(len(document))
    match chance.randrange(6):
        case 0:
            del document[place]
        case 1:
            document += [document[place]] * chance.choice((1, 70, 600))
        case _:
            document[place] = _change(chance, document[place])
    return document


def _flip(chance: random.Random, data: bytes) -> bytes:
    if not data:
        return b"\x01"
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def _overwrite(chance: random.Random, data: bytes) -> bytes:
    place, new = chance.randint(0, len(data)), chance.choice(_BYTES)
    return data[:place] + new + data[place + len(new) :]


def _insert(chance: random.Random, data: bytes) -> bytes:
    place = chance.randint(0, len(data))
    return data[:place] + chance.choice((*_BYTES, chance.randbytes(chance.randint(1, 8)))) + data[place:]


def _cut(chance: random.Random, data: bytes) -> bytes:
    begin, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    return chance.choice((data[:begin], data[begin:], data[:begin] + data[end:]))


def _repeat(chance: random.Random, data: bytes) -> bytes:
    begin = chance.randint(0, len(data))
    part = data[begin : begin + chance.choice((1, 4, 64, 4096))]
    times = min(chance.choice((2, 10, 1000)), LONGEST // max(1, len(part)))
    return data[:begin] + part * times + data[begin:]


_CHANGES = (_flip, _flip, _overwrite, _insert, _cut, _repeat)
