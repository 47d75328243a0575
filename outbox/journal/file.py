"""The journal's file: who may have it, whose it is, and what happens to a damaged one."""

import contextlib
import errno
import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from host.lock import Lock, LockedError, lock_path
from outbox.journal import salvage, schema
from outbox.journal.heartbeat import Reach
from outbox.journal.store import Store

log = logging.getLogger(__name__)

KEPT_ASIDE = 1  # all that can be read of it is in the journal; it may be as large as that
_OLD_IDS = (
    0x504C4A31,
    0x504C5431,
)  # "PLJ1", "PLT1": journal and tests of 0.1, more than a bit away from ours
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# What Python says of a damaged text: in a column, and in one that a checksum is made of.
_NO_TEXT = ("Could not decode to UTF-8", "user-defined function raised")
# The disk or the system is to blame, not the file: it must not be set aside for that.
_TROUBLE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
}
# SQLite has rolled back, and the connection still reads. Reopening could only add a failure.
_PASSING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DISK = {
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.ENXIO,
    errno.ENODEV,
    errno.EUCLEAN,
    errno.ESTALE,
}
_SUFFIXES = ("", "-wal", "-shm")


class JournalError(Exception):
    """The journal cannot be used; the text says whose fault it is and what to do."""


class DiskTroubleError(Exception):
    """The disk fails, which may pass; the text names file and fault."""


def is_broken(error: sqlite3.Error) -> bool:
    """True if SQLite says that the file itself is damaged, rather than full or out of reach."""
    return _code(error) in _BROKEN or str(error).startswith(_NO_TEXT)


def stays_open(error: sqlite3.Error) -> bool:
    """True if the open file is still of use: readable, and writable once the disk takes it again."""
    return _code(error) in _PASSING


def _code(error: sqlite3.Error) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _explain(error: OSError, path: Path, advice: str) -> Exception:
    """A disk may recover; rights and names are somebody's mistake."""
    if error.errno in _DISK:
        return DiskTroubleError(f"{path}: {error.strerror}")
    return JournalError(f"journal {path}: {error.strerror}: {advice}")


def place(path: Path) -> Path:
    """The file to use for the journal at ``path``: another one where Plancher 0.1 left its own there.

    Nothing of 0.1 was released, so its file is not read. It is left as it is.
    """
    try:
        with path.open("rb") as file:
            found = int.from_bytes(file.read(72)[68:])
    except OSError:
        return path
    return path.with_name(f"{path.stem}-new{path.suffix}") if found in _OLD_IDS else path


def lock(path: Path) -> Lock:
    """The journal for this program alone. Raises JournalError and DiskTroubleError."""
    advice = "give a directory this user may write in"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise JournalError(f"journal {path}: {error.filename}: {error.strerror}: {advice}") from None
    try:
        return Lock(path)
    except OSError as error:
        raise _explain(error, lock_path(path), advice) from None
    except LockedError as error:
        raise JournalError(
            f"journal {path}: in use by process {error.holder}: end that, or use another journal"
        ) from None


def open_store(path: Path, known: Sequence[Reach], now_us: int) -> Store:
    """Open the journal; a fresh one takes over what a damaged one still has, the rest is declared lost.

    ``known`` is how far it had come by its heartbeat. Raises JournalError, or DiskTroubleError where the disk
    is to blame.
    """
    try:
        return _open_store(path, known, now_us)
    except sqlite3.Error as error:
        raise DiskTroubleError(f"{path}: {error}") from None
    except OSError as error:
        raise _explain(error, path, "check the disk and its rights") from None


def _open_store(path: Path, known: Sequence[Reach], now_us: int) -> Store:
    fresh = path.with_name(f"{path.name}.salvaged")
    if fresh.exists() and not path.exists():
        _replace(path, fresh)  # the power went in between
    try:
        store = Store(_connected(path))
    except sqlite3.Error as error:
        if _code(error) in _TROUBLE:
            raise
        # In this order a power cut leaves the damaged file in its place, or the finished one beside it.
        _salvage(path, fresh, known, now_us)
        set_aside(path, now_us, str(error))
        _replace(path, fresh)
        return Store(_connected(path))
    salvage.declare_beyond(store, known, now_us)
    return store


def _salvage(path: Path, fresh: Path, known: Sequence[Reach], now_us: int) -> None:
    """Beside the damaged file, which stays where it is until all of this is on the disk."""
    for suffix in _SUFFIXES:
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    store = Store(_connected(fresh))
    try:
        salvage.salvage(path, store, known, now_us)
        store.connection.execute("PRAGMA journal_mode = DELETE")  # all in the one file that is renamed
    finally:
        store.close()


def _replace(path: Path, fresh: Path) -> None:
    """Replace the file, and keep the log of the one set aside away from it: it is in ``fresh``."""
    for suffix in _SUFFIXES[1:]:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    fresh.rename(path)
    # The name is on the disk only when its directory is: a power cut could bring the old one back.
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path, now_us: int, why: str) -> None:
    """Rename a damaged journal, for a person to look at; only the newest is kept.

    Raises JournalError if it may not be moved, OSError if the disk does not do it.
    """
    aside = path.with_name(f"{path.name}.broken-{now_us}")
    try:
        for suffix in _SUFFIXES:
            source = path.with_name(path.name + suffix)
            if source.exists():
                source.rename(aside.with_name(aside.name + suffix))
    except PermissionError as error:
        raise JournalError(
            f"journal {path}: damaged ({why}), and cannot be set aside ({error.strerror}):"
            " check the disk and the directory's rights"
        ) from None
    log.error("the journal %s is damaged (%s): it was set aside as %s", path, why, aside.name)
    _forget_oldest(path)


def _forget_oldest(path: Path) -> None:
    kept = sorted(
        {file.name.split("-")[-1] for file in path.parent.glob(f"{path.name}.broken-*[0-9]")}, key=int
    )
    for stamp in kept[:-KEPT_ASIDE]:
        for file in path.parent.glob(f"{path.name}.broken-{stamp}*"):
            log.warning("removing %s, a damaged journal set aside long ago", file.name)
            with contextlib.suppress(OSError):
                file.unlink()


def read_only(path: Path) -> sqlite3.Connection:
    """Open the journal of another process to look into it. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=2)


def _connected(path: Path) -> sqlite3.Connection:
    # SQLite says "unable to open" for every cause, and creates files by the umask. Opening them first names
    # the cause and gives their rights.
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        _touch(path.with_name(name), create=name == path.name)
    connection = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
    try:
        _prepare(connection, path)
    except UnicodeDecodeError:  # SQLite quotes what it cannot make sense of
        connection.close()
        raise schema.damaged("text of its tables does not decode") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _touch(path: Path, *, create: bool) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600))
    except FileNotFoundError:
        if create:
            raise


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    schema.teach(connection)
    # 256 KiB instead of 2 MB, which would be a twentieth of what the agent may have.
    connection.execute("PRAGMA cache_size = -256")
    header = [
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    ]
    empty = schema.is_empty(connection)
    if not empty and not schema.fits(connection):
        raise _foreign(path, *header)
    expected = [0, 0] if empty else [schema.APPLICATION_ID, schema.SCHEMA_VERSION]
    if header != expected or _is_odd(path):
        raise schema.damaged("its header does not fit its tables")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
    # The log keeps the size of the largest transaction otherwise, and an SD card is small.
    connection.execute("PRAGMA journal_size_limit = 1000000")
    if empty:
        schema.create(connection)
    elif finding := schema.damage(connection):
        raise schema.damaged(finding)


def _is_odd(path: Path) -> bool:
    """SQLite takes a file of a format later than it knows for one that it may only read."""
    with path.open("rb") as file:
        return any(number > 2 for number in file.read(20)[18:])


def _foreign(path: Path, application_id: int, version: int) -> Exception:
    """Error for tables that are not ours: the application id or a newer version says whose they are."""
    if application_id != schema.APPLICATION_ID:
        return JournalError(f"journal {path}: another program's database: give a path of its own")
    if version > schema.SCHEMA_VERSION:
        return JournalError(
            f"journal {path}: written by a newer program (schema {version}, this one knows"
            f" {schema.SCHEMA_VERSION}): upgrade this program, or give it a journal of its own"
        )
    return schema.damaged("its tables are not a journal's")
