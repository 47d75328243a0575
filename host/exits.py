"""Exit codes of every program: those of sysexits.h, and the verdict of ``measure``."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit code. 0 to 2 are the verdict of ``measure``; above 128 is 128 plus a signal, as in shells."""

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
