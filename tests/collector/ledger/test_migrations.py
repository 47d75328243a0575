import logging
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from collector.check import _check_ledger
from collector.ingest.decode import judge
from collector.ledger import schema
from collector.ledger.migrations import upgrading
from collector.ledger.read import latest as reading
from collector.ledger.store import LedgerError, connect
from collector.ledger.write.commit import Ledger
from tests.collector.examples import EPOCH, MINUTE_US, NOW_US, arrival, floor, stamp
from tests.collector.ledger.filled import query
from wire.records import CapacityValues, FloorValues, Verdict

DUMPS = {number: Path(__file__).with_name(f"schema_{number}.sql") for number in (1, 2)}


def of_schema(number: int, path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMPS[number].read_text(encoding="utf-8"))
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return of_schema(1, tmp_path / "ledger.db")


def content(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return "\n".join(connection.iterdump())


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
@pytest.mark.parametrize("number", DUMPS)
def test_an_old_ledger_becomes_what_a_new_one_is(number: int, tmp_path: Path) -> None:
    old = of_schema(number, tmp_path / "ledger.db")
    Ledger(old).close()
    engine = connect(old, writing=False)
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    engine.dispose()
    new = tmp_path / "new.db"
    Ledger(new).close()
    columns = (
        "SELECT m.name, i.name, i.type, i.[notnull], i.pk FROM sqlite_master m, pragma_table_info(m.name) i"
    )
    indices = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'"
    for statement in (columns, indices):
        assert set(query(old, statement)) == set(query(new, statement))
    (version,) = query(old, "SELECT version FROM ledger_version")
    assert version == (schema.SCHEMA_VERSION,)


def test_what_was_measured_is_still_there_and_is_shown(old: Path) -> None:
    before = query(old, "SELECT key, epoch_key, seq, digest, time_us FROM measurements ORDER BY key")
    Ledger(old).close()
    assert query(old, "SELECT key, epoch_key, seq, digest, time_us FROM measurements ORDER BY key") == before
    floors = [seen.values for seen in reading.newest(old) if isinstance(seen.values, FloorValues)]
    assert {found.verdict for found in floors} == {Verdict.PASS, Verdict.FAIL}
    assert {(found.standing, found.quiet, found.passive_us) for found in floors} == {(None, False, None)}
    assert (
        query(old, "SELECT count(*) FROM conflicts") == query(old, "SELECT count(*) FROM rejects") == [(1,)]
    )


def test_what_the_older_program_did_not_know_is_read_again(old: Path) -> None:
    assert query(old, "SELECT count(*) FROM unknown_values") == [(2,)]
    Ledger(old).close()
    assert query(old, "SELECT maximum_bps, bound_key FROM capacity_values") == [(19.8e6, None)]
    assert query(old, "SELECT ordinal, received_bps FROM capacity_intervals") == [(0, 9e6), (1, 19.8e6)]
    ((left,),) = query(old, "SELECT json FROM unknown_values")
    assert b'"moon"' in left
    (found, *_) = [seen for seen in reading.newest(old) if seen.series.probe == "capacity"]
    assert isinstance(found.values, CapacityValues)
    assert found.values.maximum_bps == 19.8e6


def test_the_load_of_its_machine_comes_along(old: Path) -> None:
    """It stands beside the values, in the row that the older program wrote without it."""
    host = """json_set(CAST(json AS TEXT), '$.host', json('{"busy_ratio": 0.5, "load_1min": 1.5}'))"""
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute(f"UPDATE unknown_values SET json = CAST({host} AS BLOB)")
    Ledger(old).close()
    told = "SELECT m.host_busy_ratio, m.host_load_1min FROM measurements m"
    assert query(old, f"{told} JOIN capacity_values c ON c.measurement_key = m.key") == [(0.5, 1.5)]


COUNTS = "high_water, committed, declared, conflicts, previous, previous_last"
ACCOUNTS = f"SELECT epoch, {COUNTS} FROM epochs ORDER BY epoch"


def test_what_each_epoch_holds_is_counted_and_how_far_it_had_come(tmp_path: Path) -> None:
    old = of_schema(2, tmp_path / "ledger.db")
    before = "SELECT epoch, high_water FROM epochs ORDER BY epoch"
    assert query(old, before) == [(EPOCH, 4), ("b" * 16, 1)]
    Ledger(old).close()
    assert query(old, ACCOUNTS) == [
        (EPOCH, 7, 3, 0, 1, "a" * 16, 3),  # the one that follows says 7; the highest that came is 5
        ("a" * 16, 3, 0, 0, 0, None, None),  # nothing of it ever came
        ("b" * 16, 1, 1, 0, 0, EPOCH, 7),
    ]


def test_what_came_beyond_every_mark_raises_it(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("UPDATE epochs SET high_water = 2")
    Ledger(old).close()
    assert query(old, "SELECT high_water = max(seq), committed = count(*) FROM epochs, measurements") == [
        (1, 1)
    ]


def test_it_takes_old_and_new_measurements_afterwards(old: Path) -> None:
    ledger = Ledger(old)
    (settled,) = ledger.commit([judge(arrival(floor(2, NOW_US + 2), stamp(7, NOW_US + MINUTE_US)))])
    ledger.close()
    assert [fate.redelivered for fate in settled.fates] == [True, False]


def test_an_upgrade_that_fails_leaves_the_ledger_as_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(old)

    def fail(_connection: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(upgrading, "read_again", fail)
    with pytest.raises(LedgerError, match="disk is full: make room"):
        Ledger(old)
    assert content(old) == before


def test_the_operator_is_told_before_and_while(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Ledger(old).close()
    hint = "to be able to go back, stop this one and copy the file first"
    assert caplog.messages == [
        f"ledger {old}: of schema 1; bringing it to 4. An older program cannot use it then: {hint}",
        "ledger: 2 of 2 measurements of then unknown kinds read again",
        f"ledger {old}: now of schema 4",
    ]
    caplog.clear()
    Ledger(old).close()
    assert caplog.messages == []


def test_what_upgrades_it_does_not_speak_of_itself(old: Path) -> None:
    """In a process of its own: here its library may have been loaded, and silenced, before."""
    code = (
        "import logging, pathlib, sys; logging.basicConfig(level=logging.INFO, format='%(name)s'); "
        "from collector.ledger.write.commit import Ledger; Ledger(pathlib.Path(sys.argv[1])).close()"
    )
    done = subprocess.run([sys.executable, "-c", code, old], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stderr.split()} == {"collector"}


def test_a_check_leaves_an_empty_file_empty(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    assert _check_ledger(path).text == f"{path}: empty; its tables will be created"
    assert path.stat().st_size == 0


def test_a_check_announces_the_upgrade_and_changes_nothing(old: Path) -> None:
    before = content(old)
    found = _check_ledger(old)
    assert found.text == f"{old}: of schema 1; the next start brings it to 4: copy the file first"
    assert content(old) == before
