"""Records while the disk fails, and what receipts say meanwhile of those on the disk."""

from outbox.journal import gaps
from outbox.journal.store import Store
from outbox.rows import Change, Row

BYTES = 1_000_000  # of an agent that may have 36 MB: eight hours of trains and counters
MOST_OWED = 1000

# A commit that the disk refused may be there all the same: it is the same record then.
_RECORDS = (
    "INSERT INTO record (epoch, seq, state, drop_order, judged_us, schedule, slot_us, resume_key, record)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (epoch, seq) DO NOTHING"
)
_EPOCHS = (
    "INSERT INTO epoch (epoch, previous, previous_last, last_seq, resolved, opened_us, newest, closed)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (epoch) DO UPDATE SET"
    " last_seq = max(last_seq, excluded.last_seq), newest = coalesce(excluded.newest, newest),"
    " previous = coalesce(previous, excluded.previous),"
    " previous_last = coalesce(previous_last, excluded.previous_last)"
)


class Memory:
    """Tables in memory, and changes that the disk has not taken.

    Rows of such changes are not sent again. Beyond ``MOST_OWED`` they are, and the collector answers again
    that it has them.
    """

    def __init__(self) -> None:
        self.store = Store.in_memory()
        self._owed: list[tuple[Change, int | None]] = []

    def owe(self, change: Change, judged_us: int | None) -> None:
        """Remember what a receipt said of rows on the disk."""
        if len(self._owed) < MOST_OWED:
            self._owed.append((change, judged_us))

    def is_owed(self, row: Row) -> bool:
        """True if a receipt spoke of this row."""
        return any(
            change.epoch == row.epoch and change.first <= row.seq <= change.last for change, _ in self._owed
        )

    def forget_owed(self) -> None:
        """The collector lost what these changes were about."""
        self._owed.clear()

    def write_to(self, disk: Store) -> None:
        """Write all of it, within the caller's transaction. Rows get the next positions of the disk."""
        source = self.store.connection
        disk.connection.executemany(
            _EPOCHS,
            source.execute(
                "SELECT epoch, previous, previous_last, last_seq, resolved, opened_us, newest, closed"
                " FROM epoch ORDER BY rowid"
            ),
        )
        disk.connection.executemany(
            _RECORDS,
            source.execute(
                "SELECT epoch, seq, state, drop_order, judged_us, schedule, slot_us, resume_key, record"
                " FROM record ORDER BY position"
            ),
        )
        gaps.transfer(source, disk.connection)
        for change, judged_us in self._owed:
            disk.change(change, judged_us)
