"""Check of a journal's path for a program's ``check`` command; nothing is created."""

import os
from pathlib import Path

from host.lock import is_held


def problem(path: Path, setting: str) -> str | None:
    """Problem of the path and what to do about ``setting``, None if there is none."""
    place = nearest(path.parent)
    if _exists(path) and not os.access(path, os.R_OK | os.W_OK):
        return f"{path} belongs to another user: run as that one"
    if not os.access(place, os.W_OK | os.X_OK) or not place.is_dir():
        return f"{place} cannot be written: give {setting} a directory this user may write in"
    return f"{path} is a directory: give {setting} a file in it" if path.is_dir() else None


def words(path: Path, program: str) -> str:
    """The path, and the state of its file."""
    if is_held(path):
        return f"{path}, in use by the running {program}"
    return str(path) if _exists(path) else f"{path}: does not exist yet; it will be created"


def nearest(folder: Path) -> Path:
    """The folder itself, or the one in which it would be made."""
    absolute = folder.absolute()
    return next(place for place in (absolute, *absolute.parents) if _exists(place))


def _exists(path: Path) -> bool:
    """False only if it certainly does not: in a directory that may not be entered everything may be."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
