"""The peer's record of its tests: in a file, and in memory for as long as the file cannot take them."""

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from host.units import counted
from peer import record_file
from peer.record import Entry, Identity
from peer.record_file import FileError, RecordFile, State

MEMORY_ROWS = 5_000  # about 3 MB
UNWRITTEN_ROWS = 100_000
_READABLE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY}

Result = TypeVar("Result")
_LOG = logging.getLogger(__name__)


class RecordLog:
    """Keeps tests until the collector has them, and beyond as long as there is room. For one thread.

    Nothing here raises for a disk that is full, read-only or gone, nor for a damaged file: ``problem`` then
    tells a person, tests stay in memory, the newest ``MEMORY_ROWS`` of them, and every call tries again.
    """

    def __init__(self, path: Path, rows: int, size: int) -> None:
        self.problem: str | None = None
        self.lost = 0
        self._path, self._rows, self._size = path, rows, size
        self._file: RecordFile | None = None
        self._memory: dict[Identity, bytes] = {}
        self._unwritten: dict[Identity, State] = {}

    def open(self) -> None:
        """Open the file, so that a problem shows at the start."""
        if self._with_file(RecordFile.counts) is not None:
            self._well()

    def add(self, entries: Sequence[Entry]) -> None:
        """Keep these."""
        self._memory.update((entry.identity, entry.record) for entry in entries)
        self._write()
        while len(self._memory) > MEMORY_ROWS:
            del self._memory[next(iter(self._memory))]
            self.lost += 1
            if self.lost % 1000 == 1:
                _LOG.error("%s lost so far: no file takes them, memory is full", counted(self.lost, "test"))

    def unsent(self, limit: int, without: Collection[Identity] = ()) -> list[Entry]:
        """The newest that wait for a receipt, beside those of ``without``."""
        self._write()
        beside = {*without, *self._unwritten}
        entries = [
            Entry(identity, record)
            for identity, record in reversed(self._memory.items())
            if identity not in beside
        ][:limit]
        beside.update(self._memory)
        if len(entries) < limit:
            entries += self._with_file(lambda file: file.unsent(limit - len(entries), beside)) or []
        return entries

    def settle(self, states: Mapping[Identity, State]) -> None:
        """Take in what the collector said: nothing that it has is sent again, even if no disk takes that."""
        self._unwritten.update(states)
        for identity, state in states.items():
            if state is State.RECEIVED:
                self._memory.pop(identity, None)
        self._write()
        while len(self._unwritten) > UNWRITTEN_ROWS:
            del self._unwritten[next(iter(self._unwritten))]

    def release(self) -> int:
        """Let what was rejected be sent again; how many there are."""
        self._write()
        rejected = [identity for identity, state in self._unwritten.items() if state is State.REJECTED]
        for identity in rejected:
            del self._unwritten[identity]
        return len(rejected) + (self._with_file(RecordFile.release) or 0)

    def close(self) -> None:
        """Write what can be written and close the file."""
        self._write()
        if self._memory:
            _LOG.error("%s lost at the end: %s", counted(len(self._memory), "test"), self.problem)
        self._close_file()

    def _write(self) -> None:
        """Bring what memory holds into the file."""
        if not self._memory and not self._unwritten:
            return
        waiting = [Entry(identity, record) for identity, record in self._memory.items()]

        def write(file: RecordFile) -> int:
            dropped = file.add(waiting) if waiting else 0
            if self._unwritten:
                file.settle(self._unwritten)
            return dropped

        dropped = self._with_file(write)
        if dropped is not None:
            self._memory.clear()
            self._unwritten.clear()
            self._well()
            self._count_dropped(dropped)

    def _count_dropped(self, dropped: int) -> None:
        if dropped:
            self.lost += dropped
            _LOG.error("tests.path: %s is full: %d tests without a receipt are lost so far",
                       self._path, self.lost)  # fmt: skip

    def _with_file(self, work: Callable[[RecordFile], Result]) -> Result | None:
        """The result of ``work``, None while the file cannot be used. A damaged one is replaced, once."""
        for _ in range(2):
            try:
                return work(self._opened())
            except (FileError, OSError) as error:
                self._trouble(getattr(error, "strerror", None) or str(error))
                return None
            except sqlite3.Error as error:
                if not (record_file.is_broken(error) and self._replace(error)):
                    self._trouble(str(error))
                    self._reopen_after(error)
                    return None
        return None

    def _opened(self) -> RecordFile:
        if self._file is None:
            self._file = RecordFile(self._path, self._rows, self._size)
        return self._file

    def _reopen_after(self, error: sqlite3.Error) -> None:
        """What is full or read-only can still be read; anything else may mend itself by a fresh opening."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _READABLE:
            self._close_file()

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(sqlite3.Error):  # what folding the write-ahead log may find
                file.close()

    def _replace(self, error: sqlite3.Error) -> bool:
        self._close_file()
        try:
            aside = record_file.set_aside(self._path)
        except OSError:
            return False
        _LOG.error("tests.path: %s is damaged (%s): it was set aside as %s and a fresh one begun; tests that"
                   " were not sent yet are in it", self._path, error, aside.name)  # fmt: skip
        return True

    def _trouble(self, why: str) -> None:
        problem = f"tests.path: {self._path}: {why}"
        if problem != self.problem:
            _LOG.error("%s: load tests are served on, their records kept in memory", problem)
        self.problem = problem

    def _well(self) -> None:
        if self.problem is not None:
            _LOG.info("tests.path: %s is in use again", self._path)
        self.problem = None
