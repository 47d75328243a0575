"""Shipped unit files: their directives, and the system calls that their filters allow."""

import subprocess
from functools import cache
from pathlib import Path

from tests.servers import require

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
SERVICES = tuple(sorted(path.name for path in FOLDER.glob("*.service")))
_BINARIES = "/opt/plancher/bin"


class Unit:
    """One unit file. A repeated directive has several values."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._values: dict[str, list[str]] = {}
        for line in (FOLDER / name).read_text().splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.startswith("#"):
                self._values.setdefault(key, []).append(value)

    def all(self, key: str) -> list[str]:
        return self._values.get(key, [])

    def one(self, key: str, default: str = "") -> str:
        """Return the value of a directive that occurs once, or ``default`` where it does not occur."""
        values = self.all(key) or [default]
        assert len(values) == 1, f"{self.name}: {key}= stands {len(values)} times"
        return values[0]

    def is_on(self, key: str) -> bool:
        return self.one(key) == "yes"

    def program(self) -> list[str]:
        """Return the command of ExecStart."""
        return self.one("ExecStart").split()

    def allowed_calls(self) -> set[str]:
        """Return the system calls that SystemCallFilter= allows: later lines add to the list or remove from
        it.

        An allow list always has ``@default`` (systemd.exec(5)).
        """
        allowed = calls("@default")
        for line in self.all("SystemCallFilter"):
            words = line.removeprefix("~").split()
            named = set[str]().union(*(calls(word) for word in words))
            allowed = allowed - named if line.startswith("~") else allowed | named
        return allowed


@cache
def calls(name: str) -> set[str]:
    """Return the system calls of a group by this systemd; another name is a call itself."""
    if not name.startswith("@"):
        return {name}
    told = subprocess.run(
        [require("systemd-analyze"), "syscall-filter", name], capture_output=True, text=True, check=True
    )
    lines = [line.strip() for line in told.stdout.splitlines()[1:]]
    return set[str]().union(*(calls(line) for line in lines if line and not line.startswith("#")))


def installed_at(folder: Path, binaries: Path) -> list[Path]:
    """Write the units to ``folder``, with their programs in ``binaries``."""
    written = []
    for path in sorted((*FOLDER.glob("*.service"), *FOLDER.glob("*.socket"))):
        target = folder / path.name
        target.write_text(path.read_text().replace(_BINARIES, str(binaries)))
        written.append(target)
    return written
