"""Folder for the files of a part while it runs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 -- a folder of its own below it


@contextmanager
def in_memory(name: str) -> Iterator[Path]:
    """Make a temporary folder, in memory where possible: for parts that do not test a disk."""
    place = str(MEMORY) if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix=f"plancher-{name}-", dir=place) as folder:
        yield Path(folder)
