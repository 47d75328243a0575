"""Lock of a file that only one process may write, on a second file beside it."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from host import rights


class LockedError(Exception):
    """Another process has the lock; ``holder`` is its id as found in the file, or ``unknown``."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"process {holder} has it")
        self.holder = holder


class Lock:
    """Lock that lasts as long as an open file, so that a kill releases it.

    Raises LockedError, and OSError where the lock file of ``path`` cannot be created.
    """

    def __init__(self, path: Path) -> None:
        descriptor = rights.open_own(lock_path(path))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            raise LockedError(holder or "unknown") from None
        # On a full disk the lock works without the holder's id.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def is_held(path: Path) -> bool:
    """Check if a process has the lock now, as far as this user may see."""
    try:
        descriptor = rights.open_existing(lock_path(path), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def lock_path(path: Path) -> Path:
    """Path of the lock file of ``path``."""
    return path.with_name(path.name + ".lock")
