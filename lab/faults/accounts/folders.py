"""Where a part keeps its files while it runs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 -- a folder of its own below it


@contextmanager
def in_memory(name: str) -> Iterator[Path]:
    """A folder of its own, in memory where this machine has such a place: for what no disk is asked about."""
    place = str(MEMORY) if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix=f"plancher-{name}-", dir=place) as folder:
        yield Path(folder)
