"""Runs the steps from a ledger's schema to the present one, all of them or none."""

import logging
from collections.abc import Callable
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, delete, func, select, update

from collector.ledger import rows
from collector.ledger.keys import Keys
from collector.ledger.migrations import to_2
from collector.ledger.schema import SCHEMA_VERSION, metadata, unknown_values, version
from wire.messages import Fault, decode_measurement
from wire.records import UnknownMeasurement

log = logging.getLogger(__name__)

STEPS: dict[int, Callable[[], None]] = {2: to_2.upgrade}
PORTION = 5000  # rows between two lines of progress


def upgrade(connection: Connection, found: int, path: Path, now_us: int) -> None:
    """Bring a ledger of schema ``found`` up to date, inside the transaction of ``connection``."""
    log.warning(
        "ledger %s: of schema %d; bringing it to %d. An older program cannot use it then: to be able to go "
        "back, stop this one and copy the file first", path, found, SCHEMA_VERSION,
    )  # fmt: skip
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of itself, not of the ledger
    with Operations.context(MigrationContext.configure(connection)):
        for number in range(found + 1, SCHEMA_VERSION + 1):
            STEPS[number]()
    read_again(connection)
    connection.execute(update(version).values(version=SCHEMA_VERSION, since_us=now_us))
    log.info("ledger %s: now of schema %d", path, SCHEMA_VERSION)


def read_again(connection: Connection) -> int:
    """Move what the older program kept whole, not knowing it, into the columns of today; returns how many.

    What is unknown still stays where it is.
    """
    total = connection.execute(select(func.count()).select_from(unknown_values)).scalar_one()
    keys, moved, seen, last = Keys(), 0, 0, -1
    while portion := connection.execute(
        select(unknown_values)
        .where(unknown_values.c.measurement_key > last)
        .order_by(unknown_values.c.measurement_key)
        .limit(PORTION)
    ).all():
        moved += sum(_move(connection, keys, row.measurement_key, row.json) for row in portion)
        seen, last = seen + len(portion), portion[-1].measurement_key
        log.info("ledger: %d of %d measurements of then unknown kinds read again", seen, total)
    return moved


def _move(connection: Connection, keys: Keys, key: int, raw: bytes) -> bool:
    record = decode_measurement(raw)
    if isinstance(record, UnknownMeasurement | Fault):
        return False
    for table, found in rows.values(key, record, raw, lambda text: keys.name(connection, text)).items():
        if found:
            connection.execute(metadata.tables[table].insert(), found)
    connection.execute(delete(unknown_values).where(unknown_values.c.measurement_key == key))
    return True
