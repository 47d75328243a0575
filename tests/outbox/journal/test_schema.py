"""A journal that an agent of schema 1 left, as its own code wrote it, and what becomes of it."""

import sqlite3
from pathlib import Path

import pytest

from outbox.journal import schema as journal_schema
from outbox.journal.journal import Counts, Journal
from tests.outbox.journalled import CLOCK, connection, later
from wire.messages.envelope import EpochMark, GapReason, decode_measurement

DUMP = Path(__file__).with_name("schema_1.sql")
SIZE = 64_000_000


def old_journal(path: Path) -> Path:
    old = sqlite3.connect(path)
    old.executescript(DUMP.read_text())
    old.execute("PRAGMA journal_mode = WAL")
    old.close()
    return path


def test_a_journal_of_schema_1_goes_on_as_it_was(tmp_path: Path) -> None:
    path = old_journal(tmp_path / "journal.db")
    before = sqlite3.connect(path)
    records = before.execute("SELECT epoch, seq, state, record FROM record ORDER BY position").fetchall()
    epochs = before.execute("SELECT epoch, last_seq FROM epoch ORDER BY rowid").fetchall()
    before.close()
    with Journal(path, SIZE, later(9)) as journal:
        found = connection(journal)
        query = "SELECT epoch, seq, state, record FROM record ORDER BY position"
        assert found.execute(query).fetchall() == records
        assert found.execute("SELECT worth FROM record ORDER BY position").fetchall() == [
            (0,), (0,), (0,), (0,), (2,), (0,)
        ]  # fmt: skip
        counted = journal.counts()
        assert counted == Counts(2, 2, 1, 1, 2, counted.used)
        [gap] = journal.gaps(64)
        assert (gap.epoch, gap.first, gap.last, gap.reason) == (epochs[1][0], 2, 3, GapReason.NOT_STORED)
        assert journal.marks([])[0].previous == epochs[1][0]
        assert journal.marks([])[0].previous_last == 4
        first = EpochMark(epoch=epochs[0][0], high_water=4)
        assert first in journal.marks([epochs[0][0]])
        assert journal.newest_slots()["stamp-dscp-0"] == CLOCK.wall_us
        assert journal.previous_run is None  # an agent of then did not write it
        assert all(not hasattr(decode_measurement(row.record), "reason") for row in journal.waiting(9))
        assert not journal_schema.damage(found)
        assert found.execute("PRAGMA user_version").fetchone() == (2,)
    with Journal(path, SIZE, later(9)) as journal:
        assert journal.counts().unsent == 2


def test_a_migration_is_all_or_nothing(tmp_path: Path) -> None:
    path = old_journal(tmp_path / "journal.db")
    half = sqlite3.connect(path, isolation_level=None)
    before = list(half.iterdump())
    with pytest.raises(sqlite3.OperationalError, match="checksum"):
        journal_schema.migrate(half)  # nobody taught it checksums, so that it fails in the middle
    assert not half.in_transaction
    assert list(half.iterdump()) == before
    assert half.execute("PRAGMA user_version").fetchone() == (1,)
    half.close()
    with Journal(path, SIZE, later(9)) as journal:
        assert journal.counts().unsent == 2
