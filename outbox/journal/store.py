"""The tables of one journal, on a disk or in memory: statements, and nothing that decides.

Every method may raise sqlite3.Error; the journal decides what to do about it.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Self

import msgspec

from outbox.journal import gaps, schema
from outbox.journal.heartbeat import MOST_EPOCHS, Reach
from outbox.rows import Change, Counts, Filing, PreviousRun, Row, State
from wire.messages.envelope import EpochMark, EpochRange
from wire.records import ClockReading

# MQTT may deliver a command again (QoS 1), also after a restart. Each is obeyed once.
COMMANDS_REMEMBERED = 16
# Two batches of delivery. A backlog of large records is never read whole.
FETCHED_BYTES = 256 * 1024

_SOUND = f"checksum IS checksum('record', {schema.COLUMNS['record']})"
_ROW = f"SELECT position, epoch, seq, record, {_SOUND} FROM record"  # noqa: S608 -- stands above
# SQLite gives the other columns of the row that has the maximum.
_NEWEST_SLOTS = (
    "SELECT schedule, slot_us, max(position) FROM record"
    " WHERE schedule IS NOT NULL AND slot_us IS NOT NULL GROUP BY schedule"
)
# Up to ``resolved`` no record waits for a receipt; each search begins there.
_RESOLVED = (
    "min(coalesce((SELECT min(seq) - 1 FROM record WHERE record.epoch = epoch.epoch"  # noqa: S608 -- numbers
    f" AND seq > epoch.resolved AND state IN ({State.WAITING.value}, {State.REJECTED.value})), last_seq),"
    " coalesce((SELECT min(first) - 1 FROM gap WHERE gap.epoch = epoch.epoch AND NOT named), last_seq))"
)
_FORGET_RECEIPTS = "UPDATE record SET state = ?, judged_us = NULL WHERE state IN (?, ?)"
_JUDGED = (State.WAITING, State.COMMITTED, State.CONFLICT)
_READING = msgspec.json.Decoder(ClockReading)


class Transaction:
    """Commit on success, roll back on any exception."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        # Takes the write lock at once. A deferred transaction may fail at its first write, after its reads.
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


class Store:
    """One set of tables."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    @classmethod
    def in_memory(cls) -> Self:
        """An empty one that needs no disk."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        schema.teach(connection)
        schema.create(connection)
        return cls(connection)

    def transaction(self) -> Transaction:
        """All or nothing of what is done within it."""
        return Transaction(self.connection)

    def begin_epoch(self, mark: EpochMark, now: ClockReading) -> None:
        """Make this the newest epoch, if it is not there yet."""
        self.connection.execute(
            "INSERT OR IGNORE INTO epoch (epoch, previous, previous_last, last_seq, opened_us)"
            " VALUES (?, ?, ?, ?, ?)",
            (mark.epoch, mark.previous, mark.previous_last, mark.high_water, now.wall_us),
        )

    def newest_epoch(self) -> tuple[str | None, int | None]:
        """The newest epoch and its last sequence number."""
        found: tuple[str, int] | None = self.connection.execute(
            "SELECT epoch, last_seq FROM epoch ORDER BY rowid DESC LIMIT 1"
        ).fetchone()
        return found or (None, None)

    def previous_run(self) -> PreviousRun | None:
        """End of the newest epoch; None if it is not known."""
        query = "SELECT newest, closed FROM epoch ORDER BY rowid DESC LIMIT 1"
        found = self.connection.execute(query).fetchone()
        # Salvage writes "" where the last commit of an epoch is not known.
        if found is None or found[0] == "":
            return None
        try:
            last, closed = (None if text is None else _READING.decode(text) for text in found)
        except msgspec.DecodeError:
            return None
        return PreviousRun(last, closed)

    def reach(self) -> tuple[Reach, ...]:
        """Extent of the newest epoch, and of others of which something waits, newest first."""
        found = self.connection.execute(
            "SELECT epoch, resolved, last_seq FROM epoch"
            " WHERE last_seq > resolved OR rowid = (SELECT max(rowid) FROM epoch)"
            " ORDER BY rowid DESC LIMIT ?",
            (MOST_EPOCHS,),
        )
        return tuple(Reach(*columns) for columns in found)

    def chain(self, mark: EpochMark) -> None:
        """Note which epoch this one follows, where it began before that was known."""
        self.connection.execute(
            "UPDATE epoch SET previous = ?, previous_last = ? WHERE epoch = ? AND previous IS NULL",
            (mark.previous, mark.previous_last, mark.epoch),
        )

    def end_epoch(self, epoch: str, last_seq: int, now: ClockReading) -> None:
        """Note that the program ended in order."""
        with self.transaction():
            self.connection.execute(
                "UPDATE epoch SET last_seq = ?, closed = ? WHERE epoch = ?", (last_seq, _text(now), epoch)
            )

    def insert(self, row: Row, filing: Filing, now: ClockReading) -> None:
        """A new record, and with it the last sequence number of its epoch."""
        self.connection.execute(
            "INSERT INTO record (position, epoch, seq, state, drop_order, schedule, slot_us, resume_key,"
            " record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(row.position, row.epoch, row.seq, State.WAITING),
                *(filing.drop_order, filing.schedule, filing.slot_us, filing.resume_key, row.record),
            ),
        )
        self.connection.execute(
            "UPDATE epoch SET last_seq = ?, newest = ? WHERE epoch = ?", (row.seq, _text(now), row.epoch)
        )

    def newest_waiting(self, limit: int, after: int, wanted: Callable[[Row], bool]) -> list[Row]:
        """The newest waiting rows of positions above ``after`` that are wanted, newest first.

        About ``FETCHED_BYTES`` at most. A row that is not what was written raises as other damage does.
        """
        chosen: list[Row] = []
        size = 0
        query = f"{_ROW} WHERE state = ? AND position > ? ORDER BY position DESC"
        with closing(self.connection.execute(query, (State.WAITING, after))) as found:
            for *columns, sound in found:
                row = Row(*columns)
                if not wanted(row):
                    continue
                chosen.append(_checked(row, sound))
                size += len(row.record)
                if len(chosen) >= limit or size > FETCHED_BYTES:
                    break
        return chosen

    def waiting_at(self, positions: Sequence[int]) -> list[Row]:
        """Those rows at ``positions`` that wait, newest first."""
        holes = ", ".join("?" * len(positions))
        query = f"{_ROW} WHERE state = ? AND position IN ({holes}) ORDER BY position DESC"
        found = self.connection.execute(query, (State.WAITING, *positions)).fetchall()
        return [_checked(Row(*columns), sound) for *columns, sound in found]

    def change(self, change: Change, judged_us: int | None) -> int:
        """Give rows a new state; committed and conflict are final. Returns how many changed."""
        return self.connection.execute(
            "UPDATE record SET state = ?, judged_us = ?"
            " WHERE epoch = ? AND seq BETWEEN ? AND ? AND state IN (?, ?)",
            (
                *(change.state, judged_us, change.epoch, change.first, change.last),
                *(State.WAITING, State.REJECTED),
            ),
        ).rowcount

    def apply(self, changes: Sequence[Change], named: Sequence[EpochRange], judged_us: int | None) -> int:
        """Do all of this or nothing; returns how many rows changed."""
        with self.transaction():
            gaps.name(self.connection, named, judged_us)
            return sum(self.change(change, judged_us) for change in changes)

    def release(self, limit: int) -> int:
        """Let rejected rows wait again, those first that were judged longest ago; returns how many."""
        with self.transaction():
            return self.connection.execute(
                "UPDATE record SET state = ? WHERE position IN"
                " (SELECT position FROM record WHERE state = ? ORDER BY judged_us, position LIMIT ?)",
                (State.WAITING, State.REJECTED, limit),
            ).rowcount

    def resend(self, command: str, since_us: int, ranges: Sequence[EpochRange] = ()) -> int:
        """Forget what receipts said of ``ranges``, and note the command; returns how many rows wait again.

        Without ranges: what they said since ``since_us``, or at an unknown time.
        """
        with self.transaction():
            self._obey(command)
            if ranges:
                changed = sum(self._forget_receipts(one) for one in ranges)
            else:
                changed = self.connection.execute(
                    f"{_FORGET_RECEIPTS} AND (judged_us IS NULL OR judged_us >= ?)", (*_JUDGED, since_us)
                ).rowcount
                gaps.forget_names(self.connection, since_us)
            # The search for waiting rows begins there, and now older ones wait.
            self.connection.execute("UPDATE epoch SET resolved = 0 WHERE resolved")
            self.settle()
        return changed

    def _forget_receipts(self, one: EpochRange) -> int:
        gaps.forget_names_in(self.connection, one)
        return self.connection.execute(
            f"{_FORGET_RECEIPTS} AND epoch = ? AND seq BETWEEN ? AND ?",
            (*_JUDGED, one.epoch, one.first, one.last),
        ).rowcount

    def settle(self) -> None:
        """Note up to which sequence number nothing of an epoch waits: damage can lose nothing of that."""
        self.connection.execute(f"UPDATE epoch SET resolved = {_RESOLVED} WHERE resolved IS NOT {_RESOLVED}")  # noqa: S608 -- stands above

    def marks(self, epochs: Sequence[str]) -> list[EpochMark]:
        """Marks of these epochs: high water, and the epoch before."""
        holes = ", ".join("?" * len(epochs))
        found = self.connection.execute(
            "SELECT epoch, last_seq, previous, previous_last FROM epoch"  # noqa: S608 -- holes are question marks
            f" WHERE epoch IN ({holes})",
            epochs,
        )
        return [
            EpochMark(epoch=epoch, high_water=last, previous=previous, previous_last=previous_last)
            for epoch, last, previous, previous_last in found
        ]

    def obeyed(self) -> list[str]:
        """The ids of the last commands obeyed, oldest first."""
        found = self.connection.execute("SELECT value FROM fact WHERE name = 'obeyed'").fetchone()
        return msgspec.json.decode(found[0], type=list[str]) if found else []

    def _obey(self, command: str) -> None:
        known = [*self.obeyed(), command][-COMMANDS_REMEMBERED:]
        self.connection.execute(
            "INSERT OR REPLACE INTO fact (name, value) VALUES ('obeyed', ?)",
            (msgspec.json.encode(known).decode(),),
        )

    def newest_position(self) -> int:
        """The position of the newest row, 0 if there is none."""
        return int(self.connection.execute("SELECT max(position) FROM record").fetchone()[0] or 0)

    def newest_slots(self) -> dict[str, int]:
        """The wall time of each schedule's newest slot."""
        return {schedule: slot_us for schedule, slot_us, _ in self.connection.execute(_NEWEST_SLOTS)}

    def close(self) -> None:
        """Fold everything into one file."""
        self.connection.close()


def counts(connection: sqlite3.Connection) -> Counts:
    """Count a journal's records, through any connection to it."""
    by_state = dict(connection.execute("SELECT state, count(*) FROM record GROUP BY state").fetchall())
    lost = connection.execute("SELECT coalesce(sum(last - first + 1), 0) FROM gap").fetchone()[0]
    waiting, committed, conflict, rejected = (by_state.get(state, 0) for state in State)
    return Counts(waiting, committed, conflict, rejected, lost, used_bytes(connection))


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold something; freed pages are used again and do not count."""
    total, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((total - free) * size)


def newest_records(connection: sqlite3.Connection) -> list[bytes]:
    """The newest record of each schedule, newest first, in any state."""
    found = connection.execute(
        "SELECT record FROM record WHERE position IN"
        " (SELECT max(position) FROM record GROUP BY schedule) ORDER BY position DESC"
    )
    return [row[0] for row in found]


def resumable(connection: sqlite3.Connection, resume_key: str) -> bytes | None:
    """The newest record with this key."""
    query = "SELECT record FROM record WHERE resume_key = ? ORDER BY position DESC LIMIT 1"
    found = connection.execute(query, (resume_key,)).fetchone()
    return found[0] if found else None


def _checked(row: Row, sound: int) -> Row:
    if not sound:
        raise schema.damaged("a record is not what was written")
    return row


def _text(reading: ClockReading) -> str:
    return msgspec.json.encode(reading).decode()
