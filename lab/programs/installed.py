"""Where this machine has a program, also outside of an ordinary user's PATH: Debian puts daemons there."""

import os
import shutil
from collections.abc import Mapping

ALSO_SEARCHED = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def path_of(program: str) -> str | None:
    """Its path, None where it is not installed."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), *ALSO_SEARCHED)))


def lacking(packages: Mapping[str, str]) -> tuple[str, ...]:
    """The programs that are not installed, each with its remedy. ``packages``: in which each one comes."""
    return tuple(
        f"the program {program}: on Debian or Ubuntu, apt-get install {package}"
        for program, package in packages.items()
        if path_of(program) is None
    )
