"""A ledger's schema: one upgrade by a step that is made up here, kinds that came later, and refusals."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Text

from collector.check import _check_ledger
from collector.ingest.decode import judge
from collector.ledger import store
from collector.ledger.admin.verify import verify
from collector.ledger.migrations import upgrading
from collector.ledger.place import LedgerError, mark_path
from collector.ledger.schema import tables as schema
from collector.ledger.schema import values
from collector.ledger.schema.layout import metadata
from collector.ledger.store import connect
from collector.ledger.write.writer import Ledger
from tests.collector.examples import NOW_US, arrival, capacity, stamp
from tests.collector.ledger.filled import change, query, silent

KEPT_WHOLE = "SELECT known_now, count(*) FROM unknown_values GROUP BY known_now"


WITHOUT_SEARCH = {kind: tables for kind, tables in values.VALUES.items() if kind != "capacity"}


def fill(path: Path) -> None:
    ledger = Ledger(path)
    ledger.commit([judge(arrival(capacity(1), stamp(2)))])
    ledger.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    fill(tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


@pytest.fixture
def step(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of schema 1 before a program whose schema is 2: sites have a note."""

    def add_note() -> None:
        op.add_column("sites", Column("note", Text))

    monkeypatch.setitem(upgrading.STEPS, 2, add_note)
    for module in (upgrading, store, schema):
        monkeypatch.setattr(module, "SCHEMA_VERSION", 2)
    return path


def content(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return "\n".join(connection.iterdump())


def of_an_older_program(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a program leaves a search that does not know of any."""
    for file in (path, mark_path(path)):
        file.unlink()
    with monkeypatch.context() as patch:
        for module in (values, store):
            patch.setattr(module, "VALUES", WITHOUT_SEARCH)
        fill(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in values.VALUES["capacity"].tables():
            connection.execute(f"DROP TABLE {table.name}")
            connection.execute('DELETE FROM table_sums WHERE "table" = ?', (table.name,))


def test_an_older_ledger_is_upgraded_and_the_operator_told(
    step: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = step
    caplog.set_level(logging.INFO)
    Ledger(path).close()
    assert query(path, "SELECT site_id, note FROM sites") == [("0631234A", None)]
    assert query(path, "SELECT version FROM ledger_schema") == [(2,)]
    hint = "to be able to go back, stop this one and copy the file first"
    assert caplog.messages == [
        f"ledger {path}: of schema 1; bringing it to 2. An older program cannot use it then: {hint}",
        f"ledger {path}: now of schema 2",
    ]
    caplog.clear()
    Ledger(path).close()
    assert caplog.messages == []


def test_an_upgrade_that_fails_leaves_the_ledger_as_it_was(
    step: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, before = step, content(step)

    def fail(_connection: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(store, "read_again", fail)
    with pytest.raises(LedgerError, match="disk is full: make room"):
        Ledger(path)
    assert content(path) == before


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_a_kind_that_came_later_gets_its_tables_and_what_was_kept_whole_gets_columns(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = {"capacity_values": "maximum_bps", "capacity_intervals": "received_bps"}
    before = {table: query(path, f"SELECT {column} FROM {table}") for table, column in tables.items()}
    of_an_older_program(path, monkeypatch)
    assert query(path, KEPT_WHOLE) == [(0, 1)]
    Ledger(path).close()
    after = {table: query(path, f"SELECT {column} FROM {table}") for table, column in tables.items()}
    assert after == before
    assert query(path, KEPT_WHOLE) == [(1, 1)]
    assert verify(path, NOW_US, silent).problems == []
    engine = connect(path, writing=False)
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_a_known_record_without_tables_is_kept_whole_and_stops_no_upgrade(
    step: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may build such a program; if somebody does, the collector still starts and loses nothing."""
    path = step
    with monkeypatch.context() as patch:
        patch.setattr(store, "SCHEMA_VERSION", 1)
        of_an_older_program(path, monkeypatch)
    for module in (values, store):
        monkeypatch.setattr(module, "VALUES", WITHOUT_SEARCH)
    ledger = Ledger(path)
    (committed,) = ledger.commit([judge(arrival(capacity(3, NOW_US + 1)))]).messages
    ledger.close()
    assert len(committed.observations) == 1
    assert query(path, KEPT_WHOLE) == [(0, 2)]


def test_a_ledger_of_0_1_is_refused_by_name_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    change(path, "CREATE TABLE ledger_version (version INTEGER NOT NULL, since_us BIGINT)")
    before = path.read_bytes()
    text = (
        f"{path}: made by an unreleased 0.1 of this program, which is not upgraded: "
        "move it aside, or keep it and name another file"
    )
    with pytest.raises(LedgerError, match=f"^ledger {text}$"):
        Ledger(path)
    assert _check_ledger(path).text == text
    assert path.read_bytes() == before


def test_a_check_leaves_an_empty_file_empty(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    assert _check_ledger(path).text == f"{path}: empty; its tables will be created"
    assert path.stat().st_size == 0


def test_a_check_announces_the_upgrade_and_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(path)
    for module in ("collector.check.SCHEMA_VERSION", "collector.ledger.store.SCHEMA_VERSION"):
        monkeypatch.setattr(module, 2)
    found = _check_ledger(path)
    assert found.text == f"{path}: schema 1; the next start upgrades it to 2: copy the file first"
    assert content(path) == before
