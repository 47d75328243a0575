"""The record while its file cannot take it: nothing raises, receipts hold, and it recovers."""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from peer import record_log
from peer.record_file import RecordFile, State
from peer.record_log import RecordLog
from tests.peer.examples import entries


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tests.db"


def opened(path: Path) -> RecordLog:
    log = RecordLog(path, 1000, 10**8)
    log.open()
    return log


def numbers(log: RecordLog) -> list[int]:
    return [int(one.identity[0].partition("-")[2], 16) for one in log.unsent(10_000)]


def in_file(path: Path) -> tuple[int, int]:
    with closing(RecordFile(path, 1000, 10**8)) as file:
        return file.counts()


def test_what_is_added_is_in_the_file_at_once(path: Path) -> None:
    log = opened(path)
    log.add(entries(1, 2))
    assert log.problem is None
    assert in_file(path) == (2, 2)
    log.settle({entries(1)[0].identity: State.RECEIVED})
    assert numbers(log) == [2]
    log.close()
    assert in_file(path) == (2, 1)


def refuse(code: int, text: str) -> Callable[..., int]:
    def refused(*_: object) -> int:
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        raise error

    return refused


@pytest.mark.parametrize(("code", "text"), [
    (sqlite3.SQLITE_FULL, "database or disk is full"),
    (sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
    (sqlite3.SQLITE_IOERR, "disk I/O error"),
])  # fmt: skip
def test_while_no_disk_takes_it_memory_does_and_receipts_hold(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int, text: str
) -> None:
    log = opened(path)
    log.add(entries(1, 2))
    with monkeypatch.context() as full, caplog.at_level(logging.INFO):
        full.setattr(RecordFile, "add", refuse(code, text))
        full.setattr(RecordFile, "settle", refuse(code, text))
        log.add(entries(3))
        log.add(entries(4))
        assert log.problem == f"tests.path: {path}: {text}"
        assert numbers(log) == [4, 3, 2, 1]
        log.settle({one.identity: State.RECEIVED for one in entries(1, 4)})
        assert numbers(log) == [3, 2]
        assert [record.levelname for record in caplog.records] == ["ERROR"]
    log.add(entries(5))
    assert log.problem is None
    assert numbers(log) == [5, 3, 2]
    log.close()
    assert in_file(path) == (4, 3)


def test_memory_is_bounded_and_says_what_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(record_log, "MEMORY_ROWS", 3)
    log = opened(tmp_path)  # a directory is no file
    log.add(entries(1, 2, 3, 4, 5))
    assert numbers(log) == [5, 4, 3]
    assert log.lost == 2
    assert log.problem == f"tests.path: {tmp_path}: Is a directory"
    assert "1 test lost so far" in caplog.text
    log.close()
    assert "3 tests lost at the end" in caplog.text


def test_a_directory_that_comes_back_gets_what_memory_held(tmp_path: Path) -> None:
    block = tmp_path / "mount"
    block.write_text("no directory yet")
    log = opened(block / "tests.db")
    log.add(entries(1))
    assert log.problem is not None
    block.unlink()
    log.add(entries(2))
    assert log.problem is None
    log.close()
    assert in_file(block / "tests.db") == (2, 2)


def test_a_damaged_file_is_set_aside_and_a_fresh_one_begun(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"no database at all, " * 500)
    log = opened(path)
    log.add(entries(1))
    assert (log.problem, numbers(log)) == (None, [1])
    assert path.with_name("tests.db.broken").exists()
    assert "it was set aside as tests.db.broken and a fresh one begun" in caplog.text


def test_a_file_damaged_while_in_use_is_replaced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(path)
    log.add(entries(1))
    damaged = refuse(sqlite3.SQLITE_CORRUPT, "database disk image is malformed")
    answers = [damaged, RecordFile.add]
    monkeypatch.setattr(RecordFile, "add", lambda *given: answers.pop(0)(*given))
    log.add(entries(2))
    assert (log.problem, numbers(log)) == (None, [2])
    assert in_file(path.with_name("tests.db.broken")) == (1, 1)


def test_what_was_rejected_is_released_also_where_no_disk_takes_it(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.add(entries(1, 2))
    log.settle({entries(1)[0].identity: State.REJECTED})
    assert numbers(log) == [2]
    assert log.release() == 1
    assert numbers(log) == [2, 1]
