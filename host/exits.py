"""Exit codes of every program: sysexits.h, and for ``measure`` the verdict."""

from enum import IntEnum


class Exit(IntEnum):
    """``measure`` says pass, fail or could-not-tell; all else follows sysexits.h, and shells for signals."""

    OK = 0
    FAIL = 1
    COULD_NOT_TELL = 2
    USAGE = 64
    UNAVAILABLE = 69
    SOFTWARE = 70
    CANNOT_CREATE = 73
    CONFIGURATION = 78
    INTERRUPTED = 130
    BROKEN_PIPE = 141
