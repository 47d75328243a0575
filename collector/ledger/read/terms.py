"""Terms that several readers of the ledger share: one transaction, names by key, and SQL conditions."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from collector.ledger.place import LedgerError
from collector.ledger.schema.tables import batches, names
from collector.ledger.store import connect, explain

LAST_RECEIVED = select(batches.c.received_us).order_by(batches.c.key.desc()).limit(1)


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """One transaction that reads. Raises LedgerError if the file cannot be read."""
    engine = connect(path, writing=False)
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise LedgerError(f"ledger {path}: {explain(error)}") from None
    finally:
        engine.dispose()


class NamesByKey(dict[int, str]):
    """Names by key; each is read once, because every boot has one."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, key: int) -> str:
        query = select(names.c.name).where(names.c.key == key)
        found: str = self._connection.execute(query).scalar_one()
        self[key] = found
        return found


def name_key(word: str) -> Any:
    """Key of a name, as a subquery."""
    return select(names.c.key).where(names.c.name == word).scalar_subquery()


def is_in_views(measurements: Any) -> tuple[Any, ...]:
    """Conditions of measurements that views show, as ``passed_over`` has them."""
    columns = measurements.c
    # Written as the partial index has them, or SQLite would not use it.
    return columns.ahead.is_(False), columns.time_error_us.is_not(None), columns.outdated.is_(False)
