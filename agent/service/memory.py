"""Gives back memory that starting needed and running does not: budget is what a small router can spare.

Importing and setting up pass once through much code of the interpreter, of OpenSSL and of SQLite. These pages
are clean copies of files: dropping them from the process costs nothing but reading again, from the kernel's
cache, what is used again. Heap that was freed goes back as far as the C library can give it.
"""

import ctypes
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_SMAPS = Path("/proc/self/smaps")
_DONTNEED = 4  # MADV_DONTNEED of madvise(2), the same on every Linux architecture but one that has no Python
_EXECUTABLE = "r-xp"


def give_back() -> None:
    """Let the kernel have unused heap and the code that is not in use. Never raises: it is a courtesy."""
    libc = ctypes.CDLL(None)
    with suppress(AttributeError, OSError, ValueError):
        # Line by line: as one text it would take 0.5 MB, of which much stays with the process for ever.
        with _SMAPS.open() as lines:
            ranges = list(clean_code(lines))
        for begin, end in ranges:
            libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _DONTNEED)
    with suppress(AttributeError):  # musl has nothing to trim
        libc.malloc_trim(0)


def clean_code(smaps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """First and last address of each mapped file's code, if no page of it was changed (proc_pid_smaps(5)).

    A changed page (a relocation in the text, a debugger's breakpoint) exists in this process alone, and
    would be lost.
    """
    begin = end = 0
    for line in smaps:
        name, *fields = line.split()
        if not name.endswith(":"):
            begin, end = (int(part, 16) for part in name.split("-"))
            is_code = len(fields) >= 5 and fields[0] == _EXECUTABLE and fields[4].startswith("/")
            begin = begin if is_code else end
        elif name == "Anonymous:" and fields[0] == "0" and begin < end:
            yield begin, end
