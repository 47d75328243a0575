"""Verifying a ledger: the file itself, its contents against their digests, every count against its rows."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Table, text
from sqlalchemy.exc import SQLAlchemyError

from collector.ledger.admin.contents import ContentsCheck, other_tables
from collector.ledger.place import LedgerError
from collector.ledger.read.completeness import holdings
from collector.ledger.schema.tables import SCHEMA_VERSION
from collector.ledger.store import connect, explain, schema_of, wrong_tables
from collector.model.completeness import SiteCompleteness

MAX_PROBLEMS = 20
TELL_SECONDS = 5.0
_INSTRUCTIONS = 1_000_000  # of SQLite's virtual machine between two calls, some milliseconds

_RECOUNT = text("""
SELECT s.site_id, e.epoch, e.high_water, e.committed, e.declared, e.conflicts,
  (SELECT count(*) FROM measurements m WHERE m.epoch_key = e.key) AS rows_committed,
  (SELECT coalesce(max(m.seq), 0) FROM measurements m WHERE m.epoch_key = e.key) AS highest,
  (SELECT count(*) FROM conflicts c WHERE c.epoch_key = e.key) AS rows_conflicts,
  (SELECT coalesce(sum(g.last - g.first + 1), 0) FROM gaps g WHERE g.epoch_key = e.key)
  - (SELECT count(*) FROM gaps g JOIN measurements m
     ON m.epoch_key = g.epoch_key AND m.seq BETWEEN g.first AND g.last
     WHERE g.epoch_key = e.key) AS rows_declared
FROM epochs e LEFT JOIN sites s ON s.key = e.site_key ORDER BY e.key
""")
_OVERLAPS = text("""
SELECT count(*) FROM (
  SELECT first, lag(last) OVER (PARTITION BY epoch_key ORDER BY first) AS before FROM gaps
) AS g WHERE first <= before
""")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Verified:
    """Result of a verification. Without ``problems`` the ledger is sound, whatever its sites lack."""

    problems: list[str]
    epochs: int
    measurements: int
    held: list[SiteCompleteness]


def verify(path: Path, now_us: int, tell: Tell) -> Verified:
    """Check and count everything as of one moment; a collector may write meanwhile.

    ``tell`` gets a line of progress every few seconds. Raises LedgerError for a file that does not exist, is
    no ledger, or has another schema.
    """
    if not path.is_file():
        raise LedgerError(f"ledger {path}: no such file")
    progress = Progress(tell)
    engine = connect(path, writing=False)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA query_only=ON")
            _check_schema(connection, path)
            with progress.watching(connection):
                return _verify(connection, now_us, progress)
    except SQLAlchemyError as error:
        return Verified([explain(error)], 0, 0, [])
    finally:
        engine.dispose()


def _check_schema(connection: Connection, path: Path) -> None:
    found = schema_of(connection, path)
    if found is None or found < SCHEMA_VERSION:
        state = f"of schema {found}" if found else "empty"
        remedy = f"this program verifies schema {SCHEMA_VERSION}, to which its start brings a ledger"
        raise LedgerError(f"ledger {path}: {state}: {remedy}")


def _verify(connection: Connection, now_us: int, progress: "Progress") -> Verified:
    progress.work = "the file's integrity"
    damage = connection.exec_driver_sql(f"PRAGMA integrity_check({MAX_PROBLEMS})").scalars()
    problems = [f"the file is damaged: {line}" for line in damage if line != "ok"]
    if problems:
        return Verified(problems, 0, 0, [])
    problems += wrong_tables(connection)
    problems += _contents(connection, progress)
    progress.work = "the accounts"
    epochs = counted = 0
    for row in connection.execute(_RECOUNT):
        epochs, counted = epochs + 1, counted + row.rows_committed
        progress.work = f"the accounts, {epochs} epochs"
        problems += _differences(row)
    problems += _of_all(connection, counted)
    return Verified(problems, epochs, counted, sorted(holdings(connection, now_us), key=_by_name))


def _contents(connection: Connection, progress: "Progress") -> Iterator[str]:
    """Check every row, every batch and every sum."""
    check, more = ContentsCheck(), True
    while more:
        try:
            found = check.batches(connection)
        except SQLAlchemyError as error:  # a text that is none any more, for one
            found = [f"batches up to {check.after_key} cannot be read: {explain(error)}"]
        yield from found or ()
        more = found is not None
        progress.work = f"the contents, {check.rows} rows"
        progress.look()
    yield from check.heads(connection)
    for table in other_tables():
        yield from _of_table(connection, check, table)
        progress.look()
    yield from check.sums(connection)


def _of_table(connection: Connection, check: ContentsCheck, table: Table) -> Iterator[str]:
    after: int | None = None
    try:
        while True:
            found, after = check.table(connection, table, after)
            yield from found
            if after is None:
                return
    except SQLAlchemyError as error:
        yield f"table {table.name}: a row cannot be read: {explain(error)}"


def _by_name(held: SiteCompleteness) -> str:
    return held.site_id


def _differences(row: Row[Any]) -> Iterator[str]:
    place = f"site {row.site_id or 'unknown'}, epoch {row.epoch}"
    for name in ("committed", "declared", "conflicts"):
        said, is_so = getattr(row, name), getattr(row, f"rows_{name}")
        if said != is_so:
            yield f"{place}: {name} says {said}, the rows {is_so}"
    if row.high_water < row.highest:
        yield f"{place}: high_water says {row.high_water}, the rows go up to {row.highest}"


def _of_all(connection: Connection, counted: int) -> Iterator[str]:
    total = connection.exec_driver_sql("SELECT count(*) FROM measurements").scalar_one()
    if total != counted:
        yield f"{total - counted} measurements belong to no epoch"
    if overlaps := connection.execute(_OVERLAPS).scalar_one():
        yield f"{overlaps} declared gaps overlap others"


class Progress:
    """Reports the present work every few seconds; SQLite calls it while a statement runs."""

    def __init__(self, tell: Tell) -> None:
        self.work = ""
        self._tell = tell
        self._begun = self._reported = time.monotonic()

    def look(self) -> None:
        """Report if the last report is some seconds old."""
        now = time.monotonic()
        if now - self._reported >= TELL_SECONDS:
            self._reported = now
            self._tell(f"{self.work}: {now - self._begun:.0f} s so far")

    @contextmanager
    def watching(self, connection: Connection) -> Iterator[None]:
        """Report while a connection works. The connection must stay open meanwhile."""
        raw: Any = connection.connection.driver_connection
        raw.set_progress_handler(self.look, _INSTRUCTIONS)
        try:
            yield
        finally:
            raw.set_progress_handler(None, 0)
