"""The agent's durable record: every measurement is committed here before anything else happens to it.

Identity is (epoch, seq). Every opening draws a new random epoch, chained to the one before with its last seq,
so that a restored or power-cut disk cannot use an identity twice. Only a receipt marks a measurement; marked
ones stay a week, so that a collector restored from a backup can be sent them again.
"""

import logging
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import Self

from msgspec import Struct

from agent import journal_file
from agent.journal_file import JournalError, Transaction
from wire import messages
from wire.messages import EpochMark
from wire.records import ClockReading, Failure, Known

log = logging.getLogger(__name__)

KEEP_MARKED_US = 7 * 86_400 * 1_000_000
PRUNED_AT_ONCE = 200
EPOCHS_KEPT = 50

# SQLite gives the other columns of the row that has the maximum.
_NEWEST_SLOTS = (
    "SELECT schedule, slot_us, max(position) FROM measurement"
    " WHERE schedule IS NOT NULL AND slot_us IS NOT NULL GROUP BY schedule"
)


class State(IntEnum):
    """What became of a measurement, as far as receipts tell."""

    UNSENT = 0
    MARKED = 1
    QUARANTINED = 2
    CONFLICT = 3


class Row(Struct, frozen=True):
    """One journalled measurement as it goes on the wire. ``position`` grows with every commit."""

    position: int
    epoch: str
    seq: int
    record: bytes


class Change(Struct, frozen=True):
    """The new state of the measurements ``first`` to ``last`` of one epoch."""

    epoch: str
    first: int
    last: int
    state: State


class Counts(Struct, frozen=True):
    """How many measurements are in which state; ``gaps`` counts those lost for good, ``used`` is bytes."""

    unsent: int
    marked: int
    quarantined: int
    conflict: int
    gaps: int
    used: int


class Journal:
    """One open journal. Not for several threads at once; every method may wait for the disk.

    Raises JournalError on opening if the file cannot be used. A damaged file is set aside and a fresh one
    begun, on opening as well as later.
    """

    def __init__(self, path: Path, size: int, now: ClockReading) -> None:
        self._path = path
        self._size = size
        self._now = now
        self._lock = journal_file.Lock(path)
        try:
            self._connection = journal_file.connect(path, now.wall_us)
            self._position = self.newest_position()
            self._begin_epoch(now, self._last_epoch())
        except BaseException as error:
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                raise JournalError(f"journal.path: {path}: {error}: check the disk") from None
            raise

    def commit(self, build: Callable[[str, int], Known], now: ClockReading) -> Known | None:
        """Give a measurement its identity and make it durable.

        None if the disk would not take it: the measurement is lost, which the next commit declares as a gap.
        """
        self._now = now
        for _ in range(2):
            self._seq += 1
            measurement = build(self.epoch, self._seq)
            try:
                self._insert(measurement, now)
            except sqlite3.Error as error:
                if self._repair(error, self._seq - 1):
                    continue
                self._lose(error)
                return None
            return measurement
        return None

    def unsent(self, limit: int, *, after: int = 0) -> list[Row]:
        """The newest measurements without a receipt, newest first, among positions beyond ``after``."""
        query = (
            "SELECT position, epoch, seq, record FROM measurement"
            " WHERE state = ? AND position > ? ORDER BY position DESC LIMIT ?"
        )
        with self._surviving():
            return [Row(*row) for row in self._connection.execute(query, (State.UNSENT, after, limit))]
        return []

    def apply(self, changes: Iterable[Change], now: ClockReading) -> int:
        """Do what receipts say; returns how many measurements changed. A marked one stays marked."""
        self._now = now
        marked_us = now.wall_us if now.synchronised else None
        with self._surviving(), self._transaction():
            return sum(self._change(change, marked_us) for change in changes)
        return 0

    def release_quarantine(self) -> int:
        """Let rejected measurements be sent again; returns how many."""
        with self._surviving(), self._transaction():
            return self._connection.execute(
                "UPDATE measurement SET state = ? WHERE state = ?", (State.UNSENT, State.QUARANTINED)
            ).rowcount
        return 0

    def marks(self, epochs: Sequence[str]) -> tuple[EpochMark, ...]:
        """How far the present epoch and those named have come, and what each follows."""
        wanted = list(dict.fromkeys([self.epoch, *epochs]))
        holes = ", ".join("?" * len(wanted))
        with self._surviving():
            found = self._connection.execute(
                "SELECT epoch, last_seq, previous, previous_last FROM epoch"  # noqa: S608 -- holes are question marks
                f" WHERE epoch IN ({holes})",
                wanted,
            )
            return tuple(self._mark(*row) for row in found)
        return ()

    def newest_position(self) -> int:
        """The position of the newest measurement, 0 if there is none."""
        found = self._connection.execute("SELECT max(position) FROM measurement").fetchone()
        return int(found[0] or 0)

    def newest_slots(self) -> dict[str, int]:
        """The wall time of the slot of each schedule id that was measured last.

        What was cancelled because the agent was stopped is not among them: it may be measured again.
        """
        return {schedule: slot_us for schedule, slot_us, _ in self._connection.execute(_NEWEST_SLOTS)}

    def newest_with(self, schedule: str, landmark: bytes) -> bytes | None:
        """The newest record of a schedule id that holds ``landmark``, as it goes on the wire."""
        with self._surviving():
            return newest_with(self._connection, schedule, landmark)
        return None

    def prune(self, now: ClockReading) -> None:
        """Forget what a receipt marked a week ago, and keep the file within its size."""
        self._now = now
        with self._surviving():
            with self._transaction():
                if now.synchronised:
                    self._forget_old(now.wall_us)
                self._forget_epochs()
            while used_bytes(self._connection) > self._size and self._forget_some(now.wall_us):
                pass

    def counts(self) -> Counts:
        """What the journal holds."""
        return counts(self._connection)

    def close(self) -> None:
        """Fold everything into one file and let another agent have it."""
        if self._lost:
            with suppress(sqlite3.Error), self._transaction():
                self._declare_lost(self._seq, self._now.wall_us)
        self._connection.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _last_epoch(self) -> tuple[str | None, int | None]:
        found: tuple[str, int] | None = self._connection.execute(
            "SELECT epoch, last_seq FROM epoch ORDER BY rowid DESC LIMIT 1"
        ).fetchone()
        return found or (None, None)

    def _begin_epoch(self, now: ClockReading, follows: tuple[str | None, int | None]) -> None:
        self._seq, self._lost = 0, 0
        self.epoch = secrets.token_hex(8)
        previous, previous_last = follows
        with self._transaction():
            self._connection.execute(
                "INSERT INTO epoch VALUES (?, ?, ?, 0, ?)",
                (self.epoch, previous, previous_last, now.wall_us),
            )

    def _insert(self, measurement: Known, now: ClockReading) -> None:
        with self._transaction():
            if self._lost:
                self._declare_lost(self._seq - 1, now.wall_us)
            self._connection.execute(
                "INSERT INTO measurement (position, epoch, seq, state, schedule, slot_us, record)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    self._position + 1,
                    self.epoch,
                    self._seq,
                    State.UNSENT,
                    measurement.schedule,
                    None if measurement.failure is Failure.CANCELLED else measurement.slot_us,
                    messages.encode(measurement),
                ),
            )
            self._reached(self._seq)
        self._lost, self._position = 0, self._position + 1

    def _declare_lost(self, last: int, wall_us: int) -> None:
        self._declare(self.epoch, last - self._lost + 1, last, "full", wall_us)
        self._reached(last)

    def _reached(self, seq: int) -> None:
        self._connection.execute("UPDATE epoch SET last_seq = ? WHERE epoch = ?", (seq, self.epoch))

    def _repair(self, error: sqlite3.Error, last_seq: int) -> bool:
        """Begin a fresh file if this one is damaged. Raises JournalError if that cannot be done.

        Its epoch is chained to the damaged one's, so that the collector sees what it never got of it; its
        positions go on, because whoever reads only what is newer than some position goes on, too.
        """
        if not journal_file.is_broken(error):
            return False
        follows = self.epoch, last_seq
        self._connection.close()
        journal_file.set_aside(self._path, self._now.wall_us, str(error))
        self._connection = journal_file.connect(self._path, self._now.wall_us)
        try:
            self._begin_epoch(self._now, follows)
        except sqlite3.Error as again:
            raise JournalError(f"journal.path: {self._path}: {again}: check the disk") from None
        return True

    def _lose(self, error: sqlite3.Error) -> None:
        self._lost += 1
        log.error("the journal %s takes no measurement (%s): %d lost so far", self._path, error, self._lost)

    def _change(self, change: Change, marked_us: int | None) -> int:
        return self._connection.execute(
            "UPDATE measurement SET state = ?, marked_us = ?"
            " WHERE epoch = ? AND seq BETWEEN ? AND ? AND state IN (?, ?)",
            (
                change.state,
                marked_us,
                change.epoch,
                change.first,
                change.last,
                State.UNSENT,
                State.QUARANTINED,
            ),
        ).rowcount

    def _mark(self, epoch: str, last: int, previous: str | None, previous_last: int | None) -> EpochMark:
        high = self._seq if epoch == self.epoch else last
        return EpochMark(epoch=epoch, high_water=high, previous=previous, previous_last=previous_last)

    def _forget_old(self, wall_us: int) -> None:
        """A mark made while the clock was wrong ages from the first synchronised moment after it."""
        done = (State.MARKED, State.CONFLICT)
        self._connection.execute(
            "UPDATE measurement SET marked_us = ? WHERE state IN (?, ?) AND marked_us IS NULL",
            (wall_us, *done),
        )
        self._connection.execute(
            "DELETE FROM measurement WHERE state IN (?, ?) AND marked_us < ?",
            (*done, wall_us - KEEP_MARKED_US),
        )

    def _forget_epochs(self) -> None:
        """Of epochs that left no measurement only the newest matter: the present one is chained to them."""
        self._connection.execute(
            "DELETE FROM epoch WHERE epoch NOT IN (SELECT epoch FROM measurement)"
            " AND rowid <= (SELECT max(rowid) FROM epoch) - ?",
            (EPOCHS_KEPT,),
        )

    def _forget_some(self, wall_us: int) -> bool:
        """Forget the oldest of what matters least; what was not sent goes last, and is declared a gap."""
        for state in (State.MARKED, State.CONFLICT, State.QUARANTINED, State.UNSENT):
            with self._transaction():
                gone = self._connection.execute(
                    "DELETE FROM measurement WHERE position IN (SELECT position FROM measurement"
                    " WHERE state = ? ORDER BY position LIMIT ?) RETURNING epoch, seq",
                    (state, PRUNED_AT_ONCE),
                ).fetchall()
                if gone and state in (State.QUARANTINED, State.UNSENT):
                    self._declare_dropped(gone, wall_us)
            if gone:
                return True
        return False

    def _declare_dropped(self, gone: list[tuple[str, int]], wall_us: int) -> None:
        log.error(
            "the journal %s is full of measurements that the collector has not got: %d of the oldest dropped;"
            " look at the broker and the collector, or raise journal.size",
            self._path,
            len(gone),
        )
        for epoch, first, last in runs(gone):
            self._declare(epoch, first, last, "dropped", wall_us)

    def _declare(self, epoch: str, first: int, last: int, reason: str, wall_us: int) -> None:
        extended = self._connection.execute(
            "UPDATE gap SET last = ? WHERE epoch = ? AND last = ? AND reason = ?",
            (last, epoch, first - 1, reason),
        ).rowcount
        if not extended:
            self._connection.execute(
                "INSERT INTO gap VALUES (?, ?, ?, ?, ?)", (epoch, first, last, reason, wall_us)
            )

    def _transaction(self) -> Transaction:
        return Transaction(self._connection)

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        """What a disk in trouble would not do is left undone: receipts and time-outs make up for it."""
        try:
            yield
        except sqlite3.Error as error:
            if not self._repair(error, self._seq):
                log.error("the journal %s: %s: check the disk", self._path, error)


def runs(keys: Iterable[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Identities as runs without holes: (epoch, first, last), sorted."""
    found: list[tuple[str, int, int]] = []
    for epoch, seq in sorted(keys):
        if found and found[-1][0] == epoch and found[-1][2] == seq - 1:
            found[-1] = (epoch, found[-1][1], seq)
        else:
            found.append((epoch, seq, seq))
    return found


def counts(connection: sqlite3.Connection) -> Counts:
    """What a journal holds, through any connection to it."""
    by_state = dict(connection.execute("SELECT state, count(*) FROM measurement GROUP BY state").fetchall())
    gaps = connection.execute("SELECT coalesce(sum(last - first + 1), 0) FROM gap").fetchone()[0]
    unsent, marked, quarantined, conflict = (by_state.get(state, 0) for state in State)
    return Counts(unsent, marked, quarantined, conflict, gaps, used_bytes(connection))


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold something; freed pages are used again and do not count."""
    total, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((total - free) * size)


def newest_records(connection: sqlite3.Connection) -> list[bytes]:
    """The newest measurement of each schedule id, newest first, whatever became of them."""
    found = connection.execute(
        "SELECT record FROM measurement WHERE position IN"
        " (SELECT max(position) FROM measurement GROUP BY schedule) ORDER BY position DESC"
    )
    return [row[0] for row in found]


def newest_with(connection: sqlite3.Connection, schedule: str, landmark: bytes) -> bytes | None:
    """The newest record of a schedule id that holds ``landmark``."""
    query = "SELECT record FROM measurement WHERE schedule = ? AND instr(record, ?) ORDER BY position DESC"
    found = connection.execute(f"{query} LIMIT 1", (schedule, landmark)).fetchone()
    return found[0] if found else None
