"""The tables of one journal, on a disk or in memory: what is written to them and read from them.

Every method may raise sqlite3.Error; what is done about it is the journal's decision.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Self

import msgspec

from agent.journal import schema as journal_schema
from agent.journal.entries import Change, Counts, PreviousEnd, Row, State, Worth, worth_of
from wire.messages import envelope as messages
from wire.messages.envelope import EpochMark, EpochRange, Gap, GapReason
from wire.records import ClockReading, Failure, Measurement, Micros

COMMANDS_REMEMBERED = 16
FETCHED_BYTES = 256 * 1024

_SOUND = f"checksum IS checksum('measurement', {journal_schema.COLUMNS['measurement']})"
# One index serves all: each worth's newest are merged, which no sorting is needed for.
_NEWEST = " UNION ALL ".join(
    f"SELECT position, epoch, seq, record, worth, {_SOUND} FROM measurement"  # noqa: S608 -- nobody's input
    f" WHERE state = ?1 AND worth = {worth.value} AND position > ?2 AND position < ?3"
    for worth in Worth
)
_AT = (
    "SELECT position FROM measurement WHERE state = :state ORDER BY position LIMIT 1"
    " OFFSET (SELECT CAST(:place * count(*) AS INTEGER) FROM measurement WHERE state = :state)"
)
# SQLite gives the other columns of the row that has the maximum.
_NEWEST_SLOTS = (
    "SELECT schedule, slot_us, max(position) FROM measurement"
    " WHERE schedule IS NOT NULL AND slot_us IS NOT NULL GROUP BY schedule"
)
_SETTLED = (
    "min(coalesce((SELECT min(seq) - 1 FROM measurement WHERE measurement.epoch = epoch.epoch"  # noqa: S608 -- numbers
    f" AND state IN ({State.UNSENT.value}, {State.QUARANTINED.value})), last_seq),"
    " coalesce((SELECT min(first) - 1 FROM gap WHERE gap.epoch = epoch.epoch AND NOT told), last_seq))"
)
Range = tuple[int, int]
_READING = msgspec.json.Decoder(ClockReading)
_REASONS = {reason.encode(): reason for reason in GapReason}


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


class Store:
    """One set of tables."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    @classmethod
    def in_memory(cls) -> Self:
        """An empty one that no disk has to do with."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        journal_schema.teach(connection)
        journal_schema.create(connection)
        return cls(connection)

    def transaction(self) -> Transaction:
        """All or nothing of what is done within it."""
        return Transaction(self.connection)

    def begin_epoch(self, mark: EpochMark, now: ClockReading) -> None:
        """Let there be this epoch, the newest of all."""
        self.connection.execute(
            "INSERT OR IGNORE INTO epoch (epoch, previous, previous_last, last_seq, opened_us)"
            " VALUES (?, ?, ?, ?, ?)",
            (mark.epoch, mark.previous, mark.previous_last, mark.high_water, now.wall_us),
        )

    def newest_epoch(self) -> tuple[str | None, int | None]:
        """The newest epoch and how far it came."""
        found: tuple[str, int] | None = self.connection.execute(
            "SELECT epoch, last_seq FROM epoch ORDER BY rowid DESC LIMIT 1"
        ).fetchone()
        return found or (None, None)

    def newest_end(self) -> PreviousEnd | None:
        """How the newest epoch ended; None if that is not known."""
        query = "SELECT newest, closed FROM epoch ORDER BY rowid DESC LIMIT 1"
        found = self.connection.execute(query).fetchone()
        if found is None or found[0] == "":
            return None
        try:
            last, closed = (None if text is None else _READING.decode(text) for text in found)
        except msgspec.DecodeError:
            return None
        return PreviousEnd(last, closed)

    def end_epoch(self, epoch: str, last_seq: int, now: ClockReading) -> None:
        """Write that the agent ended in order."""
        with self.transaction():
            self.connection.execute(
                "UPDATE epoch SET last_seq = ?, closed = ? WHERE epoch = ?", (last_seq, _text(now), epoch)
            )

    def insert(self, position: int, measurement: Measurement, now: ClockReading) -> None:
        """A new measurement, and with it how far its epoch has come."""
        slot_us = None if measurement.failure is Failure.CANCELLED else measurement.slot_us
        self.connection.execute(
            "INSERT INTO measurement (position, epoch, seq, state, worth, schedule, slot_us, record)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                position,
                measurement.epoch,
                measurement.seq,
                State.UNSENT,
                worth_of(measurement),
                measurement.schedule,
                slot_us,
                messages.encode(measurement),
            ),
        )
        self.connection.execute(
            "UPDATE epoch SET last_seq = ?, newest = ? WHERE epoch = ?",
            (measurement.seq, _text(now), measurement.epoch),
        )

    def newest(self, state: State, limit: int, within: Range, wanted: Callable[[Row], bool]) -> list[Row]:
        """The newest measurements in a state, newest first, of positions ``within`` these two, both excluded.

        What is not what was written is not sent: it raises as other damage does.
        """
        chosen: list[Row] = []
        size = 0
        query = f"{_NEWEST} ORDER BY position DESC"
        with closing(self.connection.execute(query, (state, *within))) as found:
            for *columns, sound in found:
                row = Row(*columns)
                if not wanted(row):
                    continue
                if not sound:
                    raise journal_schema.damaged("a measurement is not what was written")
                chosen.append(row)
                size += len(row.record)
                if len(chosen) >= limit or size > FETCHED_BYTES:
                    break
        return chosen

    def at(self, state: State, place: float) -> int:
        """The position at ``place``, 0 to below 1, of those in a state, oldest first; 0 if there are none."""
        found = self.connection.execute(_AT, {"state": state, "place": place}).fetchone()
        return int(found[0]) if found else 0

    def leave(self, rows: Sequence[Row]) -> bool:
        """These may be sent from now on, and therefore never change."""
        positions = [(Worth.FLOOR, row.position) for row in rows if row.worth == Worth.SERIES]
        if positions:
            with self.transaction():
                self.connection.executemany("UPDATE measurement SET worth = ? WHERE position = ?", positions)
        return True

    def apply(self, changes: list[Change], told: list[EpochRange], marked_us: int | None) -> int:
        """Do all of this or nothing; returns how many measurements changed."""
        with self.transaction():
            self.told(told, marked_us)
            return sum(self.change(change, marked_us) for change in changes)

    def change(self, change: Change, marked_us: int | None) -> int:
        """Give measurements a new state; a marked one stays marked. Returns how many changed."""
        states = (State.UNSENT, State.QUARANTINED)
        return self.connection.execute(
            "UPDATE measurement SET state = ?, marked_us = ?"
            " WHERE epoch = ? AND seq BETWEEN ? AND ? AND state IN (?, ?)",
            (change.state, marked_us, change.epoch, change.first, change.last, *states),
        ).rowcount

    def unmark(self, since_us: int) -> int:
        """Forget what receipts said since then, or at a time unknown; returns how many measurements."""
        changed = self.connection.execute(
            "UPDATE measurement SET state = ?, marked_us = NULL"
            " WHERE state IN (?, ?) AND (marked_us IS NULL OR marked_us >= ?)",
            (State.UNSENT, State.MARKED, State.CONFLICT, since_us),
        ).rowcount
        self.connection.execute(
            "UPDATE gap SET told = 0, told_us = NULL WHERE told AND (told_us IS NULL OR told_us >= ?)",
            (since_us,),
        )
        self.settle()
        return changed

    def settle(self) -> None:
        """Note up to where nothing of an epoch waits for a receipt: damage can lose nothing of that."""
        self.connection.execute(f"UPDATE epoch SET settled = {_SETTLED} WHERE settled IS NOT {_SETTLED}")  # noqa: S608 -- stands above

    def settled(self, epoch: str) -> int:
        """What was noted of an epoch by ``settle``."""
        found = self.connection.execute("SELECT settled FROM epoch WHERE epoch = ?", (epoch,)).fetchone()
        return int(found[0]) if found else 0

    def marks(self, epochs: Sequence[str]) -> list[EpochMark]:
        """How far the epochs named have come, and what each follows."""
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

    def gaps(self, limit: int) -> list[Gap]:
        """Declared gaps that no receipt has named, oldest first.

        One whose reason no longer reads is ``damaged`` from now on. What else does not read raises as other
        damage does: no collector would take it.
        """
        # As bytes: text that is none would raise before anything can be made of it.
        found = self.connection.execute(
            "SELECT rowid, CAST(epoch AS BLOB), first, last, CAST(reason AS BLOB), at_us FROM gap"
            " WHERE NOT told ORDER BY rowid LIMIT ?",
            (limit,),
        ).fetchall()
        return [self._gap(*columns) for columns in found]

    def _gap(self, rowid: int, epoch: bytes, first: int, last: int, word: bytes, at_us: int) -> Gap:
        broken = journal_schema.damaged("a gap is not what was written")
        try:
            told = msgspec.convert({"epoch": epoch.decode(), "first": first, "last": last}, EpochRange)
            at_us = msgspec.convert(max(0, at_us), Micros)
        except (msgspec.ValidationError, UnicodeDecodeError, TypeError):
            raise broken from None
        if told.last < told.first:
            raise broken
        reason = _REASONS.get(word)
        if reason is None:
            reason = GapReason.DAMAGED
            self.connection.execute("UPDATE gap SET reason = ? WHERE rowid = ?", (reason, rowid))
        return Gap(epoch=told.epoch, first=told.first, last=told.last, reason=reason, at_us=at_us)

    def declare(self, epoch: str, first: int, last: int, reason: GapReason, wall_us: int) -> None:
        """Note measurements that are lost for good, beside their like if nobody has been told of those."""
        neighbours = self.connection.execute(
            "SELECT rowid, first, last FROM gap WHERE epoch = ? AND reason = ? AND NOT told"
            " AND first <= ? AND last >= ?",
            (epoch, reason, last + 1, first - 1),
        ).fetchall()
        for rowid, low, high in neighbours:
            first, last = min(first, low), max(last, high)
            self.connection.execute("DELETE FROM gap WHERE rowid = ?", (rowid,))
        self._insert_gap(epoch, first, last, reason, wall_us)

    def told(self, ranges: Iterable[EpochRange], told_us: int | None) -> None:
        """A receipt names these. A gap that has grown since stays to be told in the rest of it."""
        for named in ranges:
            found = self.connection.execute(
                "SELECT rowid, first, last, reason, at_us FROM gap"
                " WHERE epoch = ? AND NOT told AND first <= ? AND last >= ?",
                (named.epoch, named.last, named.first),
            ).fetchall()
            for rowid, first, last, reason, at_us in found:
                low, high = max(first, named.first), min(last, named.last)
                self.connection.execute(
                    "UPDATE gap SET first = ?, last = ?, told = 1, told_us = ? WHERE rowid = ?",
                    (low, high, told_us, rowid),
                )
                if first < low:
                    self._insert_gap(named.epoch, first, low - 1, reason, at_us)
                if high < last:
                    self._insert_gap(named.epoch, high + 1, last, reason, at_us)

    def _insert_gap(self, epoch: str, first: int, last: int, reason: str, at_us: int) -> None:
        self.connection.execute(
            "INSERT INTO gap (epoch, first, last, reason, at_us) VALUES (?, ?, ?, ?, ?)",
            (epoch, first, last, reason, at_us),
        )

    def obeyed(self) -> list[str]:
        """The ids of the last commands carried out, oldest first."""
        found = self.connection.execute("SELECT value FROM fact WHERE name = 'obeyed'").fetchone()
        return msgspec.json.decode(found[0], type=list[str]) if found else []

    def obey(self, command: str) -> None:
        """Note that a command is carried out."""
        known = [*self.obeyed(), command][-COMMANDS_REMEMBERED:]
        self.connection.execute(
            "INSERT OR REPLACE INTO fact (name, value) VALUES ('obeyed', ?)",
            (msgspec.json.encode(known).decode(),),
        )

    def move(self, by: int) -> None:
        """Let every position be so much greater."""
        with self.transaction():
            self.connection.execute("UPDATE measurement SET position = -position")
            self.connection.execute("UPDATE measurement SET position = ? - position", (by,))

    def newest_position(self) -> int:
        """The position of the newest measurement, 0 if there is none."""
        return int(self.connection.execute("SELECT max(position) FROM measurement").fetchone()[0] or 0)

    def newest_slots(self) -> dict[str, int]:
        """The wall time of the slot of each schedule id that was measured last."""
        return {schedule: slot_us for schedule, slot_us, _ in self.connection.execute(_NEWEST_SLOTS)}

    def close(self) -> None:
        """Fold everything into one file."""
        self.connection.close()


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


def _text(reading: ClockReading) -> str:
    return msgspec.json.encode(reading).decode()
