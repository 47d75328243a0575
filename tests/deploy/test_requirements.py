"""The lock of all packages: versions and hashes agree, and `make install` demands them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pins(text: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_every_locked_package_has_its_hashes() -> None:
    locked = (ROOT / "requirements.txt").read_text()
    assert pins(locked) == pins((ROOT / "constraints.txt").read_text())
    parts = re.split(r"\n(?=\S)", locked.strip())
    assert all("--hash=sha256:" in part for part in parts if part[0] != "#")
    assert not re.search(r"^\s*--(find-links|index-url|extra)", locked, re.MULTILINE)
    assert "--require-hashes --requirement requirements.txt" in (ROOT / "Makefile").read_text()
