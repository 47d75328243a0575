"""Runs the steps from a ledger's schema to the present one, all of them or none.

A step is a function here, written with Alembic's operations and frozen as the tables were then. A new kind of
measurement needs none: its tables are made when they are missing.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, update

from collector.ledger.schema.tables import SCHEMA_VERSION, version

log = logging.getLogger(__name__)

STEPS: dict[int, Callable[[], None]] = {}
"""By the schema that each leads to, from 2 on."""


def upgrade(connection: Connection, found: int, path: Path, now_us: int) -> None:
    """Bring a ledger of schema ``found`` up to date, inside the transaction of ``connection``."""
    log.warning(
        "ledger %s: of schema %d; bringing it to %d. An older program cannot use it then: to be able to go "
        "back, stop this one and copy the file first", path, found, SCHEMA_VERSION,
    )  # fmt: skip
    with Operations.context(MigrationContext.configure(connection)):
        for number in range(found + 1, SCHEMA_VERSION + 1):
            STEPS[number]()
    connection.execute(update(version).values(version=SCHEMA_VERSION, since_us=now_us))
    log.info("ledger %s: now of schema %d", path, SCHEMA_VERSION)
