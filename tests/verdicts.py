"""Measurements on a machine that may be busy: an invalid test ends in "could not tell"."""

import subprocess
from collections.abc import Callable

COULD_NOT_TELL = 2
TRIES = 5

Done = subprocess.CompletedProcess[str]


def until_decided(measure: Callable[[], Done], tries: int = TRIES) -> Done:
    """Repeat ``measure`` until it can tell, at most ``tries`` times; a pass or a fail counts at once."""
    done = measure()
    while done.returncode == COULD_NOT_TELL and tries > 1:
        tries -= 1
        done = measure()
    return done
