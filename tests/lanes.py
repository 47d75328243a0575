"""Lanes: groups of test files that run by themselves, each in its own time.

* ``core`` tests what decides by values alone. Its files mirror the modules that a purity contract of
  pyproject.toml names. So a new pure room has its tests in this lane from its first day. A test of it that
  opens a socket or starts a process fails.
* A lane of ``FOLDERS`` has its files listed here.
* ``programs`` has all others: sockets, processes, files, real servers, kernel namespaces.

``pytest --lane core`` runs one lane, ``pytest`` alone runs them all. A new lane is one line in ``FOLDERS``
and one target in the Makefile.
"""

import functools
import re
import sys
import tomllib
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
CORE, REST = "core", "programs"
FOLDERS: Mapping[str, tuple[str, ...]] = {
    "guides": ("test_readme.py", "deploy/test_install.py"),
}
LANES = (CORE, REST, *FOLDERS)
# Audit events of the interpreter: no way to a socket or a process goes past them.
_OUTSIDE = (
    "socket.__new__",
    "subprocess.Popen",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.exec",
    "os.system",
)


def lane_of(path: Path) -> str:
    """The lane of a test file."""
    inside = path.relative_to(TESTS)
    for lane, places in FOLDERS.items():
        if any(inside.is_relative_to(place) for place in places):
            return lane
    return CORE if _pure().fullmatch(_mirrored(inside)) else REST


@functools.cache
def places_of(lane: str) -> frozenset[Path]:
    """The test files of a lane and every folder above them; other folders need not be looked into."""
    files = [path for path in TESTS.rglob("test_*.py") if lane_of(path) == lane]
    return frozenset(files).union(*(path.parents for path in files))


def _mirrored(inside: Path) -> str:
    """The module that a test file is about, by the file's place."""
    return ".".join([*inside.parent.parts, inside.stem.removeprefix("test_")])


@functools.cache
def _pure() -> re.Pattern[str]:
    """Every module that must not import ``socket``, and whatever lies below it."""
    settings = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = [
        re.escape(module).replace(r"\*\*", r"[^.]+(\.[^.]+)*").replace(r"\*", "[^.]+")
        for contract in settings["tool"]["importlinter"]["contracts"]
        if "socket" in contract.get("forbidden_modules", ())
        for module in contract["source_modules"]
    ]
    return re.compile(rf"({'|'.join(patterns)})(\..+)?")


class ReachedOutsideError(Exception):
    """A test of the core lane opened a socket or started a process; says where."""


class _Guard:
    """Notes sockets and processes while it watches. An audit hook stays for good, so there is one.

    It refuses nothing: half an event loop would fail later, in another test.
    """

    def __init__(self) -> None:
        self._watching = False
        self._seen: list[str] = []
        sys.addaudithook(self._audit)

    def _audit(self, event: str, _: tuple[Any, ...]) -> None:
        if self._watching and event in _OUTSIDE:
            self._seen.append(f"{event}\n{''.join(traceback.format_stack(limit=12))}")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Raise ReachedOutsideError after a block that opened a socket or started a process."""
        self._seen, self._watching = [], True
        try:
            yield
        finally:
            self._watching = False
        if self._seen:
            raise ReachedOutsideError(self._seen[0])


GUARD = _Guard()
