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
from net.complaint import Complaint

log = logging.getLogger(__name__)

SUFFIX = "-reached"
PLACE_BYTES = 512  # a sector: written whole or not at all
PLACES = (0, 4096)  # not in one page of a card, which a cut may take whole
_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # whatever stands there: no waiting for it


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
    """The file beside one journal, of whoever has the journal's lock. ``newest`` is what it tells.

    A disk that does not take it is no trouble: then it tells of an earlier measurement, as truly.
    """

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(journal.name + SUFFIX)
        self._descriptor: int | None = None
        self._complaint = Complaint()
        self.newest: Reached | None = None

    def look(self) -> Reached | None:
        """What is told now."""
        with contextlib.suppress(OSError):
            self._open(0)
        return self.newest

    def tell(self, position: int, epoch: str, seq: int, settled: int) -> None:
        """Let it be told, on the disk, that this was on the disk."""
        try:
            descriptor = self._open(os.O_CREAT)
            told = self._next(position, epoch, seq, settled)
            os.pwrite(descriptor, _encoded(told), PLACES[told.number % len(PLACES)])
            os.fdatasync(descriptor)
        except OSError as error:
            self.newest = self._next(position, epoch, seq, settled)
            self._complain(error.strerror or "")
        else:
            self.newest = told
            self._complain("")

    def unsettle(self) -> None:
        """Before what was settled may wait for a receipt again."""
        if self.newest is not None:
            self.tell(self.newest.position, self.newest.epoch, self.newest.seq, 0)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def _open(self, creating: int) -> int:
        """What stands there is read as soon as it can be, so that what is told goes on from it."""
        if self._descriptor is None:
            descriptor = _opened(self._path, creating)
            try:
                found = [_decoded(os.pread(descriptor, PLACE_BYTES, place)) for place in PLACES]
            except OSError:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
            every = [one for one in (*found, self.newest) if one is not None]
            self.newest = max(every, key=lambda one: one.number, default=None)
        return self._descriptor

    def _next(self, position: int, epoch: str, seq: int, settled: int) -> Reached:
        return Reached(self.newest.number + 1 if self.newest else 0, position, epoch, seq, settled)

    def _complain(self, problem: str) -> None:
        if self._complaint.is_news(problem):
            log.warning(
                "%s: %s: if the journal is damaged, its last measurement may go without a word",
                self._path,
                problem,
            )


def _opened(path: Path, creating: int) -> int:
    """Of a new one the name must be on the disk, too."""
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, _OPEN)
    descriptor = os.open(path, _OPEN | creating, 0o600)
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


def _decoded(place: bytes) -> Reached | None:
    checksum, _, content = place.rstrip().partition(b" ")
    if checksum != b"%08x" % zlib.crc32(content):
        return None
    try:
        return msgspec.json.decode(content, type=Reached)
    except msgspec.MsgspecError:
        return None
