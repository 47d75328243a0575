"""Rows out of the pages of an SQLite file that SQLite itself refuses, whatever else of it is damaged.

Only table leaves are looked at, one page after the other, in the file and in its write-ahead log
(https://www.sqlite.org/fileformat2.html, sections 1.6, 2.1 and 4). Whether a row is what was once written is
for whoever asked to find out, by its checksum: pages out of use hold old rows, and damaged ones anything.
"""

import io
import struct
from collections.abc import Iterator
from pathlib import Path

from agent.journal.schema import PAGE_BYTES

Values = tuple[int | float | str | bytes | None, ...]

_LEAF = 0x0D
_WAL_HEADER = 32
_FRAME_HEADER = 24
_FRAME = _FRAME_HEADER + PAGE_BYTES
_FLIPPED = 8  # bits of eight bytes
_LARGEST_RECORD = 1_000_000
_MOST_COLUMNS = 32
_LOCAL = PAGE_BYTES - 35
_LEAST = (PAGE_BYTES - 12) * 32 // 255 - 23
_NUMBERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # bytes of an integer by its serial type


class _NoRowError(Exception):
    """What stands there is no row."""


class Pages:
    """The pages of one file, those of its log over them, in as little memory as the log's index takes."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb") if path.exists() else io.BytesIO()
        log = path.with_name(f"{path.name}-wal")
        self._log = log.open("rb") if log.exists() else io.BytesIO()
        self._count = self._file.seek(0, io.SEEK_END) // PAGE_BYTES
        self.frames = max(0, self._log.seek(0, io.SEEK_END) - _WAL_HEADER) // _FRAME
        self._newest = {self._number(frame): frame for frame in range(self.frames)}

    def close(self) -> None:
        """Let go of both files."""
        self._file.close()
        self._log.close()

    def live_frames(self) -> int:
        """How far the frames of the log's present turn reach, whole transactions or not.

        Frames of an earlier turn have other salts in all of their bits, not in the few that damage flips.
        """
        self._log.seek(16)
        salt = int.from_bytes(self._log.read(8))
        present = (n for n in range(self.frames) if (self._salt(n) ^ salt).bit_count() <= _FLIPPED)
        return max(present, default=-1) + 1

    def synced_frames(self, live: int) -> int:
        """How many of the first ``live`` frames were on the disk for certain, whatever became of them since.

        The log is synced with each commit, so a commit's last frame that another frame goes on from was. What
        comes after that may be a commit that the power cut short.
        """
        for frame in range(live - 1, 0, -1):
            if self._ends_commit(frame - 1) and self._continues(frame):
                return frame
        return 0

    def rows(self, frames: range | None = None, *, log_only: bool = False) -> Iterator[tuple[int, Values]]:
        """Every row of every table leaf: its rowid and its columns. Raises OSError where the disk does."""
        if not log_only:
            for number in range(1, self._count + 1):
                yield from self._leaf(self._stored(number), number)
        for frame in range(self.frames) if frames is None else frames:
            yield from self._leaf(self._logged(frame), 0)

    def _leaf(self, page: bytes, number: int) -> Iterator[tuple[int, Values]]:
        begin = 100 if number == 1 else 0
        if len(page) != PAGE_BYTES or page[begin] != _LEAF:
            return
        cells = struct.unpack_from(">H", page, begin + 3)[0]
        for index in range(min(cells, (PAGE_BYTES - begin - 8) // 2)):
            start = struct.unpack_from(">H", page, begin + 8 + 2 * index)[0]
            try:
                yield self._row(page, start)
            except (_NoRowError, IndexError, struct.error, UnicodeDecodeError):
                continue

    def _row(self, page: bytes, start: int) -> tuple[int, Values]:
        size, start = _varint(page, start)
        rowid, start = _varint(page, start)
        if not 0 < size <= _LARGEST_RECORD:
            raise _NoRowError
        local = size
        if size > _LOCAL:
            local = _LEAST + (size - _LEAST) % (PAGE_BYTES - 4)
            local = local if local <= _LOCAL else _LEAST
        payload = page[start : start + local]
        if local < size:
            payload += self._overflow(struct.unpack_from(">I", page, start + local)[0], size - local)
        return rowid, _columns(payload)

    def _overflow(self, number: int, wanted: int) -> bytes:
        found = bytearray()
        while len(found) < wanted:
            frame = self._newest.get(number)
            page = self._stored(number) if frame is None else self._logged(frame)
            if len(page) != PAGE_BYTES:
                raise _NoRowError
            number = struct.unpack_from(">I", page)[0]
            found += page[4:]
        return bytes(found[:wanted])

    def _stored(self, number: int) -> bytes:
        if not 1 <= number <= self._count:
            return b""
        self._file.seek((number - 1) * PAGE_BYTES)
        return self._file.read(PAGE_BYTES)

    def _logged(self, frame: int) -> bytes:
        self._log.seek(_WAL_HEADER + frame * _FRAME + _FRAME_HEADER)
        return self._log.read(PAGE_BYTES)

    def _number(self, frame: int) -> int:
        self._log.seek(_WAL_HEADER + frame * _FRAME)
        return int.from_bytes(self._log.read(4))

    def _ends_commit(self, frame: int) -> bool:
        self._log.seek(_WAL_HEADER + frame * _FRAME + 4)
        return any(self._log.read(4))

    def _continues(self, frame: int) -> bool:
        """Whether its checksum is that of the frame before, carried on.

        In either order of bytes, since the header that says which may be damaged.
        """
        before, own = self._sums(frame - 1), self._sums(frame)
        self._log.seek(_WAL_HEADER + frame * _FRAME)
        summed = self._log.read(8) + self._logged(frame)
        return any(_carried(before, summed, order) == own for order in "<>")

    def _sums(self, frame: int) -> tuple[int, int]:
        self._log.seek(_WAL_HEADER + frame * _FRAME + 16)
        return int.from_bytes(self._log.read(4)), int.from_bytes(self._log.read(4))

    def _salt(self, frame: int) -> int:
        self._log.seek(_WAL_HEADER + frame * _FRAME + 8)
        return int.from_bytes(self._log.read(8))


def _carried(sums: tuple[int, int], data: bytes, order: str) -> tuple[int, int]:
    """The log's running checksum (https://www.sqlite.org/fileformat2.html, section 4.2)."""
    first, second = sums
    for even, odd in struct.iter_unpack(f"{order}II", data):
        first = first + even + second & 0xFFFFFFFF
        second = second + odd + first & 0xFFFFFFFF
    return first, second


def _varint(data: bytes, start: int) -> tuple[int, int]:
    value = 0
    for offset in range(start, start + 8):
        value = value << 7 | data[offset] & 0x7F
        if data[offset] < 0x80:
            return value, offset + 1
    return value << 8 | data[start + 8], start + 9


def _columns(payload: bytes) -> Values:
    end, at = _varint(payload, 0)
    values: list[int | float | str | bytes | None] = []
    data = end
    while at < end and len(values) < _MOST_COLUMNS:
        kind, at = _varint(payload, at)
        size = _NUMBERS.get(kind, 0) if kind < 12 else (kind - 12) // 2
        if data + size > len(payload):
            raise _NoRowError
        values.append(_value(kind, payload[data : data + size]))
        data += size
    return tuple(values)


def _value(kind: int, raw: bytes) -> int | float | str | bytes | None:
    if kind in _NUMBERS:
        return int.from_bytes(raw, signed=True)
    if kind in {0, 8, 9}:
        return None if kind == 0 else kind - 8
    if kind < 12:
        raise _NoRowError  # a floating-point number or a reserved type: no column of a journal has one
    return raw if kind % 2 == 0 else raw.decode()
