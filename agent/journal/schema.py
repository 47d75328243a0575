"""What the tables of a journal look like, and how an older journal comes to look so.

SQLite does not notice a bit that falls over within a value, so every row has a checksum of its own; triggers
keep it, which leaves no statement that could forget it.
"""

import sqlite3
import zlib
from contextlib import closing

APPLICATION_ID = 0x504C4A31  # "PLJ1", so that file(1) and a person can tell what this database is
SCHEMA_VERSION = 2
PAGE_BYTES = 4096

COLUMNS = {
    "measurement": "position, epoch, seq, state, worth, marked_us, schedule, slot_us, record",
    "epoch": "epoch, previous, previous_last, last_seq, settled, opened_us, newest, closed",
    "gap": "epoch, first, last, reason, at_us, told, told_us",
    "fact": "name, value",
}
"""The columns that a row's checksum covers, with the table's name before them."""

_TABLES = """
CREATE TABLE epoch (
    epoch TEXT PRIMARY KEY, previous TEXT, previous_last INTEGER, last_seq INTEGER NOT NULL,
    settled INTEGER NOT NULL DEFAULT 0, opened_us INTEGER NOT NULL, newest TEXT, closed TEXT,
    checksum INTEGER NOT NULL DEFAULT 0);
CREATE TABLE measurement (
    position INTEGER PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL, state INTEGER NOT NULL,
    worth INTEGER NOT NULL, marked_us INTEGER, schedule TEXT, slot_us INTEGER, record BLOB NOT NULL,
    checksum INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX identity ON measurement (epoch, seq);
CREATE INDEX by_state ON measurement (state, worth, position);
CREATE TABLE gap (
    epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, reason TEXT NOT NULL,
    at_us INTEGER NOT NULL, told INTEGER NOT NULL DEFAULT 0, told_us INTEGER,
    checksum INTEGER NOT NULL DEFAULT 0);
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL DEFAULT 0);
"""

_OLD_TABLES = """
CREATE TABLE epoch (
    epoch TEXT PRIMARY KEY, previous TEXT, previous_last INTEGER,
    last_seq INTEGER NOT NULL, opened_us INTEGER NOT NULL);
CREATE TABLE measurement (
    position INTEGER PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL, state INTEGER NOT NULL,
    marked_us INTEGER, schedule TEXT, slot_us INTEGER, record BLOB NOT NULL);
CREATE UNIQUE INDEX identity ON measurement (epoch, seq);
CREATE INDEX by_state ON measurement (state, position);
CREATE TABLE gap (
    epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, reason TEXT NOT NULL,
    at_us INTEGER NOT NULL);
"""

# What a schema 1 journal called full was a disk that took nothing. Its epochs do not say how they ended.
_TO_2 = """
INSERT INTO epoch (rowid, epoch, previous, previous_last, last_seq, opened_us, newest)
    SELECT rowid, epoch, previous, previous_last, last_seq, opened_us, '' FROM old_epoch ORDER BY rowid;
INSERT INTO measurement (position, epoch, seq, state, worth, marked_us, schedule, slot_us, record)
    SELECT position, epoch, seq, state,
        CASE WHEN instr(record, '"probe":"stamp"') OR instr(record, '"probe":"interface"') THEN 0
             WHEN instr(record, '"probe":"floor"') THEN 2 ELSE 1 END,
        marked_us, schedule, slot_us, record FROM old_measurement ORDER BY position;
INSERT INTO gap (epoch, first, last, reason, at_us)
    SELECT epoch, first, last, CASE reason WHEN 'full' THEN 'not-stored' ELSE reason END, at_us FROM old_gap;
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
    connection.executescript(f"BEGIN IMMEDIATE; {_marked()} {_current()} COMMIT;")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a journal of schema 1 to the present one, in one transaction. Raises sqlite3.Error."""
    names = ("epoch", "measurement", "gap")
    aside = "".join(f"ALTER TABLE {name} RENAME TO old_{name};" for name in names)
    dropped = "".join(f"DROP TABLE old_{name};" for name in names)
    unindexed = "DROP INDEX identity; DROP INDEX by_state;"
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE; {aside} {unindexed} {_current()} {_TO_2} {dropped} {_marked()} COMMIT;"
        )
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def version_of(connection: sqlite3.Connection) -> int | None:
    """The schema that the tables themselves are of, 0 for an empty database, None if of no known one.

    The header's number alone is not believed: one bit makes it another, and then a journal would be taken
    for a newer agent's or another program's.
    """
    found = _definitions(connection)
    if not found:
        return 0
    for version, script in ((SCHEMA_VERSION, _current()), (1, _OLD_TABLES)):
        with _example(script) as example:
            if _definitions(example) == found:
                return version
    return None


def damage(connection: sqlite3.Connection, version: int = SCHEMA_VERSION) -> str:
    """What is wrong with the file, its structure, its indexes or any row of it; empty if nothing is.

    Rows of schema 1 have no checksum.
    """
    finding = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if finding != "ok":
        return finding
    for table, columns in COLUMNS.items() if version > 1 else ():
        wrong = f"SELECT 1 FROM {table} WHERE checksum IS NOT checksum('{table}', {columns}) LIMIT 1"  # noqa: S608 -- both stand above
        if connection.execute(wrong).fetchone():
            return f"a row of {table} is not what was written"
    return ""


def damaged(finding: str) -> sqlite3.DatabaseError:
    """The error that SQLite itself would raise, had it found that."""
    error = sqlite3.DatabaseError(finding)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _current() -> str:
    return _TABLES + "".join(_trigger(table, when) for table in COLUMNS for when in ("INSERT", "UPDATE"))


def _trigger(table: str, when: str) -> str:
    columns = COLUMNS[table]
    upon = when if when == "INSERT" else f"UPDATE OF {columns}"
    return (
        f"CREATE TRIGGER {table}_{when.lower()} AFTER {upon} ON {table} BEGIN"  # noqa: S608 -- they stand above
        f" UPDATE {table} SET checksum = checksum('{table}', {columns}) WHERE rowid = NEW.rowid; END;\n"
    )


def _marked() -> str:
    return f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"


def _definitions(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    ).fetchall()


def _example(script: str) -> "closing[sqlite3.Connection]":
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(script)
    return closing(connection)
