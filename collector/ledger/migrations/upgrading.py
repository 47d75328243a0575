"""Runs the steps from a ledger's schema to the present one, all of them or none."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, Executable, Row, bindparam, delete, func, select, update

from collector.ledger.migrations import to_2, to_3, to_4
from collector.ledger.rows import layout
from collector.ledger.rows import record_rows as rows
from collector.ledger.rows.keys import Keys
from collector.ledger.schema import SCHEMA_VERSION, measurements, metadata, unknown_values, version
from wire.messages.envelope import Fault, decode_measurement
from wire.records import UnknownMeasurement

log = logging.getLogger(__name__)

STEPS: dict[int, Callable[[], None]] = {2: to_2.upgrade, 3: to_3.upgrade, 4: to_4.upgrade}
PORTION = 5000  # rows between two lines of progress
_DELETE = delete(unknown_values).where(unknown_values.c.measurement_key == bindparam("of"))
_HOST = (
    update(measurements)
    .where(measurements.c.key == bindparam("of"))
    .values(host_busy_ratio=bindparam("busy"), host_load_1min=bindparam("load"))
)


def upgrade(connection: Connection, found: int, path: Path, now_us: int) -> None:
    """Bring a ledger of schema ``found`` up to date, inside the transaction of ``connection``."""
    log.warning(
        "ledger %s: of schema %d; bringing it to %d. An older program cannot use it then: to be able to go "
        "back, stop this one and copy the file first", path, found, SCHEMA_VERSION,
    )  # fmt: skip
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
        moved += _move(connection, keys, portion)
        seen, last = seen + len(portion), portion[-1].measurement_key
        log.info("ledger: %d of %d measurements of then unknown kinds read again", seen, total)
    return moved


def _move(connection: Connection, keys: Keys, portion: Sequence[Row[Any]]) -> int:
    found: dict[str, list[layout.Row]] = defaultdict(list)
    hosts: list[layout.Row] = []
    moved: list[layout.Row] = []
    for one in portion:
        key, raw = one.measurement_key, one.json
        record = decode_measurement(raw)
        if isinstance(record, UnknownMeasurement | Fault):
            continue
        moved.append({"of": key})
        if record.host is not None:
            hosts.append({"of": key, "busy": record.host.busy_ratio, "load": record.host.load_1min})
        for table, values in rows.values(key, record, raw, lambda text: keys.name(connection, text)).items():
            found[table] += values
    _write(connection, {metadata.tables[table].insert(): values for table, values in found.items()})
    _write(connection, {_HOST: hosts, _DELETE: moved})
    return len(moved)


def _write(connection: Connection, work: Mapping[Executable, list[layout.Row]]) -> None:
    for statement, parameters in work.items():
        if parameters:
            connection.execute(statement, parameters)
