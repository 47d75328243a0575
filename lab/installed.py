"""Where this machine has a program, also outside of an ordinary user's PATH: Debian puts daemons there."""

import os
import shutil

ALSO_SEARCHED = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def path_of(program: str) -> str | None:
    """Its path, None where it is not installed."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), *ALSO_SEARCHED)))
