"""The one writer's side of the ledger: groups of messages, and what is put right between them, durably."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Dialect, delete, select

from collector.ledger import lock, schema
from collector.ledger.clock.boots import Boots
from collector.ledger.clock.redating import RedatedSite, Redating
from collector.ledger.rows.keys import RowKeys
from collector.ledger.store import connect, prepare
from collector.ledger.write.commit_result import CommitResult
from collector.ledger.write.peer_comparisons import give_up
from collector.ledger.write.transaction import Group
from collector.model.message import Judged
from collector.model.peer_comparison import ComparedTest

PRUNE_ROWS = 2000


def no_fault() -> None:
    """The fault point where no test has armed it."""


class Ledger:
    """The one writer's side of the ledger. Raises LedgerError on construction where the file is unusable.

    ``before_commit`` is called when a group's rows are written and not yet committed: the place where a
    crash must lose nothing and invent nothing.
    """

    def __init__(
        self,
        path: Path,
        *,
        reject_rows: int = 10_000,
        before_commit: Callable[[], None] = no_fault,
    ) -> None:
        self._lock = lock.take(path)
        self._engine = connect(path, writing=True)
        self._keys = RowKeys()
        self._boots = Boots()
        self._redating = Redating(self._keys, self._boots)
        self._reject_rows = reject_rows
        self._before_commit = before_commit
        self._inserts = _inserts(self._engine.dialect)
        try:
            prepare(self._engine, path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()
        self._lock.release()

    def commit(self, group: Sequence[Judged]) -> CommitResult:
        """Commit a group durably, all or nothing.

        Raises sqlalchemy.exc.SQLAlchemyError, with nothing committed.
        """
        with self._writing() as connection:
            work = Group(connection, self._keys, self._inserts, self._reject_rows, self._boots)
            result = work.process(group)
            self._before_commit()
        return result

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction; after a failure nothing is remembered of what may not exist."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except BaseException:
            self._keys.forget()
            self._boots.forget()
            self._redating.forget()
            raise

    def prune_payloads(self, before_us: int) -> int:
        """Drop some of the raw payloads received before ``before_us``; returns how many."""
        old = select(schema.payloads.c.batch_key).where(schema.payloads.c.received_us < before_us)
        with self._engine.begin() as connection:
            result = connection.execute(
                delete(schema.payloads).where(schema.payloads.c.batch_key.in_(old.limit(PRUNE_ROWS)))
            )
        return result.rowcount

    def give_up_comparisons(self, before_us: int) -> list[ComparedTest]:
        """Close some tests of which one record alone has been known since before ``before_us``."""
        with self._engine.begin() as connection:
            return give_up(connection, before_us)

    def redate(self) -> tuple[list[RedatedSite], bool]:
        """Re-date some measurements of boots with better anchors; returns true if there are more."""
        with self._writing() as connection:
            return self._redating.portion(connection)


def _inserts(dialect: Dialect) -> dict[str, str]:
    """Each table's INSERT in the database's own words: bound by the driver, rows cost a third of the time."""
    return {
        table.name: str(table.insert().compile(dialect=dialect)) for table in schema.metadata.sorted_tables
    }
