"""Log of the shim, parsed into operations. Pure.

An entry has a kind (one byte), a file number (int32), an offset (int64) and a size (uint32), in the machine's
byte order. So many bytes follow: paths, or written data.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

_HEAD = struct.Struct("=ciqI")


class OperationKind(Enum):
    """Kind of a call."""

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
    """One successful call. ``data``: its path, two paths separated by a NUL, or written data."""

    kind: OperationKind
    file: int
    offset: int
    data: bytes


def read(raw: bytes) -> Iterator[Operation]:
    """Yield all complete entries of a log, without a last one that a kill tore.

    Raises ValueError for other bytes.
    """
    at = 0
    while at + _HEAD.size <= len(raw):
        kind, file, offset, size = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        if at + size > len(raw):
            return
        yield Operation(OperationKind(kind), file, offset, raw[at : at + size])
        at += size
