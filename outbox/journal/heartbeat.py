"""The heartbeat: a small file that says when the program lived and how far its journal came.

It is written over in place every ten seconds and never synced. So the kernel brings it to the disk about
twice a minute, and an SD card lasts. After a power cut it is at most ``WRITE_BACK_US`` old. What it names
of the journal was on the disk before, so it never names a record that was not committed. A file that cannot
be read says nothing.
"""

import os
import zlib
from pathlib import Path

import msgspec
from msgspec import Struct

from host import rights
from wire.records import ClockReading

BYTES = 512  # a sector: written whole or not at all
MOST_EPOCHS = 8
# Linux writes a page back after 30 s and looks for such pages every 5, and ext4 commits every 5
# (vm.dirty_expire_centisecs, vm.dirty_writeback_centisecs).
WRITE_BACK_US = 45_000_000


class Reach(Struct, frozen=True, array_like=True):
    """Extent of one epoch: up to ``resolved`` no record waits for a receipt, ``last`` is its last record."""

    epoch: str
    resolved: int
    last: int


class Heartbeat(Struct, frozen=True):
    """The clocks when it was written, whether the program ended in order, and its epochs, newest first.

    ``epochs`` are the newest one and others of which something waits for a receipt, at most ``MOST_EPOCHS``.
    """

    clock: ClockReading
    stopped: bool = False
    epochs: tuple[Reach, ...] = ()


class _File(Struct):
    checksum: int
    heartbeat: msgspec.Raw


_FILE = msgspec.json.Decoder(_File)
_HEARTBEAT = msgspec.json.Decoder(Heartbeat)


def path_beside(journal: Path) -> Path:
    """Path of a journal's heartbeat."""
    return journal.with_name(f"{journal.name}-heartbeat")


def read(path: Path) -> Heartbeat | None:
    """The last heartbeat, None where there is none that can be read."""
    try:
        descriptor = rights.open_existing(path)
        try:
            found = _FILE.decode(os.pread(descriptor, BYTES, 0))
        finally:
            os.close(descriptor)
        return _HEARTBEAT.decode(found.heartbeat) if zlib.crc32(found.heartbeat) == found.checksum else None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def write(path: Path, heartbeat: Heartbeat) -> None:
    """Write over the last one. Raises OSError if the disk does not take it."""
    descriptor = rights.open_own(path)
    try:
        os.pwrite(descriptor, _encoded(heartbeat), 0)
    finally:
        os.close(descriptor)


def _encoded(heartbeat: Heartbeat) -> bytes:
    """As many epochs as there is room for."""
    content = msgspec.json.encode(heartbeat)
    encoded = msgspec.json.encode(_File(zlib.crc32(content), msgspec.Raw(content)))
    if len(encoded) > BYTES and heartbeat.epochs:
        return _encoded(msgspec.structs.replace(heartbeat, epochs=heartbeat.epochs[:-1]))
    return encoded.ljust(BYTES)
