"""What a benchmark measures in: programs started until each is ready, and ended together."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from lab.programs import places
from lab.programs.supervisor import Death, Program, Supervisor, last_lines

HOST = places.PEER_HOST
KEY_ID = 1
READY_WITHIN_S = 20.0


class StandError(Exception):
    """Something needed is missing or did not come up; the text says what, and how to mend it."""


class Stand(ABC):
    """Programs and their files in ``folder``; what was started in the block is ended with it.

    A kind of stand starts its programs in ``bring_up``. Raises StandError on entering.
    """

    def __init__(self, folder: Path, links: int) -> None:
        self.folder = folder
        self._links = links
        self._leaving = ExitStack()

    @abstractmethod
    def bring_up(self) -> None:
        """Start what this stand is made of; ``places`` are claimed by then. Raises StandError."""

    def __enter__(self) -> Self:
        with ExitStack() as entering:
            try:
                self.places = entering.enter_context(places.claim(self._links))
            except places.NoRoomError as error:
                raise StandError(str(error)) from None
            self._supervisor = entering.enter_context(Supervisor(self.folder))
            self.bring_up()
            self._leaving = entering.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()

    def start(self, name: str, command: tuple[str, ...], sign: str) -> int:
        """Start a program, wait until its output holds ``sign``, and return its process id."""
        pid = self._supervisor.start(Program(name, command))
        log = self._supervisor.log_of(name)
        if not self._wait(lambda: sign in log.read_text(encoding="utf-8", errors="replace"), READY_WITHIN_S):
            said = " | ".join(last_lines(log))
            raise StandError(f"{name} was not ready after {READY_WITHIN_S:g} s: {said}")
        return pid

    def wait(self, seconds: float) -> None:
        """Let everything run. Raises StandError when a program ends meanwhile."""
        self._wait(lambda: False, seconds)

    def write(self, name: str, document: Mapping[str, object]) -> Path:
        """A settings file, which nobody else may read."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(dict(document)), encoding="utf-8")
        return path

    def start_peer(self, key: str, broker: Mapping[str, object] | None = None) -> None:
        """The real peer with one key, ``KEY_ID``, at ``HOST`` and the ports of ``places``.

        With a ``broker``, its settings, the peer tells of its tests there.
        """
        settings: dict[str, object] = {
            "host": HOST,
            "keys": [{"id": KEY_ID, "key": key}],
            "udpstp": {"port": self.places.control_port},
            "stamp": {"port": self.places.stamp_port},
        }
        if broker is not None:
            settings |= {"broker": dict(broker), "tests": {"path": str(self.folder / "tests.db")}}
        command = (sys.executable, "-m", "peer", "run", str(self.write("peer.yaml", settings)))
        self.start("peer", command, "serving")

    def _wait(self, ready: Callable[[], bool], within_s: float) -> bool:
        found = self._supervisor.wait_until(ready, within_s)
        if isinstance(found, Death):
            raise StandError(str(found))
        return found
