"""Measurements on a machine that may be busy: an invalid test ends in "undecided"."""

import subprocess
from collections.abc import Callable

UNDECIDED = 2
TRIES = 5

Done = subprocess.CompletedProcess[str]


def until_decided(measure: Callable[[], Done], tries: int = TRIES) -> Done:
    """Repeat ``measure`` until it can tell, at most ``tries`` times; a pass or a fail counts at once."""
    done = measure()
    while done.returncode == UNDECIDED and tries > 1:
        tries -= 1
        done = measure()
    return done
