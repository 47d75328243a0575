"""Measuring on a machine that may be busy: a test that had to be thrown away ends in "could not tell"."""

import subprocess
from collections.abc import Callable

COULD_NOT_TELL = 2
TRIES = 5

Done = subprocess.CompletedProcess[str]


def until_told(measure: Callable[[], Done], tries: int = TRIES) -> Done:
    """``measure`` until it could tell, at most ``tries`` times: a pass or a fail stands at once."""
    done = measure()
    while done.returncode == COULD_NOT_TELL and tries > 1:
        tries -= 1
        done = measure()
    return done
