"""The tables of a journal, and the checks that a file is one.

SQLite does not notice a bit that turns over within a value. So every row has a checksum; triggers keep it,
which leaves no statement that could forget it.
"""

import sqlite3
import zlib
from contextlib import closing

APPLICATION_ID = 0x504C4F31  # "PLO1", so that file(1) and a person can tell what this database is
SCHEMA_VERSION = 1

# The columns that a row's checksum covers, after the table's name.
COLUMNS = {
    "record": "position, epoch, seq, state, drop_order, judged_us, schedule, slot_us, resume_key, record",
    "epoch": "epoch, previous, previous_last, last_seq, resolved, opened_us, newest, closed",
    "gap": "epoch, first, last, reason, at_us, named, named_us",
    "fact": "name, value",
}

_TABLES = """
CREATE TABLE epoch (
    epoch TEXT PRIMARY KEY, previous TEXT, previous_last INTEGER, last_seq INTEGER NOT NULL,
    resolved INTEGER NOT NULL DEFAULT 0, opened_us INTEGER NOT NULL, newest TEXT, closed TEXT,
    checksum INTEGER NOT NULL DEFAULT 0);
CREATE TABLE record (
    position INTEGER PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL, state INTEGER NOT NULL,
    drop_order INTEGER NOT NULL, judged_us INTEGER, schedule TEXT, slot_us INTEGER, resume_key TEXT,
    record BLOB NOT NULL, checksum INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX identity ON record (epoch, seq);
CREATE INDEX by_state ON record (state, position, drop_order);
CREATE INDEX resumable ON record (resume_key, position) WHERE resume_key IS NOT NULL;
CREATE TABLE gap (
    epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, reason TEXT NOT NULL,
    at_us INTEGER NOT NULL, named INTEGER NOT NULL DEFAULT 0, named_us INTEGER,
    checksum INTEGER NOT NULL DEFAULT 0);
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL DEFAULT 0);
"""


def checksum(*values: object) -> int:
    """The checksum of a row: of its table's name and its columns."""
    total = 0
    for value in values:
        total = zlib.crc32(value if isinstance(value, bytes) else repr(value).encode(), total)
        total = zlib.crc32(b"\0", total)
    return total


def teach(connection: sqlite3.Connection) -> None:
    """Let the statements of ``connection`` compute checksums."""
    connection.create_function("checksum", -1, checksum, deterministic=True)


def create(connection: sqlite3.Connection) -> None:
    """Make an empty database a journal, in one transaction."""
    connection.executescript(
        f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID};"
        f" PRAGMA user_version = {SCHEMA_VERSION}; {_script()} COMMIT;"
    )


def is_empty(connection: sqlite3.Connection) -> bool:
    """True if the database has no tables yet."""
    return not _definitions(connection)


def fits(connection: sqlite3.Connection) -> bool:
    """True if the tables are those of a journal.

    The number in the header is not enough: one bit turns it into a newer program's.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as example:
        example.executescript(_script())
        return _definitions(example) == _definitions(connection)


def damage(connection: sqlite3.Connection) -> str:
    """Damage of the file's structure, an index or a row; empty if there is none."""
    finding = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if finding != "ok":
        return finding
    for table, columns in COLUMNS.items():
        wrong = f"SELECT 1 FROM {table} WHERE checksum IS NOT checksum('{table}', {columns}) LIMIT 1"  # noqa: S608 -- both stand above
        if connection.execute(wrong).fetchone():
            return f"a row of {table} is not what was written"
    return ""


def damaged(finding: str) -> sqlite3.DatabaseError:
    """The error that SQLite itself would raise, had it found that."""
    error = sqlite3.DatabaseError(finding)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _script() -> str:
    return _TABLES + "".join(_trigger(table, when) for table in COLUMNS for when in ("INSERT", "UPDATE"))


def _trigger(table: str, when: str) -> str:
    columns = COLUMNS[table]
    upon = when if when == "INSERT" else f"UPDATE OF {columns}"
    return (
        f"CREATE TRIGGER {table}_{when.lower()} AFTER {upon} ON {table} BEGIN"  # noqa: S608 -- they stand above
        f" UPDATE {table} SET checksum = checksum('{table}', {columns}) WHERE rowid = NEW.rowid; END;\n"
    )


def _definitions(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    ).fetchall()
