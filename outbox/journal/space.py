"""Dropping of records, so that a journal stays within its size.

Committed rows go after a week in any case. A full journal first drops the other committed and conflicting
rows. Then it drops rows without a receipt, of the smallest ``drop_order`` first, rejected before waiting,
the oldest first. Each of these is a declared gap.
"""

from outbox.journal import gaps
from outbox.journal.store import Store, used_bytes
from outbox.rows import State, runs
from wire.messages.envelope import GapReason
from wire.records import ClockReading

KEEP_COMMITTED_US = 7 * 86_400 * 1_000_000
EPOCHS_KEPT = 50
# Few: freed pages show only after the commit, and rows dropped beyond the need are lost for nothing.
_AT_ONCE = 20
_DONE = (State.COMMITTED, State.CONFLICT)
_NOT_DONE = (State.WAITING, State.REJECTED)


def forget_old(store: Store, now: ClockReading) -> None:
    """Drop what a receipt named a week ago, by a clock that can be trusted."""
    with store.transaction():
        if now.synchronised:
            _forget_done(store, now.wall_us)
        # Of epochs that left nothing only the newest matter: the present one is chained to them.
        store.connection.execute(
            "DELETE FROM epoch WHERE epoch NOT IN (SELECT epoch FROM record UNION SELECT epoch FROM gap)"
            " AND rowid <= (SELECT max(rowid) FROM epoch) - ?",
            (EPOCHS_KEPT,),
        )
        store.settle()


def keep_within(store: Store, size: int, reason: GapReason, now_us: int) -> int:
    """Drop until no more than ``size`` bytes are used; returns how many rows without a receipt went."""
    dropped = 0
    while used_bytes(store.connection) > size:
        with store.transaction():
            done = _drop(store, _DONE)
            gone = [] if done else _drop(store, _NOT_DONE)
            for epoch, first, last in runs(gone):
                gaps.declare(store.connection, epoch, first, last, reason, now_us)
        if not done and not gone:
            break
        dropped += len(gone)
    return dropped


def _forget_done(store: Store, now_us: int) -> None:
    """A receipt of while the clock was wrong counts from the first synchronised moment after it."""
    execute = store.connection.execute
    execute("UPDATE record SET judged_us = ? WHERE state IN (?, ?) AND judged_us IS NULL", (now_us, *_DONE))
    execute("UPDATE gap SET named_us = ? WHERE named AND named_us IS NULL", (now_us,))
    before_us = now_us - KEEP_COMMITTED_US
    execute("DELETE FROM record WHERE state IN (?, ?) AND judged_us < ?", (*_DONE, before_us))
    execute("DELETE FROM gap WHERE named AND named_us < ?", (before_us,))


def _drop(store: Store, states: tuple[State, State]) -> list[tuple[str, int]]:
    """Some of one drop order only: what is worth more must not go for the sake of a portion."""
    found: list[tuple[str, int]] = store.connection.execute(
        "DELETE FROM record WHERE position IN (SELECT position FROM record WHERE state IN (?1, ?2)"
        " AND drop_order = (SELECT min(drop_order) FROM record WHERE state IN (?1, ?2))"
        # REJECTED has the greatest number: what was refused goes before what nobody has judged.
        " ORDER BY state DESC, position LIMIT ?3) RETURNING epoch, seq",
        (*states, _AT_ONCE),
    ).fetchall()
    return found
