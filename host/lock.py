"""Keeps a second process off a file that one alone may write, by a lock on another file beside it."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class HeldError(Exception):
    """Another process has it; ``holder`` is its id as it wrote it down, or ``unknown``."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"process {holder} has it")
        self.holder = holder


class Lock:
    """Held by an open file, so that a kill releases it.

    Raises HeldError, and OSError where the file beside ``path`` cannot be made.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(beside(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_to_owner(descriptor, path.parent)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            raise HeldError(holder or "unknown") from None
        with suppress(OSError):  # a full disk: the lock holds without the name of who holds it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let another have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def is_held(path: Path) -> bool:
    """Whether a process has it just now, as far as this user may see; takes nothing."""
    try:
        with beside(path).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, PermissionError):
        return False
    except OSError:
        return True
    return False


def beside(path: Path) -> Path:
    """The file that is locked in the place of ``path``."""
    return path.with_name(path.name + ".lock")


def give_to_owner(descriptor: int, folder: Path) -> None:
    """What root makes in a folder belongs to the folder's owner: else its program could not open it."""
    if os.geteuid() == 0:
        with suppress(OSError):
            owner = folder.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
