"""Atomic replacement of small files: neither a reader nor a power cut finds a partial one."""

import contextlib
import os
from pathlib import Path

from host import rights


def replace(path: Path, content: bytes, *, durably: bool) -> None:
    """Write a new file beside ``path`` and rename it over the old one.

    With ``durably`` the new content is on the disk before the rename: after a power cut the old or the new
    content is found. Raises OSError where the disk refuses; the old file is then unchanged.
    """
    new = path.with_name(f"{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # What an interrupted write, or somebody else, left there is never written through.
        new.unlink(missing_ok=True)
        with open(rights.make_own(new, 0o666), "wb") as file:  # noqa: PTH123 -- a descriptor
            file.write(content)
            if durably:
                file.flush()
                os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
