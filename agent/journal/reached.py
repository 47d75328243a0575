"""How far a journal has come, told in a small file beside it, after that was on the disk.

A log whose last commit is broken does not say whether the power cut it short or damage did it, and of a
journal that is gone nothing says what it held. What is told here was on the disk for certain. Two places are
written in turn, so that a power cut leaves one of them whole; what cannot be read tells nothing.
"""

import contextlib
import logging
import os
import zlib
from pathlib import Path

import msgspec

from host.lock import give_to_owner

log = logging.getLogger(__name__)

SUFFIX = "-reached"
PLACE_BYTES = 512  # a sector: written whole or not at all
_PLACES = 2


class Reached(msgspec.Struct, frozen=True):
    """A journal's newest measurement. ``settled``: up to which seq of its epoch nothing waits for a receipt.

    ``number`` counts what was told.
    """

    number: int
    position: int
    epoch: str
    seq: int
    settled: int


class ReachedFile:
    """The file beside one journal. ``newest`` is what it tells.

    A disk that does not take it is no trouble: then it tells of an earlier measurement, as truly.
    """

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(journal.name + SUFFIX)
        self._descriptor: int | None = None
        self.newest = _newest(self._path)

    def tell(self, position: int, epoch: str, seq: int, settled: int) -> None:
        """Let it be told, on the disk, that this was on the disk."""
        number = self.newest.number + 1 if self.newest else 0
        self.newest = Reached(number, position, epoch, seq, settled)
        try:
            self._descriptor = _opened(self._path) if self._descriptor is None else self._descriptor
            os.pwrite(self._descriptor, _encoded(self.newest), number % _PLACES * PLACE_BYTES)
            os.fdatasync(self._descriptor)
        except OSError as error:
            log.debug("%s: %s", self._path, error.strerror)

    def unsettle(self) -> None:
        """Before what was settled may wait for a receipt again."""
        if self.newest is not None:
            self.tell(self.newest.position, self.newest.epoch, self.newest.seq, 0)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def _opened(path: Path) -> int:
    """For writing; of a new one the name must be on the disk, too."""
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    give_to_owner(descriptor, path.parent)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return descriptor


def _encoded(reached: Reached) -> bytes:
    content = msgspec.json.encode(reached)
    return (b"%08x " % zlib.crc32(content) + content).ljust(PLACE_BYTES - 1) + b"\n"


def _newest(path: Path) -> Reached | None:
    try:
        with path.open("rb") as file:
            places = [file.read(PLACE_BYTES) for _ in range(_PLACES)]
    except OSError:
        return None
    found = [reached for reached in map(_decoded, places) if reached is not None]
    return max(found, key=lambda reached: reached.number, default=None)


def _decoded(place: bytes) -> Reached | None:
    checksum, _, content = place.rstrip().partition(b" ")
    if checksum != b"%08x" % zlib.crc32(content):
        return None
    try:
        return msgspec.json.decode(content, type=Reached)
    except msgspec.MsgspecError:
        return None
