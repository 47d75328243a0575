"""Place of the ledger on disk: one process has it, its file stays at its path, and it is begun once.

SQLite goes on writing a file that was deleted or moved, and every commit succeeds. The rows are lost all the
same: nothing finds the file at the next start. Hence the file that is open must be the file at the path, or
no receipt is sent.

| found at the start | what follows |
|---|---|
| a ledger | it is used, and the mark beside it is made if it is missing |
| no file, or an empty one, and no mark | a ledger begins, and with it the mark |
| no file, or an empty one, beside a mark | refused: a ledger was here (``ledger create`` begins another) |
| the file locked by another process, through whichever link | refused |
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from host import rights
from host.lock import Lock, LockedError, lock_path

_MARK = """\
A ledger was begun here. If {name} is missing, put it back or restore a backup:
  plancher-collector ledger restore {name} BACKUP
This begins a new one, and asks all agents for what they still have:
  plancher-collector ledger create {name}
"""


class LedgerError(Exception):
    """The ledger cannot be used; the text names the file, the cause and what to do."""


class LedgerLock:
    """Lock of a ledger for this process alone. Raises LedgerError if another one has it.

    The lock on a file beside it names its holder. The lock on the ledger itself is met through a symbolic or
    a hard link, too. Release it only after the database is closed: closing a file ends SQLite's own locks.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        try:
            self._beside = Lock(path)
        except LockedError as error:
            raise self._refused(
                f"another collector (process {error.holder}) has it: end that one first"
            ) from None
        except OSError as error:
            name = lock_path(path).name
            why = f"{name}: {error.strerror}: does the folder exist, and may this user write there?"
            raise self._refused(why) from None
        try:
            self.hold()
        except BaseException:
            self.release()
            raise

    def hold(self) -> None:
        """Lock the file itself, if there is one by now."""
        if self._file is not None:
            return
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._refused(
                "another collector has it, by another name of this file: end that one first"
            ) from None
        except FileNotFoundError:
            return
        except OSError:
            return  # SQLite says in the next step what is wrong with it

    def lost(self) -> str | None:
        """Reason why the open file is no longer the ledger, or None."""
        if self._file is None:
            return None
        held = os.fstat(self._file)
        try:
            found = self._path.stat()
        except OSError as error:
            return f"the file is no longer at its path ({error.strerror}): {_PUT_BACK}"
        if (found.st_dev, found.st_ino) != (held.st_dev, held.st_ino):
            return f"another file took its place: {_PUT_BACK}"
        return None

    def release(self) -> None:
        """Release both locks."""
        if self._file is not None:
            os.close(self._file)
        self._file = None
        self._beside.release()

    def _refused(self, why: str) -> LedgerError:
        return LedgerError(f"ledger {self._path}: {why}")


_PUT_BACK = "no receipt is sent; put the file back, or stop the collector and restore a backup"


def mark_path(path: Path) -> Path:
    """Path of the mark that a ledger was begun at ``path``."""
    return path.with_name(path.name + ".exists")


def mark(path: Path) -> None:
    """Mark that there is a ledger at ``path``; on a full disk the next start does."""
    with suppress(OSError):
        descriptor = rights.make_own(mark_path(path))
        try:
            os.write(descriptor, os.fsencode(_MARK.format(name=path)))
        finally:
            os.close(descriptor)


def refuse_to_begin_anew(path: Path) -> None:
    """Raise LedgerError if a ledger was here and is missing, or is empty now."""
    with suppress(OSError):
        if path.stat().st_size:
            return
    if mark_path(path).exists():
        raise LedgerError(
            f"ledger {path}: missing, though {mark_path(path).name} says that one was begun here: put it "
            "back, restore a backup (plancher-collector ledger restore), or begin another one (ledger create)"
        )
