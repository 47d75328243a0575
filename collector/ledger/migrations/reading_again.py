"""Move records that an older program kept whole, because it did not know their kind, into columns."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable, Row, bindparam, delete, func, select

from collector.ledger.keys import RowKeys
from collector.ledger.schema import layout
from collector.ledger.schema.layout import metadata
from collector.ledger.schema.values import unknown_values, value_rows
from wire.messages.envelope import Fault, decode_measurement

log = logging.getLogger(__name__)

PORTION = 5000  # rows between two lines of progress
_DELETE = delete(unknown_values).where(unknown_values.c.measurement_key == bindparam("of"))


def read_again(connection: Connection) -> int:
    """Move them inside the caller's transaction; returns their number. Kinds still unknown stay."""
    total = connection.execute(select(func.count()).select_from(unknown_values)).scalar_one()
    keys, moved, seen, last = RowKeys(), 0, 0, -1
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


def _move(connection: Connection, keys: RowKeys, portion: Sequence[Row[Any]]) -> int:
    found: dict[str, list[layout.Row]] = defaultdict(list)
    moved: list[layout.Row] = []
    for one in portion:
        key, raw = one.measurement_key, one.json
        record = decode_measurement(raw)
        if isinstance(record, Fault):
            continue
        tables = value_rows(key, record, raw, lambda text: keys.name(connection, text))
        if unknown_values.name in tables:
            continue  # this program does not know its kind either
        moved.append({"of": key})
        for table, values in tables.items():
            found[table] += values
    _write(connection, {metadata.tables[table].insert(): values for table, values in found.items()})
    _write(connection, {_DELETE: moved})
    return len(moved)


def _write(connection: Connection, work: Mapping[Executable, list[layout.Row]]) -> None:
    for statement, parameters in work.items():
        if parameters:
            connection.execute(statement, parameters)
