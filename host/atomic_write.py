"""Small files that are replaced whole, so that neither a reader nor a power cut finds half of one."""

import contextlib
import os
from pathlib import Path


def replace(path: Path, content: bytes, *, durably: bool) -> None:
    """Write aside, then rename. ``durably``: what comes back after a power cut is the old or the new.

    Raises OSError, with the old one in its place and nothing beside it, if the disk does not take it.
    """
    aside = path.with_name(f"{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with aside.open("wb") as file:
            file.write(content)
            if durably:
                file.flush()
                os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
