"""Lock of one process, and the error of the next one."""

import os
from pathlib import Path

import pytest

from host.lock import Lock, LockedError, is_held


def test_one_process_has_the_lock_and_the_next_one_after_its_release(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    assert not is_held(path)
    first = Lock(path)
    assert is_held(path)
    with pytest.raises(LockedError) as refused:
        Lock(path)
    assert refused.value.holder == str(os.getpid())
    first.release()
    first.release()
    assert not is_held(path)
    Lock(path).release()


def test_a_missing_folder_raises_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Lock(tmp_path / "none" / "ledger.db")
