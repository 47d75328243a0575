"""Weighing of an installation; the benchmark itself needs the package index."""

from pathlib import Path

import pytest

from lab.bench import install
from lab.bench.install import InstalledSizes

ADDED = {"scapy": 24_000_000, "cryptography": 16_000_000}


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    before = install.size_of(tmp_path)
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert 100_000 <= install.size_of(tmp_path) - before < 120_000


@pytest.mark.parametrize(("base", "missed"), [(40_000_000, 0), (40_100_000, 1)])
def test_the_bar_is_that_of_the_base_install(base: int, missed: int) -> None:
    found = InstalledSizes(27_000_000, base, ADDED)
    assert len(install.faults(found)) == missed
    assert install.lines(found)[1:] == [
        "+ scapy (extra path): 24.0 MB",
        "+ cryptography (in no extra): 16.0 MB",
        "pip and setuptools of the environment: 27.0 MB",
    ]
