"""What a journal forgets, and in which order, so that it stays within its size.

Marks a week old go in any case. A full journal first forgets the rest of what is marked, then takes the raw
series out of floor results that were never sent, then drops what has no receipt: the results of every minute,
then the seldom ones, floor results last, always the oldest first. Every such drop is a declared gap.
"""

import logging

import msgspec

from agent.journal.entries import State, Worth, runs
from agent.journal.store import Store, used_bytes
from wire.messages import envelope as messages
from wire.messages.envelope import GapReason
from wire.records import ClockReading, FloorMeasurement

log = logging.getLogger(__name__)

KEEP_MARKED_US = 7 * 86_400 * 1_000_000
AT_ONCE = 200
SELDOM_AT_ONCE = 10  # of what is worth more than a minute's results
EPOCHS_KEPT = 50
_DONE = (State.MARKED, State.CONFLICT)


def forget_old(store: Store, now: ClockReading, told: str | None = None) -> None:
    """Forget what a receipt marked a week ago, by a clock that can be trusted; not the epoch ``told`` of."""
    with store.transaction():
        if now.synchronised:
            _forget_marked(store, now.wall_us)
        _forget_epochs(store, told)
        store.settle()


def keep_within(store: Store, size: int, reason: GapReason, wall_us: int) -> int:
    """Forget until no more than ``size`` bytes are used; returns how many without a receipt were dropped."""
    dropped = 0
    while used_bytes(store.connection) > size:
        with store.transaction():
            if _forget_done(store) or _take_series(store):
                continue
            gone = _drop(store, reason, wall_us)
        if not gone:
            break
        dropped += gone
    return dropped


def _forget_marked(store: Store, wall_us: int) -> None:
    """A mark made while the clock was wrong ages from the first synchronised moment after it."""
    store.connection.execute(
        "UPDATE measurement SET marked_us = ? WHERE state IN (?, ?) AND marked_us IS NULL", (wall_us, *_DONE)
    )
    store.connection.execute("UPDATE gap SET told_us = ? WHERE told AND told_us IS NULL", (wall_us,))
    before_us = wall_us - KEEP_MARKED_US
    store.connection.execute(
        "DELETE FROM measurement WHERE state IN (?, ?) AND marked_us < ?", (*_DONE, before_us)
    )
    store.connection.execute("DELETE FROM gap WHERE told AND told_us < ?", (before_us,))


def _forget_epochs(store: Store, told: str | None) -> None:
    """Of epochs that left nothing only the newest matter: the present one is chained to them."""
    store.connection.execute(
        "DELETE FROM epoch WHERE epoch NOT IN (SELECT epoch FROM measurement UNION SELECT epoch FROM gap)"
        " AND rowid <= (SELECT max(rowid) FROM epoch) - ? AND epoch IS NOT ?",
        (EPOCHS_KEPT, told),
    )


def _forget_done(store: Store) -> bool:
    for state in _DONE:
        gone = store.connection.execute(
            "DELETE FROM measurement WHERE position IN (SELECT position FROM measurement WHERE state = ?"
            " ORDER BY position LIMIT ?)",
            (state, AT_ONCE),
        ).rowcount
        if gone:
            return True
    return False


def _take_series(store: Store) -> bool:
    """Nobody has seen these records yet, so that their identity has one content still."""
    found = store.connection.execute(
        "SELECT position, record FROM measurement WHERE state = ? AND worth = ? ORDER BY position LIMIT ?",
        (State.UNSENT, Worth.SERIES, AT_ONCE),
    ).fetchall()
    for position, record in found:
        store.connection.execute(
            "UPDATE measurement SET worth = ?, record = ? WHERE position = ?",
            (Worth.FLOOR, without_series(record), position),
        )
    return bool(found)


def without_series(record: bytes) -> bytes:
    """A floor result with everything but the raw series of its tests."""
    measurement = messages.decode_measurement(record)
    if not isinstance(measurement, FloorMeasurement) or measurement.values is None:
        return record
    tests = tuple(msgspec.structs.replace(test, series=()) for test in measurement.values.tests)
    values = msgspec.structs.replace(measurement.values, tests=tests)
    return messages.encode(msgspec.structs.replace(measurement, values=values))


def _drop(store: Store, reason: GapReason, wall_us: int) -> int:
    for worth in Worth:
        limit = AT_ONCE if worth is Worth.MINUTE else SELDOM_AT_ONCE
        for state in (State.QUARANTINED, State.UNSENT):
            gone = store.connection.execute(
                "DELETE FROM measurement WHERE position IN (SELECT position FROM measurement"
                " WHERE state = ? AND worth = ? ORDER BY position LIMIT ?) RETURNING epoch, seq",
                (state, worth, limit),
            ).fetchall()
            if gone:
                for epoch, first, last in runs(gone):
                    store.declare(epoch, first, last, reason, wall_us)
                return len(gone)
    return 0
