"""What a damaged journal still gives, and what of it is declared lost.

Rows whose checksum is right go on as they were; what an epoch lacks, of all that may have had no receipt yet,
is a gap. Pages out of use may give rows of earlier: in doubt a measurement counts as not sent, and the
collector, which may have it, says so.
"""

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from agent.journal.entries import without
from agent.journal.pages import Pages, Values
from agent.journal.reached import Reached
from agent.journal.schema import checksum
from agent.journal.store import Store
from wire.messages.envelope import GapReason

log = logging.getLogger(__name__)

LONGEST_TAIL = 2000  # frames of a log whose rows are kept in memory while SQLite opens the file
_AT_ONCE = 500
_TABLES = {10: ("measurement",), 9: ("epoch",), 8: ("gap",), 3: ("fact",)}

_MEASUREMENT = (
    "INSERT INTO measurement (position, epoch, seq, state, worth, marked_us, schedule, slot_us, record)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (epoch, seq) DO UPDATE SET"
    # of two contents the one without its raw series is the later one
    " state = min(state, excluded.state), worth = min(worth, excluded.worth),"
    " record = CASE WHEN length(excluded.record) < length(record) THEN excluded.record ELSE record END"
)
_EPOCH = (
    "INSERT INTO epoch (rowid, epoch, previous, previous_last, last_seq, settled, opened_us, newest, closed)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (epoch) DO UPDATE SET last_seq = excluded.last_seq,"
    " settled = excluded.settled, newest = excluded.newest, closed = excluded.closed"
    " WHERE excluded.last_seq >= last_seq"
)
_FACT = "INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)"

_HELD = (
    "SELECT seq, seq FROM measurement WHERE epoch = ? UNION ALL SELECT first, last FROM gap WHERE epoch = ?"
    " ORDER BY 1"
)
_REACHED = (
    "SELECT epoch, max(last), max(position) FROM"
    " (SELECT epoch, seq AS last, position FROM measurement UNION ALL SELECT epoch, last, 0 FROM gap)"
    " GROUP BY epoch ORDER BY 3"
)
_NEXT = "(SELECT coalesce(max(rowid), 0) + 1 FROM epoch)"
_BEFORE = "(SELECT coalesce(min(rowid), 0) - 1 FROM epoch)"

SalvagedRow = tuple[str, int, Values]
"""Table, rowid and columns."""


def rows_of(pages: Pages, frames: range | None = None, *, log_only: bool = False) -> Iterator[SalvagedRow]:
    """The rows that are what was written: table, rowid and columns."""
    for rowid, values in pages.rows(frames, log_only=log_only):
        for table in _TABLES.get(len(values), ()):
            columns = (rowid, *values[1:-1]) if table == "measurement" else values[:-1]
            if values[-1] == checksum(table, *columns):
                yield table, rowid, columns


def salvage(
    broken: Path, tail: Iterable[SalvagedRow], store: Store, known: Reached | None, wall_us: int
) -> None:
    """Take over what a damaged journal still gives, and the ``tail`` that was found in its log.

    ``known`` is how far it had come, whatever it says itself. Raises sqlite3.Error if the fresh journal takes
    nothing.
    """
    pages = Pages(broken)
    try:
        _take(rows_of(pages), store)
    except OSError as error:
        log.error("%s: %s: what stands behind that cannot be read", broken, error.strerror)
    finally:
        pages.close()
    _take(tail, store)
    with store.transaction():
        _complete_epochs(store, None, wall_us)
        lost = _declare_rest(store, _beyond(known, store), wall_us)
    held = store.connection.execute("SELECT count(*) FROM measurement").fetchone()[0]
    log.error("%s gave %d measurements; %d that it lacks are declared lost", broken.name, held, lost)


class Tail(msgspec.Struct, frozen=True):
    """A log as it was before SQLite opened it.

    ``frames``: those of its present turn; ``synced``: how many of them were on the disk for certain.
    """

    frames: int
    synced: int
    rows: list[SalvagedRow]


def tail(path: Path) -> Tail:
    """The log's present turn: to be read before SQLite opens the file."""
    pages = Pages(path)
    try:
        frames = pages.live_frames()
        rows = rows_of(pages, range(max(0, frames - LONGEST_TAIL), frames), log_only=True)
        return Tail(frames, pages.synced_frames(frames), list({row[:2]: row for row in rows}.values()))
    finally:
        pages.close()


def add_tail(found: Tail, believed: int, store: Store, known: Reached | None, wall_us: int) -> None:
    """Take over what SQLite, which believes the first ``believed`` frames, left in a log.

    The journal up to there is whole: what it lacks it has forgotten. Only what came after can be lost, and
    that is what the log itself or ``known`` says was on the disk.
    """
    beyond = _beyond(known, store)
    if beyond is None and found.synced <= believed:
        if found.frames > believed:
            _add_unfinished(found.rows, store, wall_us)
        return
    reached = _reached(store)
    with store.transaction():  # in part, it would seem to be all
        if found.frames > believed:
            _put(found.rows, store)
        lost = _declare_rest(store, beyond, wall_us, reached)
    if lost or found.synced > believed:
        log.error("the journal lacks %d measurements that were in it: they are declared lost", lost)


def _add_unfinished(rows: Iterable[SalvagedRow], store: Store, wall_us: int) -> None:
    """A commit that the power cut short is no damage, and nothing that it changed came true.

    A measurement that is whole in it was made all the same.
    """
    reached = _reached(store)
    made = (row for row in rows if row[0] == "measurement" and _is_after(row[2], reached))
    with store.transaction():
        _put(made, store)
        _complete_epochs(store, None, wall_us)


def _beyond(known: Reached | None, store: Store) -> Reached | None:
    """What is known, if the journal does not come as far.

    Of an epoch that it does not know, it may have gone on long enough since to have forgotten it.
    """
    if known is None:
        return None
    reached = _reached(store).get(known.epoch)
    if reached is None:
        return known if known.position > store.newest_position() else None
    return known if known.seq > reached else None


def _reached(store: Store) -> dict[str, int]:
    return dict(store.connection.execute("SELECT epoch, last_seq FROM epoch").fetchall())


def _is_after(measurement: Values, reached: Mapping[str, int]) -> bool:
    epoch, seq = msgspec.convert(measurement[1:3], tuple[str, int])
    return seq > reached.get(epoch, 0)


def _take(rows: Iterable[SalvagedRow], store: Store) -> None:
    """In transactions of a bounded size: a whole journal in one would double it on the disk."""
    waiting: list[SalvagedRow] = []
    for row in rows:
        waiting.append(row)
        if len(waiting) == _AT_ONCE:
            with store.transaction():
                _put(waiting, store)
            waiting.clear()
    with store.transaction():
        _put(waiting, store)


def _put(rows: Iterable[SalvagedRow], store: Store) -> None:
    for table, rowid, values in rows:
        if table == "measurement":
            _insert(store, _MEASUREMENT, values)
        elif table == "epoch":
            _insert(store, _EPOCH, (rowid, *values))
        elif table == "fact":
            store.connection.execute(_FACT, values)
        else:
            store.declare(*_gap(*values))


def _insert(store: Store, statement: str, values: Values) -> None:
    """Old pages may hold a row whose number another has now: then it gets one of its own."""
    try:
        store.connection.execute(statement, values)
    except sqlite3.IntegrityError:
        store.connection.execute(statement, (None, *values[1:]))


def _gap(*values: object) -> tuple[str, int, int, GapReason, int]:
    return msgspec.convert(values[:5], tuple[str, int, int, GapReason, int])


def _declare_rest(
    store: Store, known: Reached | None, wall_us: int, whole: Mapping[str, int] | None = None
) -> int:
    """Let every epoch that is known of be complete: what is not there, and may have been, is a gap.

    ``whole`` is up to where nothing of an epoch was lost; what it lacks there was forgotten.
    """
    _complete_epochs(store, known, wall_us)
    lost = 0
    epochs = store.connection.execute("SELECT epoch, settled, last_seq FROM epoch ORDER BY rowid").fetchall()
    for epoch, settled, last_seq in epochs:
        held = store.connection.execute(_HELD, (epoch, epoch))
        begin = max(settled, (whole or {}).get(epoch, 0)) + 1
        for first, last in without(begin, last_seq, held):
            store.declare(epoch, first, last, GapReason.DAMAGED, wall_us)
            lost += last - first + 1
    return lost


def _complete_epochs(store: Store, known: Reached | None, wall_us: int) -> None:
    """An epoch whose own row is lost is known by what it holds, and goes as far as that."""
    newest = store.newest_position()
    for epoch, last, position in store.connection.execute(_REACHED).fetchall():
        _raise_epoch(store, (epoch, last, 0), wall_us, _NEXT if position == newest else _BEFORE)
    if known is not None:
        _raise_epoch(store, (known.epoch, known.seq, known.settled), wall_us, _NEXT)


def _raise_epoch(store: Store, far: tuple[str, int, int], wall_us: int, rowid: str) -> None:
    epoch, last, settled = far
    raised = store.connection.execute(
        "UPDATE epoch SET last_seq = max(last_seq, ?), settled = max(settled, ?) WHERE epoch = ?",
        (last, settled, epoch),
    ).rowcount
    if not raised:
        store.connection.execute(
            "INSERT INTO epoch (rowid, epoch, last_seq, settled, opened_us, newest)"  # noqa: S608 -- stand above
            f" VALUES ({rowid}, ?, ?, ?, ?, '')",
            (epoch, last, settled, wall_us),
        )
