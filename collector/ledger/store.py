"""Opening the ledger: durability settings and schema, and errors of its file in words."""

import logging
import os
import secrets
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeGuard

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, select
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from collector.ledger.migrations.reading_again import read_again
from collector.ledger.place import LedgerError, refuse_to_begin_anew
from collector.ledger.schema.layout import metadata
from collector.ledger.schema.tables import SCHEMA_VERSION, resends, table_sums, version
from collector.ledger.schema.values import VALUES
from collector.ledger.transaction import LedgerTransaction, begin_sums
from host import rights

log = logging.getLogger(__name__)

BUSY_TIMEOUT_MS = 10_000
UNRELEASED = "ledger_version"  # the table in which a ledger of 0.1 has the number of its schema


def connect(path: Path, *, writing: bool) -> Engine:
    """Engine for the ledger's file, which it does not open before the first connection, and never creates."""
    # A reader must not leave an empty file where a ledger was moved away.
    query = {"mode": "rw", "uri": "true"}
    url = URL.create("sqlite", database=path.absolute().as_uri(), query=query)
    # An error's text goes to the log: without its parameters it has no measurement in it.
    engine = create_engine(url, paramstyle="named", hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # or sqlite3 would begin transactions by itself
        for pragma in (
            "synchronous=FULL",  # a receipt is a promise that survives a power cut
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "cache_size=-16000",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def prepare(engine: Engine, path: Path, *, upgrading: bool = True, anew: bool = False) -> int:
    """Create the tables of a new file or upgrade an older one; returns the schema found.

    Only its owner may read a new file. An upgrade is all or nothing; without ``upgrading`` it is left out.
    Where a ledger was before, a new one begins only with ``anew``. Raises LedgerError for a file that is no
    ledger, has a newer schema or cannot be written. Such a file is not changed.
    """
    if not anew:
        refuse_to_begin_anew(path)
    with suppress(OSError):  # SQLite says in the next step what is wrong with the place
        os.close(rights.make_own(path))
    try:
        with engine.begin() as connection:
            found = _create_or_check(connection, path, upgrading)
        with closing(engine.raw_connection()) as raw:
            raw.cursor().execute("PRAGMA journal_mode=WAL").close()
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise LedgerError(f"ledger {path}: {explain(error)}") from None
    return found


def _create_or_check(connection: Connection, path: Path, upgrading: bool) -> int:
    found = schema_of(connection, path)
    transaction = LedgerTransaction(connection)
    if found is None:
        metadata.create_all(connection)
        begin_sums(connection)
        connection.execute(version.insert(), {"version": SCHEMA_VERSION, "since_us": _now_us()})
        # What agents sent to a ledger that is gone they still have for a week.
        ask_again(transaction, 0, _now_us())
        transaction.finish()
        return SCHEMA_VERSION
    if not upgrading:
        return found
    if found < SCHEMA_VERSION:
        logging.getLogger("alembic").setLevel(logging.WARNING)  # it logs two lines about itself at its import
        # Alembic weighs as much as the rest of the ledger and is needed once.
        from collector.ledger.migrations.upgrading import upgrade

        upgrade(connection, found, path, _now_us())
    if _add_kinds(connection, path) or found < SCHEMA_VERSION:
        read_again(transaction)
        transaction.finish()
    return found


def ask_again(transaction: LedgerTransaction, since_us: int, asked_us: int) -> None:
    """Ask every agent to send again what it has measured since ``since_us``."""
    command = f"resend-{secrets.token_hex(8)}"
    transaction.insert_one(resends, {"command": command, "since_us": since_us, "asked_us": asked_us})


def _add_kinds(connection: Connection, path: Path) -> bool:
    """Create the tables of kinds that an older program did not know; returns true if there are any."""
    held = set(inspect(connection).get_table_names())
    added = [kind for kind, made in VALUES.items() if any(table.name not in held for table in made.tables())]
    if added:
        tables = [table for kind in added for table in VALUES[kind].tables()]
        metadata.create_all(connection, tables=tables)
        begin_sums(connection, tables)
        log.info("ledger %s: has tables now for measurements of %s", path, ", ".join(added))
    return bool(added)


def schema_of(connection: Connection, path: Path) -> int | None:
    """Schema of a ledger, or None for an empty file.

    Raises LedgerError for another program's database, or a schema that this program does not know.
    """
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return None
    if UNRELEASED in tables:
        raise LedgerError(
            f"ledger {path}: made by an unreleased 0.1 of this program, which is not upgraded: "
            "move it aside, or keep it and name another file"
        )
    if version.name not in tables:
        raise LedgerError(f"ledger {path}: a database, but no ledger of this program: name another")
    if table_sums.name not in tables:
        raise LedgerError(
            f"ledger {path}: made by a development version of this program, which is not upgraded: "
            "move it aside, or keep it and name another file"
        )
    found: int | None = connection.execute(select(version.c.version)).scalar()
    if found is None or not 1 <= found <= SCHEMA_VERSION:
        raise LedgerError(
            f"ledger {path}: of schema {found}, this program writes {SCHEMA_VERSION}: "
            "upgrade the collector, or name another file"
        )
    return found


def wrong_tables(connection: Connection) -> list[str]:
    """Tables and indexes that are not as this program makes them."""
    with create_engine("sqlite://").connect() as model:
        metadata.create_all(model)
        wanted = _definitions(model)
    held = _definitions(connection)
    return [
        f"{name}: missing" if name not in held else f"{name}: not as this program makes it"
        for name, definition in wanted.items()
        if held.get(name) != definition
    ]


def _definitions(connection: Connection) -> dict[str, str]:
    query = "SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    return {str(name): str(definition) for name, definition in connection.exec_driver_sql(query)}


def ledger_fails(error: Exception) -> TypeGuard[DatabaseError]:
    """Return true if the ledger itself is at fault (a full disk, a damaged file), not the rows to write."""
    return isinstance(error, OperationalError) or type(error) is DatabaseError


def explain(error: SQLAlchemyError | sqlite3.Error) -> str:
    """Text of a database error with its remedy, without the statement and its values."""
    said = error if isinstance(error, sqlite3.Error) else getattr(error, "orig", None)
    text = str(said or type(error).__name__)
    for sign, remedy in _REMEDIES:
        if sign in text:
            return f"{text}: {remedy}"
    return text


_REMEDIES = (
    ("unable to open", "does the folder exist, and may this user write there?"),
    ("readonly", "this user may not write it"),
    ("not a database", "this is no ledger: name another file"),
    ("disk is full", "make room on its file system"),
    ("locked", "another program holds it"),
    ("disk I/O error", "the disk or its file system is failing"),
    ("malformed", "the file is damaged: restore it from a backup; agents send again what they still have"),
)


def _now_us() -> int:
    return time.time_ns() // 1000
