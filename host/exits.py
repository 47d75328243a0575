"""Exit codes of every program: those of sysexits.h, and the verdict of ``measure``.

| code | meaning |
|---|---|
| 0 to 2 | the verdict of ``measure``; ``status`` and ``ledger verify`` end with 1 where they find a fault |
| 64 | wrong call |
| 69 | a service does not answer, a port is taken, or a package is not installed |
| 70 | internal error |
| 73 | a file or folder is missing, or cannot be read or written |
| 78 | a setting is wrong, or the content of a file that it names |
| above 128 | 128 plus the number of a signal, as in shells |
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit code, by the table of this module."""

    OK = 0
    FAIL = 1
    UNDECIDED = 2
    USAGE = 64
    UNAVAILABLE = 69
    SOFTWARE = 70
    CANNOT_CREATE = 73
    CONFIGURATION = 78
    INTERRUPTED = 130
    BROKEN_PIPE = 141


def code_of(error: Exception) -> Exit:
    """Exit code of an error in settings, or in a file that they name.

    ``__cause__`` decides: the OSError with which a file was not opened, if that was the reason.
    """
    return Exit.CANNOT_CREATE if isinstance(error.__cause__, OSError) else Exit.CONFIGURATION
