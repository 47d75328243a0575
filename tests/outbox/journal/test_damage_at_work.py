"""Damage that is met while the agent runs: beside a disk in trouble, without room, in what is to be sent."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from outbox.journal import file as journal_file
from outbox.journal import gaps as journal_gaps
from outbox.journal.file import DiskTroubleError
from outbox.journal.journal import Journal
from outbox.journal.memory import Memory
from outbox.journal.store import Store
from outbox.rows import Change, Filing, Row, State
from tests.outbox.journalled import (
    CLOCK,
    Identity,
    build,
    commit,
    connection,
    flip,
    identities,
    later,
    opened,
    refusing,
    waiting,
)
from wire.messages.envelope import EpochMark, EpochRange, GapReason, encode

RETRY = later(20_000_000)


def lost(journal: Journal) -> set[Identity]:
    return {(gap.epoch, seq) for gap in journal.gaps(64) for seq in range(gap.first, gap.last + 1)}


def destroy(journal: Journal, folder: Path) -> None:
    """Nothing of the file can be read any more, and it is found out."""
    (folder / "journal.db").write_bytes(b"x" * 8192)
    (folder / "journal.db-wal").write_bytes(b"")
    connection(journal).execute("PRAGMA shrink_memory")
    assert journal.waiting(1) == [] or journal.trouble


def test_what_stands_in_memory_is_not_declared_lost_with_the_file(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        written = commit(journal, 4)
        connection(journal).execute("PRAGMA query_only = ON")
        held = commit(journal, 3)
        destroy(journal, tmp_path)
        assert waiting(journal) == identities(held)
        assert max(mark.high_water for mark in journal.marks([held[0].epoch])) == 7
        journal.recover(RETRY)
        assert journal.trouble is None
        assert (lost(journal), waiting(journal)) == (identities(written), identities(held))
        assert max(mark.high_water for mark in journal.marks([held[0].epoch])) == 7


def test_what_a_file_lost_is_declared_when_there_is_room_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> Store:
        raise DiskTroubleError("full")

    with opened(tmp_path) as journal:
        made = commit(journal, 4)
        with monkeypatch.context() as patched:
            patched.setattr(journal_file, "open_store", no_room)
            destroy(journal, tmp_path)
        held = commit(journal, 2)
        journal.recover(RETRY)
        assert journal.trouble is None
        assert (lost(journal), waiting(journal)) == (identities(made), identities(held))


def test_a_ledger_that_asks_again_is_owed_nothing_of_before(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        made = commit(journal, 4)
        with refusing(journal):
            made += commit(journal, 1)
            journal.apply([Change(journal.epoch, 1, 2, State.COMMITTED)], CLOCK)
            assert len(waiting(journal)) == 3
        assert journal.resend("after a restore", 0) is not None
        journal.recover(RETRY)
        assert journal.trouble is None
        assert waiting(journal) == identities(made)


def test_damage_at_work_costs_no_new_measurement(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        commit(journal, 300)
        connection(journal).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with (tmp_path / "journal.db").open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 4096 * 20)
        connection(journal).execute("PRAGMA cache_size = 0")
        connection(journal).execute("PRAGMA shrink_memory")
        damaged = journal.epoch
        assert commit(journal)[0].seq == 1
        assert journal.waiting(1)[0].seq == 1
        found = journal.counts()
        assert found.waiting + found.gaps == 301
        assert {gap.epoch for gap in journal.gaps(64)} == {damaged}
        # whoever reads what is newer than the last position it saw goes on reading
        assert [row.position for row in journal.waiting(10, after=300)] == [301]
        chained = EpochMark(epoch=journal.epoch, high_water=1, previous=damaged, previous_last=300)
        assert journal.marks([]) == (chained,)


def test_a_bit_that_falls_over_at_work_is_not_sent(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        made = commit(journal, 40, detail="a detail to be damaged")
        flip(journal, tmp_path / "journal.db", b"a detail to be")
        assert journal.waiting(100) == []
        assert journal.trouble is None
        contents = {(one.epoch, one.seq): encode(one) for one in made}
        rows = journal.waiting(100)
        assert len(rows) == 39
        assert all(contents[row.epoch, row.seq] == row.record for row in rows)
        assert lost(journal) == identities(made) - waiting(journal)


def test_a_text_that_is_none_any_more_is_damage(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        made = commit(journal, 40)
        flip(journal, tmp_path / "journal.db", b"stamp-dscp-0", bit=0x80)
        journal.waiting(100)
        assert journal.trouble is None
        assert len(waiting(journal)) == 39
        assert lost(journal) == identities(made) - waiting(journal)


@pytest.mark.parametrize("bit", [1, 0x80], ids=["another word", "no text"])
def test_a_gap_whose_reason_no_longer_reads_is_told_all_the_same(tmp_path: Path, bit: int) -> None:
    with opened(tmp_path) as journal:
        made = commit(journal, 3)
        connection(journal).execute("DELETE FROM record WHERE seq = 2")
        journal_gaps.declare(connection(journal), journal.epoch, 2, 2, GapReason.DROPPED, CLOCK.wall_us)
        journal.apply([Change(journal.epoch, 1, 3, State.COMMITTED)], CLOCK)
        journal.prune(CLOCK)  # nothing waits for a receipt now, so that a salvage would not miss it
        flip(journal, tmp_path / "journal.db", b"dropped", bit)
        [gap] = journal.gaps(64)
        assert (gap.first, gap.last, gap.reason) == (2, 2, GapReason.DAMAGED)
        assert (journal.epoch, journal.trouble) == (made[0].epoch, None)
        assert journal.gaps(64) == [gap]
        journal.apply([], CLOCK, [EpochRange(epoch=gap.epoch, first=2, last=2)])
        assert journal.gaps(64) == []
    with opened(tmp_path) as journal:
        assert journal.counts().gaps == 1
        assert not list(tmp_path.glob("*.broken-*"))


def test_a_gap_that_no_collector_would_take_is_damage(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        made = commit(journal, 1)
        journal_gaps.declare(connection(journal), "f" * 16, 77, 77, GapReason.DROPPED, CLOCK.wall_us)
        flip(journal, tmp_path / "journal.db", b"f" * 16, 0x20)
        assert journal.gaps(64) == []
        assert journal.epoch != made[0].epoch
        assert journal.trouble is None
        assert waiting(journal) == identities(made)


def test_memory_is_written_beside_what_is_there_already(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        made = commit(journal, 3)
        disk, memory = Store(connection(journal)), Memory()
        # The disk refused the second, and has it; the other's position is taken.
        for position, one in ((2, made[1]), (3, build("0000000000000000", 1))):
            memory.store.insert(Row(position, one.epoch, one.seq, encode(one)), Filing(), CLOCK)
        with disk.transaction():
            memory.write_to(disk)
        memory.store.close()
        assert waiting(journal) == {*identities(made), ("0000000000000000", 1)}


def test_errors_that_are_damage() -> None:
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(sqlite3.OperationalError) as raised,
    ):
        connection.execute("SELECT CAST(x'ff' AS TEXT)").fetchone()
    assert journal_file.is_broken(raised.value)
    assert not journal_file.is_broken(sqlite3.OperationalError("disk I/O error"))
