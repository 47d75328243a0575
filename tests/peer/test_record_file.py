"""The file of tests by itself: bounds, order, states, and what it refuses to open."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from peer.record_file import FileError, RecordFile, State, is_broken, set_aside
from tests.peer.examples import entries

PLENTY = 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "tests.db"


def numbers(file: RecordFile, limit: int = 10_000) -> list[int]:
    return [int(one.identity[0].partition("-")[2], 16) for one in file.unsent(limit)]


def test_the_newest_come_first_and_stay_over_a_restart(path: Path) -> None:
    with closing(RecordFile(path, 1000, PLENTY)) as file:
        file.add(entries(1, 2, 3))
        file.add(entries(3, 4))
        assert numbers(file) == [4, 3, 2, 1]
        assert [one.identity for one in file.unsent(2, {entries(4)[0].identity})] == [
            one.identity for one in entries(3, 2)
        ]
    with closing(RecordFile(path, 1000, PLENTY)) as file:
        assert file.unsent(1) == entries(4)
    assert path.stat().st_mode & 0o077 == 0


def test_what_the_collector_said_is_kept(path: Path) -> None:
    one, two, three = (one.identity for one in entries(1, 2, 3))
    with closing(RecordFile(path, 1000, PLENTY)) as file:
        file.add(entries(1, 2, 3))
        file.settle({one: State.RECEIVED, two: State.REJECTED, ("none", "up", 1): State.RECEIVED})
        assert numbers(file) == [3]
        assert file.counts() == (3, 2)
        assert file.release() == 1
        assert numbers(file) == [3, 2]
        file.settle({one: State.REJECTED, three: State.RECEIVED})
        assert file.release() == 0
        assert file.counts() == (3, 1)


def test_beyond_its_rows_what_has_a_receipt_goes_first_then_the_oldest(path: Path) -> None:
    with closing(RecordFile(path, 20, PLENTY)) as file:
        assert file.add(entries(*range(20))) == 0
        file.settle({one.identity: State.RECEIVED for one in entries(10, 11)})
        assert file.add(entries(20, 21)) == 0
        assert file.counts() == (20, 20)
        assert file.add(entries(22, 23, 24)) == 3
        assert numbers(file) == [*range(24, 11, -1), *range(9, 2, -1)]


def test_beyond_its_bytes_the_oldest_go(path: Path) -> None:
    size = 200_000
    with closing(RecordFile(path, 10**6, size)) as file:
        lost = sum(file.add(entries(*range(first, first + 50))) for first in range(0, 2000, 50))
        kept = numbers(file)
        assert lost == 2000 - len(kept)
        assert kept == list(range(1999, 1999 - len(kept), -1))
        assert len(kept) > 100
    assert path.stat().st_size <= size + 100_000


def test_another_programs_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE mine (a)")
    with pytest.raises(FileError, match="another program's database: give a path of its own"):
        RecordFile(path, 1000, PLENTY)


def test_a_newer_peers_file_is_left_alone(path: Path) -> None:
    RecordFile(path, 1000, PLENTY).close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 9")
    with pytest.raises(FileError, match="written by a newer peer \\(schema 9\\)"):
        RecordFile(path, 1000, PLENTY)


def test_damage_is_told_from_other_errors_and_set_aside(path: Path) -> None:
    with closing(RecordFile(path, 1000, PLENTY)) as file:
        file.add(entries(*range(200)))
    content = bytearray(path.read_bytes())
    content[5000:9000] = b"\xff" * 4000
    path.write_bytes(content)
    with pytest.raises(sqlite3.Error) as raised:
        RecordFile(path, 1000, PLENTY)
    assert is_broken(raised.value)
    aside = set_aside(path)
    assert aside.read_bytes() == content
    assert not path.exists()
    assert not is_broken(sqlite3.OperationalError("database or disk is full"))
