"""A small file beside the journal that says when the agent was last alive.

It is written over in place and not waited for: the kernel brings it to the disk about once in half a minute,
so that an SD card lasts. What a power cut leaves of it is as old as that.
"""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from wire.records import ClockReading

NAME = "alive.json"
BYTES = 512


class Alive(Struct, frozen=True):
    """The clocks at the newest sign of life; ``stopped``: the last one of an orderly end."""

    clock: ClockReading
    stopped: bool = False


_DECODER = msgspec.json.Decoder(Alive)


def read(path: Path) -> Alive | None:
    """The last sign of life, None where there is none that can be read."""
    try:
        with path.open("rb") as file:
            return _DECODER.decode(file.read(BYTES))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def write(path: Path, alive: Alive) -> None:
    """Write over the one before. Raises OSError if the directory cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(descriptor, msgspec.json.encode(alive).ljust(BYTES), 0)
    finally:
        os.close(descriptor)
