"""Place of the ledger: its locks, its mark, and a file that is no longer where it was."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.__main__ import command
from collector.ledger.place import LedgerError, LedgerLock, mark_path
from collector.ledger.read.latest import resend
from collector.ledger.write.writer import Ledger
from host.exits import Exit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_second_collector_is_refused_through_a_link(path: Path, link: Callable[[Path, Path], None]) -> None:
    ledger = Ledger(path)
    other = path.with_name("other.db")
    link(path, other)
    with pytest.raises(LedgerError, match="by another name of this file"):
        Ledger(other)
    ledger.close()
    Ledger(other).close()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("lose", [Path.unlink, emptied])
def test_a_ledger_that_is_gone_is_not_begun_anew(
    path: Path, lose: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    Ledger(path).close()
    lose(path)
    with pytest.raises(LedgerError, match=r"missing, though ledger\.db\.exists says"):
        Ledger(path)
    assert not path.exists() or not path.stat().st_size
    assert command(["ledger", "create", str(path)]) == Exit.OK
    asked = resend(path)
    assert asked is not None
    assert asked.command.since_us == 0
    Ledger(path).close()
    assert command(["ledger", "create", str(path)]) == Exit.CANNOT_CREATE
    assert "there already" in capsys.readouterr().err


def test_an_older_ledger_gets_its_mark(path: Path) -> None:
    Ledger(path).close()
    mark_path(path).unlink()
    Ledger(path).close()
    assert mark_path(path).exists()


def moved(path: Path) -> None:
    path.rename(path.with_name("away.db"))


def replaced(path: Path) -> None:
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


@pytest.mark.parametrize(
    ("lose", "said"),
    [
        (Path.unlink, "no longer at its path"),
        (moved, "no longer at its path"),
        (replaced, "another file took"),
    ],
)
def test_a_file_that_went_away_is_found(path: Path, lose: Callable[[Path], None], said: str) -> None:
    path.write_bytes(b"x")
    lock = LedgerLock(path)
    assert lock.lost() is None
    lose(path)
    assert said in (lock.lost() or "")
    lock.release()


def test_a_file_that_comes_back_is_the_ledger_again(path: Path) -> None:
    path.write_bytes(b"x")
    lock = LedgerLock(path)
    moved(path)
    path.with_name("away.db").rename(path)
    assert lock.lost() is None
    lock.release()
