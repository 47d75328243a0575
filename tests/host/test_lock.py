"""Who has a lock, and who is told of it."""

import os
from pathlib import Path

import pytest

from host.lock import HeldError, Lock, is_held


def test_one_alone_has_it_and_the_next_after_its_release(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    assert not is_held(path)
    first = Lock(path)
    assert is_held(path)
    with pytest.raises(HeldError) as refused:
        Lock(path)
    assert refused.value.holder == str(os.getpid())
    first.release()
    first.release()
    assert not is_held(path)
    Lock(path).release()


def test_where_there_is_no_folder_the_error_is_the_systems(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Lock(tmp_path / "none" / "ledger.db")
