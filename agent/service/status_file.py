"""The small file in which a running agent says how it is, for ``plancher-agent status``.

Its folder is the runtime directory (tmpfs where there is one). An atomic write replaces it, so that a reader
never sees half of it.
"""

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from host import atomic_write as whole_file
from wire.records import ClockReading, ReachabilityValues

NAME = "status.json"
STALE_US = 30_000_000
MAX_BYTES = 256 * 1024


class AgentStatus(Struct, frozen=True, kw_only=True):
    """Status of the agent at the time ``written``.

    ``next_starts`` are wall times in microseconds by task name.

    ``broker_problem`` is the reason for a missing connection to the broker. ``journal_problem`` is the reason
    for keeping measurements in memory. Both are None while all works.
    ``outages`` are those that are open. ``findings`` are remarks about addresses and names, each a sentence.
    """

    written: ClockReading
    started: ClockReading
    process: int
    version: str
    site: str
    running: tuple[str, ...]
    next_starts: dict[str, int]
    broker_problem: str | None = None
    journal_problem: str | None = None
    last_receipt: ClockReading | None = None
    outages: tuple[ReachabilityValues, ...] = ()
    findings: tuple[str, ...] = ()


_DECODER = msgspec.json.Decoder(AgentStatus)


def write(directory: Path, status: AgentStatus) -> None:
    """Replace the status file. Raises OSError if the directory cannot be written."""
    whole_file.replace(directory / NAME, msgspec.json.encode(status), durably=False)


def read(directory: Path) -> AgentStatus | None:
    """The status that was written last, or None if there is none that can be read."""
    try:
        with (directory / NAME).open("rb") as file:
            return _DECODER.decode(file.read(MAX_BYTES))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def remove(directory: Path) -> None:
    """Take the status back: the agent has ended. What cannot be removed shows as stale soon."""
    with contextlib.suppress(OSError):
        (directory / NAME).unlink()


def is_running(status: AgentStatus | None, now: ClockReading) -> bool:
    """Check that the writer of ``status`` is alive: it wrote lately, in this boot, and its process exists."""
    if status is None or status.written.boot_id != now.boot_id:
        return False
    if now.boot_us - status.written.boot_us > STALE_US:
        return False
    try:
        os.kill(status.process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
