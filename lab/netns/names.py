"""Names of namespaces. A name says which process created it, and leftovers of killed processes can be
removed.

``plancher-<process id>-<start, clock ticks after boot>-<number>-<node>``. The start time distinguishes the
creator from a later process with the same id. Directories of ``plancher-lab kernel-link`` are named alike.
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


class LinkNode(StrEnum):
    """Namespaces of a link."""

    SITE = "site"
    ROUTER = "router"
    FAR = "far"


def fresh() -> dict[LinkNode, str]:
    """Return new names for a link of this process."""
    begin = _begin()
    return {end: f"{begin}{end}" for end in LinkNode}


def fresh_chain(routers: int) -> list[str]:
    """Return new names for a chain of this process: the site, the routers, the far end."""
    begin = _begin()
    middle = [f"{begin}r{number}" for number in range(1, routers + 1)]
    return [f"{begin}{LinkNode.SITE}", *middle, f"{begin}{LinkNode.FAR}"]


def files_prefix() -> str:
    """Return the beginning of the name of a temporary directory of this process."""
    return f"{_begin()}files-"


def stale(names: Iterable[str]) -> list[str]:
    """Return the names whose creator has ended; names in any other form are left out."""
    found = ((name, _NAME.fullmatch(name)) for name in names)
    return [name for name, match in found if match and _started(int(match[1])) != int(match[2])]


def present() -> list[str]:
    """Return the names of all namespaces of this machine."""
    try:
        return sorted(path.name for path in DIRECTORY.iterdir())
    except FileNotFoundError:
        return []


def _begin() -> str:
    return f"plancher-{os.getpid()}-{_started(os.getpid())}-{next(_numbers)}-"


def _started(process: int) -> int | None:
    """Return the start of a process in clock ticks (proc(5), stat, field 22), None if there is no such
    process.
    """
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name, which may contain blanks and parentheses.
    return int(text.rpartition(")")[2].split()[19])
