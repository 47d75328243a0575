"""Keeps a second writer off one ledger: another collector, or a restore while one runs."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from collector.ledger.database import LedgerError


class Lock:
    """Held by an open file beside the ledger, so that a kill releases it.

    Raises LedgerError where another process has it, or the file cannot be made.
    """

    def __init__(self, ledger: Path) -> None:
        path = ledger.with_name(ledger.name + ".lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            text = f"{path.name}: {error.strerror}: does the folder exist, and may this user write there?"
            raise LedgerError(f"ledger {ledger}: {text}") from None
        give_to_owner(descriptor, ledger.parent)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            text = f"another collector (process {holder or 'unknown'}) has it: end that one first"
            raise LedgerError(f"ledger {ledger}: {text}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let another have the ledger."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def give_to_owner(descriptor: int, folder: Path) -> None:
    """What root makes in a folder belongs to the folder's owner: else its collector could not open it."""
    if os.geteuid() == 0:
        with suppress(OSError):
            owner = folder.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
