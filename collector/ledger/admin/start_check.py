"""Check of a ledger when a collector starts: its tables, and its newest day within a bounded time.

A collector that wrote on top of a damaged ledger would give receipts beside rows that nobody can trust.
Agents would then drop the records that could replace these.
"""

import logging
import time
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from collector.ledger.admin.contents import BATCHES, ContentsCheck, newest_batch
from collector.ledger.place import LedgerError
from collector.ledger.schema.tables import batches
from collector.ledger.store import connect, explain, wrong_tables

log = logging.getLogger(__name__)

DAY_US = 86_400_000_000
LONGEST_S = 10.0
_RECEIVED = select(batches.c.received_us).order_by(batches.c.key.desc()).limit(1)
REMEDY = (
    "restore a backup (plancher-collector ledger restore), list all damage (ledger verify), "
    "or go on with what is there (run --unchecked)"
)


def check_newest_day(path: Path, longest_s: float = LONGEST_S) -> None:
    """Check from the newest batch backwards. Raises LedgerError for a damaged ledger."""
    began = time.monotonic()
    engine = connect(path, writing=False)
    try:
        with engine.begin() as connection:
            problems = wrong_tables(connection)
            newest = newest_batch(connection)
            received_us: int = connection.execute(_RECEIVED).scalar() or 0
            check, first = ContentsCheck(), newest
            while first > 0 and not problems and time.monotonic() - began < longest_s:
                first = check.after_key = max(0, first - BATCHES)
                problems = check.batches(connection) or []
                begun_us: int = connection.execute(_RECEIVED.where(batches.c.key <= first + 1)).scalar() or 0
                if begun_us < received_us - DAY_US:
                    break
    except SQLAlchemyError as error:
        problems = [explain(error)]
    finally:
        engine.dispose()
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise LedgerError(f"ledger {path}: damaged: {problems[0]}{more}: {REMEDY}")
    if newest:
        log.info(
            "ledger %s: its newest %d batches, %d rows, are sound (checked in %.1f s)",
            path, newest - first, check.rows, time.monotonic() - began,
        )  # fmt: skip
