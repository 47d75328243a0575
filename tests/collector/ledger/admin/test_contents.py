"""Contents against their digests, in a ledger of which every table has rows.

``FULL=1``, as of ``make test-faults``, turns 1,000 bits, removes 100 rows and alters 100 with their digests.
Otherwise it is a sample.
"""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Table, select

from collector.ingest.decode import judge
from collector.ledger.admin.verify import verify
from collector.ledger.schema.digests import digested_tables, row_digest_of
from collector.ledger.schema.layout import ROW_DIGEST
from collector.ledger.schema.tables import measurements
from collector.ledger.store import connect
from collector.ledger.transaction import LedgerTransaction
from collector.ledger.write.writer import Ledger
from collector.model.message import Arrival
from tests.collector.examples import (
    BOOT_US,
    HOUR_US,
    NOW_US,
    SITE,
    arrival,
    clock,
    common,
    outage,
    peer_arrival,
    peer_test,
    stamp,
    stamp_values,
)
from tests.collector.ledger.filled import batch, gap, silent
from tests.collector.ledger.test_values import RECORDS
from wire.messages import envelope
from wire.records import ClockChange, ClockMeasurement, ClockReading, ClockValues, Purpose

FULL = bool(os.environ.get("FULL"))
BITS, ROWS = (1000, 100) if FULL else (60, 12)
SITES = (SITE, "0150001B", "0430002C")
CLOCK = common(1, NOW_US, HOUR_US) | {"interval_us": None, "purpose": Purpose.EVENT}
RECORD_OF_EACH_KIND = [
    replace(record, seq=number)
    for number, record in enumerate(
        (
            *RECORDS.values(),
            outage(1, NOW_US, NOW_US + HOUR_US),
            ClockMeasurement(**CLOCK, values=ClockValues(change=ClockChange.STEPPED, offset_us=1)),
        ),
        1,
    )
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with rows in every table, closed."""
    path = tmp_path_factory.mktemp("filled") / "ledger.db"
    ledger = Ledger(path)
    boot_us = BOOT_US
    ledger.look(ClockReading(wall_us=NOW_US, boot_us=boot_us, boot_id="collector-1", synchronised=False))
    unknown = envelope.encode(stamp(50)).replace(b'"stamp"', b'"of-a-later-version"', 1)
    for number, site in enumerate(SITES):
        records = RECORD_OF_EACH_KIND if number == 0 else []
        unsynchronised = clock(NOW_US + number, synchronised=False, boot_id=f"boot-{site}")
        arrivals = [
            arrival(*records, site=site),
            Arrival(f"qos/v1/{site}/results", batch(60, 61, site=site, sent=unsynchronised).payload, NOW_US),
            batch(70, 72, site=site, gaps=(gap(62, 64), gap(66, 66)), received_us=NOW_US + HOUR_US),
            arrival(stamp(70, values=stamp_values(99_000)), unknown, b'{"seq": 80}', site=site),
        ]
        for one in arrivals:
            ledger.commit([judge(one)])
    for seq in range(1, 4):
        ledger.commit([judge(peer_arrival(peer_test(seq=seq, session=f"3c9d1f20-{seq}")))])
    declaring = batch(site="pop-1", gaps=(gap(7, 9),))
    ledger.commit([judge(Arrival("qos/v1/peers/pop-1/tests", declaring.payload, NOW_US))])
    ledger.close()
    engine = connect(path, writing=True)
    with engine.begin() as connection:
        # A re-dating leaves nothing here when it is done.
        transaction = LedgerTransaction(connection)
        waiting = {"shift_us": 5, "after_key": 10**6, "last_key": 10**6 + 1}
        transaction.insert_one(
            next(one for one in digested_tables() if one.name == "arrival_redatings"), waiting
        )
        transaction.finish()
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    return path


def copy_of(filled: Path, place: Path) -> Path:
    return Path(shutil.copy(filled, place / "ledger.db"))


def rows_of(path: Path, table: Table) -> list[dict[str, Any]]:
    engine = connect(path, writing=False)
    try:
        with engine.begin() as connection:
            return [dict(row) for row in connection.execute(select(table)).mappings()]
    finally:
        engine.dispose()


def values(path: Path) -> Any:
    """Everything that a query can return, or the error that it meets."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return [connection.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in names]
    except (sqlite3.Error, ValueError) as error:
        return str(error)


def test_every_table_has_rows_and_the_ledger_is_sound(filled: Path) -> None:
    assert [table.name for table in digested_tables() if not rows_of(filled, table)] == []
    assert verify(filled, NOW_US, silent).problems == []


def test_a_bit_that_turned_is_named_where_it_changes_a_value(filled: Path, tmp_path: Path) -> None:
    random, before = Random(13), values(filled)
    content = filled.read_bytes()
    changing, unnamed = 0, []
    for _ in range(BITS):
        place, bit = random.randrange(len(content)), random.randrange(8)
        path = tmp_path / "ledger.db"
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
        if values(path) != before:
            changing += 1
            if not problems(path):
                unnamed.append((place, bit))
    print(f"{BITS} bits turned, {changing} of them changed a value, {len(unnamed)} not named")
    assert changing
    assert unnamed == []


def problems(path: Path) -> list[str]:
    try:
        return verify(path, NOW_US, silent).problems
    except Exception as error:
        return [str(error)]


def test_a_removed_row_is_named(filled: Path, tmp_path: Path) -> None:
    random, unnamed = Random(14), []
    for _ in range(ROWS):
        table = random.choice(digested_tables())
        row = random.choice(rows_of(filled, table))
        path = copy_of(filled, tmp_path)
        same = " AND ".join(f'"{column.name}" = :{column.name}' for column in table.primary_key)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f'DELETE FROM "{table.name}" WHERE {same}', row)
        if not verify(path, NOW_US, silent).problems:
            unnamed.append((table.name, row))
    print(f"{ROWS} rows removed, {len(unnamed)} not named")
    assert unnamed == []


def test_a_row_that_was_altered_together_with_its_digest_is_named(filled: Path, tmp_path: Path) -> None:
    random, unnamed = Random(15), []
    for _ in range(ROWS):
        table = random.choice(digested_tables())
        row = random.choice(rows_of(filled, table))
        primary = [column.name for column in table.primary_key]
        altered = random.choice([name for name in row if name not in (*primary, ROW_DIGEST)])
        path = copy_of(filled, tmp_path)
        alter(path, table, row, altered)
        if not verify(path, NOW_US, silent).problems:
            unnamed.append((table.name, altered, row))
    print(f"{ROWS} rows altered with their digests, {len(unnamed)} not named")
    assert unnamed == []


def alter(path: Path, table: Table, row: dict[str, Any], column: str) -> None:
    """Change a value and give the row the digest that belongs to it."""
    primary = [one.name for one in table.primary_key]
    before = row[column]
    is_text, is_bytes = isinstance(before, str), isinstance(before, bytes)
    new = f"{before}!" if is_text else before + b"!" if is_bytes else (before or 0) + 1000
    digest = row_digest_of(table)(row | {column: new})
    same = " AND ".join(f'"{name}" = :{name}' for name in primary)
    with closing(sqlite3.connect(path)) as connection, connection:
        statement = f'UPDATE "{table.name}" SET "{column}" = :new, {ROW_DIGEST} = :digest WHERE {same}'
        connection.execute(statement, row | {"new": new, "digest": digest})


@pytest.mark.parametrize("what", ["removed", "altered"])
def test_a_measurement_is_named_to_its_batch(filled: Path, tmp_path: Path, what: str) -> None:
    path = copy_of(filled, tmp_path)
    row = next(one for one in rows_of(filled, measurements) if one["seq"] == 72)
    if what == "altered":
        alter(path, measurements, row, "bytes_sent")
    else:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM measurements WHERE key = ?", (row["key"],))
    named = [one for one in verify(path, NOW_US, silent).problems if one.startswith(f"site {SITE}, batch 3 ")]
    assert len(named) == 1


def test_newest_batches_that_were_removed_are_missed_by_their_site(filled: Path, tmp_path: Path) -> None:
    path = copy_of(filled, tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM batches WHERE number > 2")
    missed = f"site {SITE}: 4 batches were written, the newest is 2"
    assert missed in verify(path, NOW_US, silent).problems
