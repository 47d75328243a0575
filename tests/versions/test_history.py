"""A clone that was cut off gets the commit of 0.1, by git itself."""

import subprocess
from pathlib import Path

import pytest

from tests.servers import not_there
from tests.versions import history
from tests.versions.freeze import ROOT


def git(*arguments: str | Path, cwd: Path = ROOT) -> None:
    subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True, timeout=60)


@pytest.fixture
def shallow(tmp_path: Path) -> Path:
    """Of this clone only the newest commit."""
    if not history.is_here():
        not_there(f"no commit {history.COMMIT[:7]} in this clone: `make history` says why")
    clone = tmp_path / "shallow"
    git("clone", "--quiet", "--depth", "1", "--no-checkout", ROOT.as_uri(), clone)
    return clone


def test_a_clone_that_was_cut_off_gets_the_old_commit(shallow: Path) -> None:
    assert not history.is_here(shallow)
    assert history.fetch(shallow) is None
    assert history.is_here(shallow)


def test_where_there_is_nothing_to_fetch_from_it_says_why(shallow: Path, tmp_path: Path) -> None:
    git("remote", "set-url", "origin", tmp_path / "gone", cwd=shallow)
    told = history.fetch(shallow)
    assert told is not None
    assert "gone" in told


def test_a_folder_that_is_no_clone_has_no_commit(tmp_path: Path) -> None:
    assert not history.is_here(tmp_path)
