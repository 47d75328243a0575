"""Columns for the values of records that an older program kept whole, because it did not know their kind."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, select

from collector.ledger.keys import RowKeys
from collector.ledger.schema import layout
from collector.ledger.schema.layout import metadata
from collector.ledger.schema.values import unknown_values, value_rows
from collector.ledger.transaction import LedgerTransaction
from wire.messages.envelope import Fault, decode_measurement

log = logging.getLogger(__name__)

PORTION = 5000  # rows between two lines of progress


def read_again(transaction: LedgerTransaction) -> int:
    """Give their values columns inside the caller's transaction; returns their number.

    The records stay as they were received: their batches' chains go by them.
    """
    of_these = unknown_values.c.known_now.is_(False)
    total = transaction.execute(select(func.count()).select_from(unknown_values).where(of_these)).scalar_one()
    keys, moved, seen, last = RowKeys(), 0, 0, -1
    while portion := transaction.execute(
        select(unknown_values)
        .where(of_these, unknown_values.c.measurement_key > last)
        .order_by(unknown_values.c.measurement_key)
        .limit(PORTION)
    ).all():
        moved += _read(transaction, keys, portion)
        seen, last = seen + len(portion), portion[-1].measurement_key
        log.info("ledger: %d of %d measurements of then unknown kinds read again", seen, total)
    return moved


def _read(transaction: LedgerTransaction, keys: RowKeys, portion: Sequence[Row[Any]]) -> int:
    found: dict[str, list[layout.Row]] = defaultdict(list)
    known: list[int] = []
    for one in portion:
        key, raw = one.measurement_key, one.json
        record = decode_measurement(raw)
        if isinstance(record, Fault):
            continue
        tables = value_rows(key, record, raw, lambda text: keys.name(transaction, text))
        if unknown_values.name in tables:
            continue  # this program does not know its kind either
        known.append(key)
        for table, values in tables.items():
            found[table] += values
    for name, rows in found.items():
        transaction.insert(metadata.tables[name], rows)
    transaction.change(unknown_values, known, lambda _: {"known_now": True})
    return len(known)
