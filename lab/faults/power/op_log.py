"""What the shim logged, read back: pure, bytes in and operations out.

An entry is a kind (one byte), a file number (int32), an offset (int64) and the size (uint32) of the bytes
that follow it, in the machine's own order: paths, or what was written.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

_HEAD = struct.Struct("=ciqI")


class Kind(Enum):
    """What was done."""

    OPENED = b"O"
    MADE = b"N"
    CLOSED = b"C"
    WRITTEN = b"W"
    TRUNCATED = b"T"
    SYNCED = b"S"
    RENAMED = b"R"
    UNLINKED = b"U"


@dataclass(frozen=True, slots=True)
class Operation:
    """One call that succeeded. ``data``: its path, both paths around a NUL, or what was written."""

    kind: Kind
    file: int
    offset: int
    data: bytes


def read(raw: bytes) -> Iterator[Operation]:
    """All whole entries of a log; a last one that a kill tore is left out. Raises ValueError on others."""
    at = 0
    while at + _HEAD.size <= len(raw):
        kind, file, offset, size = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        if at + size > len(raw):
            return
        yield Operation(Kind(kind), file, offset, raw[at : at + size])
        at += size
