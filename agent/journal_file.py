"""The journal's file: who may have it, what is in it, and what is done with one that is broken."""

import contextlib
import fcntl
import logging
import os
import sqlite3
from pathlib import Path

log = logging.getLogger(__name__)

APPLICATION_ID = 0x504C4A31  # "PLJ1", so that file(1) and a person can tell what this database is
SCHEMA_VERSION = 1
KEPT_ASIDE = 3
_BROKEN = {11, 26}  # SQLITE_CORRUPT, SQLITE_NOTADB

_SCHEMA = """
CREATE TABLE epoch (
    epoch TEXT PRIMARY KEY, previous TEXT, previous_last INTEGER,
    last_seq INTEGER NOT NULL, opened_us INTEGER NOT NULL);
CREATE TABLE measurement (
    position INTEGER PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL, state INTEGER NOT NULL,
    marked_us INTEGER, schedule TEXT, slot_us INTEGER, record BLOB NOT NULL);
CREATE UNIQUE INDEX identity ON measurement (epoch, seq);
CREATE INDEX by_state ON measurement (state, position);
CREATE TABLE gap (
    epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, reason TEXT NOT NULL,
    at_us INTEGER NOT NULL);
"""


class JournalError(Exception):
    """The journal cannot be used; the text says whose fault it is and what to do."""


def is_broken(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file itself is damaged, rather than full or out of reach."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _BROKEN


class Lock:
    """Keeps a second agent off one journal. Held by the open file, so a kill releases it."""

    def __init__(self, journal: Path) -> None:
        path = journal.with_name(journal.name + ".lock")
        try:
            journal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(
                f"journal.path: {error.filename}: {error.strerror}: give a directory this user may write in"
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._descriptor, 20).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise JournalError(
                f"journal.path: {journal}: another agent (process {holder or 'unknown'}) has this journal:"
                " end it, or give this one a journal of its own"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    @staticmethod
    def is_held(journal: Path) -> bool:
        """Whether an agent has this journal just now; takes nothing."""
        try:
            with journal.with_name(journal.name + ".lock").open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def release(self) -> None:
        """Let another agent have the journal."""
        os.close(self._descriptor)


class Transaction:
    """Commit on success, roll back on any exception."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._connection.execute("COMMIT")
                return
            except sqlite3.Error:
                self._roll_back()
                raise
        self._roll_back()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def connect(path: Path, now_us: int) -> sqlite3.Connection:
    """Open the journal, or set a broken one aside and begin a fresh one. Raises JournalError."""
    try:
        return _prepared(path)
    except sqlite3.Error as error:
        if not is_broken(error):
            raise JournalError(f"journal.path: {path}: {error}: check the disk and its rights") from None
        set_aside(path, now_us, str(error))
    try:
        return _prepared(path)
    except sqlite3.Error as error:
        raise JournalError(f"journal.path: {path}: {error}: check the disk and its rights") from None


def set_aside(path: Path, now_us: int, why: str) -> None:
    """Rename a broken journal, keeping it for a person to look at; only the newest few are kept.

    Raises JournalError if it cannot be moved.
    """
    aside = path.with_name(f"{path.name}.broken-{now_us}")
    try:
        for suffix in ("", "-wal", "-shm"):
            source = path.with_name(path.name + suffix)
            if source.exists():
                source.rename(aside.with_name(aside.name + suffix))
    except OSError as error:
        raise JournalError(
            f"journal.path: {path}: damaged ({why}), and cannot be set aside ({error.strerror}):"
            " check the disk and the directory's rights"
        ) from None
    log.error(
        "the journal %s is damaged (%s): it was set aside as %s and a fresh one begun; measurements that"
        " were not sent yet are in it",
        path,
        why,
        aside.name,
    )
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
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise JournalError(f"journal.path: {path}: {error.strerror}: check the disk and its rights") from None
    connection = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
    try:
        _settle(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _settle(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before anybody hears of it
    connection.execute("PRAGMA cache_size = -256")
    connection.execute("PRAGMA journal_size_limit = 1000000")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"journal.path: {path}: written by a newer agent (schema {version}, this one knows"
            f" {SCHEMA_VERSION}): upgrade this agent, or give it a journal of its own"
        )
    if version and connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise _foreign(path)
    finding = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if finding != "ok":
        raise _damaged(finding)
    if version == 0:
        _create(connection, path)


def _create(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise _foreign(path)
    connection.executescript(
        f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID};"
        f" PRAGMA user_version = {SCHEMA_VERSION}; {_SCHEMA} COMMIT;"
    )


def _foreign(path: Path) -> JournalError:
    return JournalError(f"journal.path: {path}: another program's database: give a path of its own")


def _damaged(finding: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(finding)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
