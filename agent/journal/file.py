"""The journal's file: who may have it, what is in it, and what is done with one that is broken."""

import contextlib
import errno
import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from agent.journal import salvage as journal_salvage
from agent.journal import schema as journal_schema
from agent.journal.reached import Reached
from agent.journal.salvage import SalvagedRow
from agent.journal.store import Store
from host.lock import Lock, LockedError, lock_path

log = logging.getLogger(__name__)

KEPT_ASIDE = 1  # all that can be read of it is in the journal; it may be as large as that
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# What Python says of a damaged text: in a column, and in one that a checksum is to be made of.
_NO_TEXT = ("Could not decode to UTF-8", "user-defined function raised")
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
    """The disk does not take or give what it should, which may pass; the text names file and fault."""


def is_broken(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file itself is damaged, rather than full or out of reach."""
    return _code(error) in _BROKEN or str(error).startswith(_NO_TEXT)


def _is_trouble(error: sqlite3.Error) -> bool:
    return _code(error) in _TROUBLE


def _code(error: sqlite3.Error) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _complaint(error: OSError, path: Path, advice: str) -> Exception:
    """A disk may recover; rights and names are somebody's mistake."""
    if error.errno in _DISK:
        return DiskTroubleError(f"{path}: {error.strerror}")
    return JournalError(f"journal.path: {path}: {error.strerror}: {advice}")


def lock(journal: Path) -> Lock:
    """The journal for this agent alone. Raises JournalError and DiskTroubleError."""
    advice = "give a directory this user may write in"
    try:
        journal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise JournalError(f"journal.path: {error.filename}: {error.strerror}: {advice}") from None
    try:
        return Lock(journal)
    except OSError as error:
        raise _complaint(error, lock_path(journal), advice) from None
    except LockedError as error:
        raise JournalError(
            f"journal.path: {journal}: another agent (process {error.holder}) has this journal:"
            " end it, or give this one a journal of its own"
        ) from None


def open_store(path: Path, now_us: int, known: Reached | None = None) -> Store:
    """Open the journal; of a damaged one all that can be read goes into a fresh one, the rest is gaps.

    ``known`` is how far it had come, whatever the file itself says. Raises JournalError, or DiskTroubleError
    where the disk is to blame.
    """
    try:
        return _open_store(path, now_us, known)
    except sqlite3.Error as error:
        raise DiskTroubleError(f"{path}: {error}") from None
    except OSError as error:
        raise _complaint(error, path, "check the disk and its rights") from None


def _open_store(path: Path, now_us: int, known: Reached | None) -> Store:
    fresh = path.with_name(f"{path.name}.salvaged")
    if fresh.exists() and not path.exists():
        _replace(path, fresh)  # the power went in between
    tail = journal_salvage.tail(path)
    try:
        store = Store(_prepared(path))
    except sqlite3.Error as error:
        if _is_trouble(error):
            raise
        _salvage(path, fresh, tail.rows, known, now_us)
        set_aside(path, now_us, str(error))
        _replace(path, fresh)
        return Store(_prepared(path))
    journal_salvage.add_tail(tail, _frames(store.connection), store, known, now_us)
    return store


def _salvage(
    path: Path, fresh: Path, tail: Sequence[SalvagedRow], known: Reached | None, now_us: int
) -> None:
    """Beside the damaged file, which stays where it is until all of this is on the disk."""
    for suffix in _SUFFIXES:
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    store = Store(_prepared(fresh))
    try:
        journal_salvage.salvage(path, tail, store, known, now_us)
        store.connection.execute("PRAGMA journal_mode = DELETE")  # all in the one file that is renamed
    finally:
        store.close()


def _replace(path: Path, fresh: Path) -> None:
    """What was set aside but for its log must not find that log again: it is in ``fresh``."""
    for suffix in _SUFFIXES[1:]:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    fresh.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _frames(connection: sqlite3.Connection) -> int:
    """How many frames of the log SQLite believes."""
    return int(connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])


def set_aside(path: Path, now_us: int, why: str) -> None:
    """Rename a broken journal, keeping it for a person to look at; only the newest is kept.

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
            f"journal.path: {path}: damaged ({why}), and cannot be set aside ({error.strerror}):"
            " check the disk and the directory's rights"
        ) from None
    log.error("the journal %s is damaged (%s): it was set aside as %s", path, why, aside.name)
    _forget_oldest(path)


def _forget_oldest(path: Path) -> None:
    kept = sorted({file.name.split("-")[1] for file in path.parent.glob(f"{path.name}.broken-*")}, key=int)
    for stamp in kept[:-KEPT_ASIDE]:
        for file in path.parent.glob(f"{path.name}.broken-{stamp}*"):
            log.warning("removing %s, a damaged journal set aside long ago", file.name)
            with contextlib.suppress(OSError):
                file.unlink()


def read_only(path: Path) -> sqlite3.Connection:
    """Open the journal of another process to look into it. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=2)


def _prepared(path: Path) -> sqlite3.Connection:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        _touch(path.with_name(name), create=name == path.name)
    connection = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
    try:
        _settle(connection, path)
    except UnicodeDecodeError:  # SQLite quotes what it cannot make sense of
        connection.close()
        raise journal_schema.damaged("what should be text is none") from None
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


def _settle(connection: sqlite3.Connection, path: Path) -> None:
    journal_schema.teach(connection)
    connection.execute("PRAGMA cache_size = -256")
    header = [
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    ]
    version = journal_schema.version_of(connection)
    if version is None:
        raise _unknown(path, *header)
    if header != ([journal_schema.APPLICATION_ID, version] if version else [0, 0]) or _is_odd(path):
        raise journal_schema.damaged("its header does not fit its tables")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before anybody hears of it
    connection.execute("PRAGMA journal_size_limit = 1000000")
    if version == 0:
        journal_schema.create(connection)
    finding = journal_schema.damage(connection, version or journal_schema.SCHEMA_VERSION)
    if finding:
        raise journal_schema.damaged(finding)
    if version == 1:
        journal_schema.migrate(connection)


def _is_odd(path: Path) -> bool:
    """SQLite takes a file of a format later than it knows for one that it may only read."""
    with path.open("rb") as file:
        return any(number > 2 for number in file.read(20)[18:])


def _unknown(path: Path, application_id: int, version: int) -> Exception:
    """Whose tables are these? A journal's application id or a newer agent's number says it."""
    if application_id != journal_schema.APPLICATION_ID:
        return JournalError(f"journal.path: {path}: another program's database: give a path of its own")
    if version > journal_schema.SCHEMA_VERSION:
        return JournalError(
            f"journal.path: {path}: written by a newer agent (schema {version}, this one knows"
            f" {journal_schema.SCHEMA_VERSION}): upgrade this agent, or give it a journal of its own"
        )
    return journal_schema.damaged("its tables are not a journal's")
