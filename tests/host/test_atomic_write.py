"""A small file is the old one or the new one, and no other file remains."""

from pathlib import Path

import pytest

from host import atomic_write as whole_file


@pytest.mark.parametrize("durably", [True, False])
def test_a_file_is_replaced_and_its_folder_made(tmp_path: Path, durably: bool) -> None:
    path = tmp_path / "new" / "status.json"
    for content in (b"longer than the next", b"next"):
        whole_file.replace(path, content, durably=durably)
        assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_failed_replacement_leaves_only_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.mkdir()
    with pytest.raises(OSError, match="irectory"):
        whole_file.replace(path, b"new", durably=True)
    assert list(tmp_path.iterdir()) == [path]
