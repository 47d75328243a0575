"""Base class of testbeds: programs started until each is ready, and ended together."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from lab.programs import places
from lab.programs.supervisor import ChildExit, ChildProgram, Supervisor, last_lines

HOST = places.PEER_HOST
KEY_ID = 1
READY_WITHIN_S = 20.0


class TestbedError(Exception):
    """A program is missing or did not start; the text names it and the remedy."""


class Testbed(ABC):
    """Programs and their files in ``folder``, ended together when the block ends.

    Subclasses start their programs in ``bring_up``. Raises TestbedError on entering.
    """

    def __init__(self, folder: Path, links: int) -> None:
        self.folder = folder
        self._links = links
        self._leaving = ExitStack()

    @abstractmethod
    def bring_up(self) -> None:
        """Start the programs; ``places`` are claimed by then. Raises TestbedError."""

    def __enter__(self) -> Self:
        with ExitStack() as entering:
            try:
                self.places = entering.enter_context(places.claim(self._links))
            except places.NoRoomError as error:
                raise TestbedError(str(error)) from None
            self._supervisor = entering.enter_context(Supervisor(self.folder))
            self.bring_up()
            self._leaving = entering.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()

    def start(self, name: str, command: tuple[str, ...], sign: str) -> int:
        """Start a program, wait until its output contains ``sign``, and return its process id."""
        pid = self._supervisor.start(ChildProgram(name, command))
        log = self._supervisor.log_of(name)
        if not self._wait(lambda: sign in log.read_text(encoding="utf-8", errors="replace"), READY_WITHIN_S):
            output = " | ".join(last_lines(log))
            raise TestbedError(f"{name} was not ready after {READY_WITHIN_S:g} s: {output}")
        return pid

    def wait(self, seconds: float) -> None:
        """Wait while all programs run. Raises TestbedError when one of them ends."""
        self._wait(lambda: False, seconds)

    def write(self, name: str, document: Mapping[str, object]) -> Path:
        """Write a settings file that only this user can read."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(dict(document)), encoding="utf-8")
        return path

    def start_peer(self, key: str, broker: Mapping[str, object] | None = None) -> None:
        """Start the real peer with one key, ``KEY_ID``, at ``HOST`` and the ports of ``places``.

        With ``broker``, its settings, the peer reports its tests to that broker.
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
        if isinstance(found, ChildExit):
            raise TestbedError(str(found))
        return found
