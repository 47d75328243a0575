"""What is kept in memory while the disk takes nothing: measurements, and what receipts said of others."""

from collections.abc import Iterator

from agent.journal.entries import Change
from agent.journal.store import Store
from wire.messages.envelope import GapReason

BYTES = 1_000_000  # of an agent that may have 32 MB: eight hours of trains and counters
OWED = 1000

_MEASUREMENTS = (
    "SELECT position, epoch, seq, state, worth, marked_us, schedule, slot_us, record FROM measurement"
    " ORDER BY position"
)
# What the disk said it did not take may stand there all the same, and a salvaged row may have the position.
_PUT = (
    "INSERT INTO measurement (position, epoch, seq, state, worth, marked_us, schedule, slot_us, record)"
    " VALUES (CASE WHEN EXISTS (SELECT 1 FROM measurement WHERE position = ?1) THEN NULL ELSE ?1 END,"
    " ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (epoch, seq) DO NOTHING"
)
_EPOCHS = (
    "SELECT epoch, previous, previous_last, last_seq, settled, opened_us, newest, closed FROM epoch"
    " ORDER BY rowid"
)
_GAPS = "SELECT epoch, first, last, reason, at_us, told, told_us FROM gap ORDER BY rowid"


def transfer(memory: Store, disk: Store) -> None:
    """Write all that ``memory`` holds to ``disk``, within the caller's transaction."""
    into, source = disk.connection, memory.connection
    into.executemany(
        "INSERT INTO epoch (epoch, previous, previous_last, last_seq, settled, opened_us, newest, closed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (epoch) DO UPDATE SET"
        " last_seq = max(last_seq, excluded.last_seq), newest = coalesce(excluded.newest, newest),"
        " previous = coalesce(previous, excluded.previous),"
        " previous_last = coalesce(previous_last, excluded.previous_last)",
        source.execute(_EPOCHS),
    )
    into.executemany(_PUT, source.execute(_MEASUREMENTS))
    for epoch, first, last, reason, at_us, told, told_us in source.execute(_GAPS):
        if told:
            into.execute(
                "INSERT INTO gap VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                (epoch, first, last, reason, at_us, told, told_us),
            )
        else:
            disk.declare(epoch, first, last, GapReason(reason), at_us)


class Owed:
    """Changes that a receipt asked for and the disk has not taken: nothing is sent again because of them.

    Bounded; what is beyond is sent again and answered as a duplicate.
    """

    def __init__(self) -> None:
        self._ranges: dict[str, list[tuple[Change, int | None]]] = {}
        self._count = 0

    def add(self, change: Change, marked_us: int | None) -> None:
        """Remember one."""
        if self._count < OWED:
            self._count += 1
            self._ranges.setdefault(change.epoch, []).append((change, marked_us))

    def covers(self, epoch: str, seq: int) -> bool:
        """Whether a receipt has spoken of this measurement."""
        return any(change.first <= seq <= change.last for change, _ in self._ranges.get(epoch, ()))

    def all(self) -> Iterator[tuple[Change, int | None]]:
        """Every one, in the order of their coming."""
        for changes in self._ranges.values():
            yield from changes

    def clear(self) -> None:
        """They are written."""
        self._ranges.clear()
        self._count = 0
