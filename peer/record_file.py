"""The file of the tests that this peer served (SQLite): bounded, and what has a receipt goes first."""

import contextlib
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import IntEnum
from pathlib import Path

from peer.record import Entry, Identity

APPLICATION_ID = 0x504C5431  # "PLT1", so that file(1) and a person can tell what this database is
SCHEMA_VERSION = 1
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PORTION = 100  # records dropped at a time: what drops one of them at every test writes twice
_SCHEMA = """
CREATE TABLE test (
    position INTEGER PRIMARY KEY, session TEXT NOT NULL, direction TEXT NOT NULL, start_us INTEGER NOT NULL,
    state INTEGER NOT NULL, record BLOB NOT NULL);
CREATE UNIQUE INDEX identity ON test (session, direction, start_us);
CREATE INDEX by_state ON test (state, position);
"""


class State(IntEnum):
    """What the collector said of a test. ``REJECTED`` is tried again later; ``RECEIVED`` is for good."""

    UNSENT = 0
    REJECTED = 1
    RECEIVED = 2


class FileError(Exception):
    """The file cannot be used for what it is; the text says why and what to do."""


def is_broken(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file itself is damaged, rather than full or out of reach."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _BROKEN


def set_aside(path: Path) -> Path:
    """Rename a damaged file for a person to look at, in the place of an earlier one. Raises OSError."""
    aside = path.with_name(path.name + ".broken")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return aside


class RecordFile:
    """Holds no more than ``rows`` tests and about ``size`` bytes. Its methods raise sqlite3.Error.

    Opening raises FileError, OSError or sqlite3.Error.
    """

    def __init__(self, path: Path, rows: int, size: int) -> None:
        self._rows, self._size = rows, size
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
        try:
            self._settle_file()
        except BaseException:
            self._connection.close()
            raise

    def _settle_file(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")  # a test that is kept survives a power cut
        self._connection.execute("PRAGMA journal_size_limit = 1000000")
        version = self._pragma("user_version")
        if version > SCHEMA_VERSION:
            raise FileError(
                f"written by a newer peer (schema {version}): upgrade this one, or give it a file of its own"
            )
        foreign = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if self._pragma("application_id") != APPLICATION_ID and (version or foreign):
            raise FileError("another program's database: give a path of its own")
        finding = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if finding != "ok":
            error = sqlite3.DatabaseError(finding)
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        if version == 0:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID};"
                f" PRAGMA user_version = {SCHEMA_VERSION}; {_SCHEMA} COMMIT;"
            )

    def add(self, entries: Sequence[Entry]) -> int:
        """Keep these: they are on the disk on return. One that is there already stays as it is.

        Returns how many tests without a receipt had to go for want of room.
        """
        with self._transaction():
            self._connection.executemany(
                "INSERT OR IGNORE INTO test (session, direction, start_us, state, record)"
                " VALUES (?, ?, ?, ?, ?)",
                [(*entry.identity, State.UNSENT, entry.record) for entry in entries],
            )
            return self._make_room()

    def unsent(self, limit: int, without: Collection[Identity] = ()) -> list[Entry]:
        """The newest that wait for a receipt, beside those of ``without``."""
        found = self._connection.execute(
            "SELECT session, direction, start_us, record FROM test WHERE state = ?"
            " ORDER BY position DESC LIMIT ?",
            (State.UNSENT, limit + len(without)),
        )
        entries = (Entry((session, direction, start), record) for session, direction, start, record in found)
        return [entry for entry in entries if entry.identity not in without][:limit]

    def settle(self, states: Mapping[Identity, State]) -> None:
        """Write down what the collector said."""
        with self._transaction():
            self._connection.executemany(
                "UPDATE test SET state = ?"
                " WHERE session = ? AND direction = ? AND start_us = ? AND state < ?",
                [(state, *identity, State.RECEIVED) for identity, state in states.items()],
            )

    def release(self) -> int:
        """Let what was rejected be sent again; how many there are."""
        with self._transaction():
            return self._connection.execute(
                "UPDATE test SET state = ? WHERE state = ?", (State.UNSENT, State.REJECTED)
            ).rowcount

    def counts(self) -> tuple[int, int]:
        """How many tests are kept, and how many of them have no receipt."""
        all_of_them = self._count("state >= ?", State.UNSENT)
        return all_of_them, all_of_them - self._count("state = ?", State.RECEIVED)

    def close(self) -> None:
        """Fold everything into one file."""
        self._connection.close()

    def _make_room(self) -> int:
        """Drop what is too much; how many of that had no receipt."""
        excess, lost = self._count("state >= ?", State.UNSENT) - self._rows, 0
        if excess > 0:
            lost += self._drop(max(excess, min(_PORTION, self._rows // 10)))[1]
        while self._used_bytes() > self._size:
            received, unsent = self._drop(_PORTION)
            lost += unsent
            if not received + unsent:
                break
        return lost

    def _drop(self, number: int) -> tuple[int, int]:
        """The oldest with a receipt; only when none is left, the oldest without. How many of each."""
        received = self._delete("state = ?", State.RECEIVED, number)
        return received, self._delete("state < ?", State.RECEIVED, number - received)

    def _delete(self, where: str, state: State, number: int) -> int:
        return self._connection.execute(
            f"DELETE FROM test WHERE position IN"  # noqa: S608 -- the conditions stand above
            f" (SELECT position FROM test WHERE {where} ORDER BY position LIMIT ?)",
            (state, number),
        ).rowcount

    def _count(self, where: str, state: State) -> int:
        found = self._connection.execute(f"SELECT count(*) FROM test WHERE {where}", (state,))  # noqa: S608
        return int(found.fetchone()[0])

    def _used_bytes(self) -> int:
        used = self._pragma("page_count") - self._pragma("freelist_count")
        return used * self._pragma("page_size")

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
