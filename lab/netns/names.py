"""Names of namespaces tell who created them, so that what a killed process left is found and removed.

``plancher-<process id>-<its start, clock ticks after boot>-<number>-<end>``: with the start, a process id
that was given out again is not mistaken for the creator. The files of ``plancher-lab kernel-link`` are named
alike.
"""

import itertools
import os
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

DIRECTORY = Path("/run/netns")

_NAME = re.compile(r"plancher-(\d+)-(\d+)-\d+-(?:site|router|far|r\d+|files-\w+)")
_numbers = itertools.count()


class End(StrEnum):
    """The namespaces of a link."""

    SITE = "site"
    ROUTER = "router"
    FAR = "far"


def fresh() -> dict[End, str]:
    """Names for one more link of this process."""
    begin = _begin()
    return {end: f"{begin}{end}" for end in End}


def fresh_chain(routers: int) -> list[str]:
    """Names for one more chain of this process: the site, so many routers, the far end."""
    begin = _begin()
    middle = [f"{begin}r{number}" for number in range(1, routers + 1)]
    return [f"{begin}{End.SITE}", *middle, f"{begin}{End.FAR}"]


def files_prefix() -> str:
    """What the name of a temporary directory of this process begins with."""
    return f"{_begin()}files-"


def stale(names: Iterable[str]) -> list[str]:
    """Those of ``names`` whose creator has ended; names that are not ours are left out."""
    found = ((name, _NAME.fullmatch(name)) for name in names)
    return [name for name, match in found if match and _started(int(match[1])) != int(match[2])]


def present() -> list[str]:
    """The names of all namespaces of this machine that have one."""
    try:
        return sorted(path.name for path in DIRECTORY.iterdir())
    except FileNotFoundError:
        return []


def _begin() -> str:
    return f"plancher-{os.getpid()}-{_started(os.getpid())}-{next(_numbers)}-"


def _started(process: int) -> int | None:
    """When a process started (proc(5), stat, field 22), None if it is not there."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name, which may hold blanks and parentheses.
    return int(text.rpartition(")")[2].split()[19])
