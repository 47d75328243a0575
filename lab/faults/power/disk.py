"""Directory on a disk that may lose its power: operations in, files after a cut out. Pure.

The rules are those of POSIX: bytes are on the disk once their file was synced, names once their directory
was. A cut keeps a random part of the rest: whole writes or sectors of them, in any order. Of changed names it
keeps the first ones in their order, as journalling file systems do. Bytes beside a write stay intact, and so
does every synced byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from lab.faults.power.op_log import Operation, OperationKind

# Older disks write 512 bytes whole or not at all, newer ones 4,096.
SECTORS = (512, 4096)

Names = dict[str, "File"]


@dataclass(eq=False, slots=True)
class File:
    """One file. ``durable``: synced bytes. ``pending``: later writes in order; None for a truncation."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        """Move all pending writes to the disk."""
        for offset, data in self.pending:
            _put(self.durable, offset, data)
        self.pending.clear()

    def now(self) -> bytes:
        """Return the content that a reader sees while the power is on."""
        found = bytearray(self.durable)
        for offset, data in self.pending:
            _put(found, offset, data)
        return bytes(found)

    def after_cut(self, chance: Random) -> bytes:
        """Return one possible content after a cut."""
        found = bytearray(self.durable)
        # From a list: a uniform share would hardly ever keep all or nothing, the hard cases.
        share = chance.choice((0.0, 0.5, 0.9, 1.0))
        sector = chance.choice(SECTORS)
        kept = chance.randint(0, len(self.pending)) if chance.random() < 0.3 else len(self.pending)
        for offset, data in self.pending[:kept]:
            if data is None:
                if chance.random() < share:
                    _put(found, offset, None)
                continue
            for begin, piece in _sectors(offset, data, sector):
                if chance.random() < share:
                    _put(found, begin, piece)
        return bytes(found)


class Disk:
    """One directory. ``files`` exist durably from the beginning. Paths are relative to ``root``."""

    def __init__(self, root: str, files: Mapping[str, bytes] | None = None) -> None:
        self._root = root.rstrip("/")
        self._names: Names = {name: File(bytearray(data)) for name, data in (files or {}).items()}
        self._durable: Names = dict(self._names)
        self._changes: list[tuple[str, File | None]] = []
        self._open: dict[int, File | None] = {}

    def apply(self, operation: Operation) -> None:
        """Apply one operation. Raises KeyError where the log is inconsistent."""
        kind, file, data = operation.kind, operation.file, operation.data
        if kind in (OperationKind.OPENED, OperationKind.MADE):
            self._opened(file, self._name(data), made=kind is OperationKind.MADE)
        elif kind is OperationKind.CLOSED:
            self._open.pop(file, None)
        elif kind is OperationKind.SYNCED:
            self._sync(self._open[file])
        elif kind is OperationKind.RENAMED:
            old, _, new = data.partition(b"\0")
            moved = self._names[self._name(old)]
            self._rename(self._name(new), moved)
            self._rename(self._name(old), None)
        elif kind is OperationKind.UNLINKED:
            self._rename(self._name(data), None)
        elif (target := self._open[file]) is not None:
            written = None if kind is OperationKind.TRUNCATED else data
            target.pending.append((operation.offset, written))

    def now(self) -> dict[str, bytes]:
        """Return the files while the power is on."""
        return {name: file.now() for name, file in self._names.items()}

    def after_cut(self, chance: Random) -> dict[str, bytes]:
        """Return possible files after a cut now."""
        names = dict(self._durable)
        for name, file in self._changes[: chance.randint(0, len(self._changes))]:
            _set(names, name, file)
        return {name: file.after_cut(chance) for name, file in names.items()}

    def _opened(self, number: int, name: str, *, made: bool) -> None:
        if not name:  # the directory itself, opened to be synced
            self._open[number] = None
            return
        if made:
            self._rename(name, File())
        self._open[number] = self._names[name]

    def _rename(self, name: str, file: File | None) -> None:
        _set(self._names, name, file)
        self._changes.append((name, file))

    def _sync(self, file: File | None) -> None:
        if file is not None:
            file.sync()
            return
        self._durable = dict(self._names)
        self._changes.clear()

    def _name(self, path: bytes) -> str:
        return path.decode().removeprefix(self._root).strip("/")


def _set(names: Names, name: str, file: File | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


def _put(into: bytearray, offset: int, data: bytes | None) -> None:
    """Write ``data``, or truncate at ``offset`` (or grow to it) if it is None; gaps read as zeros."""
    if len(into) < offset:
        into.extend(bytes(offset - len(into)))
    if data is None:
        del into[offset:]
    else:
        into[offset : offset + len(data)] = data


def _sectors(offset: int, data: bytes, size: int) -> list[tuple[int, bytes]]:
    """Split a write at the ends of sectors."""
    found, begin = [], 0
    while begin < len(data):
        end = min(len(data), begin + size - (offset + begin) % size)
        found.append((offset + begin, data[begin:end]))
        begin = end
    return found
