"""Search for installed programs, also outside an ordinary user's PATH."""

import os
import shutil
from collections.abc import Mapping

# Debian installs daemons here, and an ordinary user's PATH lacks these directories.
ALSO_SEARCHED = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def path_of(program: str) -> str | None:
    """Return the path of a program, or None where it is not installed."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), *ALSO_SEARCHED)))


def lacking(packages: Mapping[str, str]) -> tuple[str, ...]:
    """List the programs that are not installed, each with the command that installs it.

    ``packages`` maps a program to its Debian package.
    """
    return tuple(
        f"the program {program}: on Debian or Ubuntu, apt-get install {package}"
        for program, package in packages.items()
        if path_of(program) is None
    )
