"""Search for installed programs, also outside an ordinary user's PATH."""

import os
import shutil
from collections.abc import Mapping

# Debian installs daemons here, and an ordinary user's PATH lacks these directories.
ALSO_SEARCHED = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def path_of(program: str) -> str | None:
    """Return the path of a program, or None where it is not installed."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), *ALSO_SEARCHED)))


class MissingProgramError(Exception):
    """A program is not installed; the text names it and the remedy."""


def require(program: str, package: str) -> str:
    """Return the path of a program of a Debian package. Raises MissingProgramError."""
    found = path_of(program)
    if found is None:
        raise MissingProgramError(*lacking({program: package}))
    return found


def lacking(packages: Mapping[str, str]) -> tuple[str, ...]:
    """Name all programs that are not installed, with the one command that installs them.

    ``packages`` maps a program to its Debian package. Returns nothing, or one text.
    """
    missing = [program for program in packages if path_of(program) is None]
    if not missing:
        return ()
    *others, last = missing
    programs = f"the programs {', '.join(others)} and {last}" if others else f"the program {last}"
    needed = " ".join(dict.fromkeys(packages[program] for program in missing))
    return (f"{programs}: on Debian or Ubuntu, sudo apt-get install {needed}",)
