"""One emulated line with the real peer behind it, for measurements made in this process."""

import contextlib
import json
import secrets
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.line_counters import DirectorySource
from agent.probes.base import Reading
from agent.probes.floor import FloorProbe
from agent.udpstp_client import run_load
from lab.demo import places
from lab.demo.supervisor import Program, Supervisor
from wire.records import Direction
from wire.udpstp import rates
from wire.udpstp.load import LoadReport

START_S = 15.0
KEY_ID = 1


class StandError(Exception):
    """Peer or link did not come up; the text holds their last words."""


class Stand:
    """A peer and a link as processes of their own, ended on leaving the block.

    ``link`` are options of ``plancher-lab link``. Raises StandError on entering if one does not come up.
    """

    def __init__(self, folder: Path, link: tuple[str, ...]) -> None:
        self._folder, self._link_options = folder, link
        self._secret = secrets.token_hex(16)
        self._leaving = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as entering:
            self._places = entering.enter_context(places.claim(1))
            supervisor = entering.enter_context(Supervisor(self._folder))
            self._start(supervisor, "peer", ("-m", "peer", "run", str(self._peer_file())), "serving")
            self._start(supervisor, "link", ("-m", "lab", "link", *self._link()), "relaying")
            self._leaving = entering.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()

    async def verdict(self, direction: Direction, floor_bps: float) -> Reading:
        """The floor probe's reading of one direction; the link's counters tell the site's own traffic."""
        counters = DirectorySource(self._folder / "counters")
        probe = FloorProbe({direction: floor_bps}, 3600, counters, self.load)
        return await probe.run(probe.tasks()[0], lambda _: None)

    async def load(self, direction: Direction, rate_bps: float, seconds: int) -> LoadReport:
        """One fixed-rate test over the link."""
        return await run_load(
            self._places.links[0],
            self._places.control_port,
            key_id=KEY_ID,
            secret=self._secret.encode(),
            direction=direction,
            row=rates.row_for(rate_bps),
            duration_s=seconds,
        )

    def _start(self, supervisor: Supervisor, name: str, arguments: tuple[str, ...], sign: str) -> None:
        """Start a program and wait until its output holds ``sign``."""
        supervisor.start(Program(name, (sys.executable, *arguments)))
        log = supervisor.log_of(name)
        came_up = supervisor.wait_until(lambda: sign in log.read_text(errors="replace"), START_S)
        if came_up is not True:
            raise StandError(str(came_up) if came_up else f"{name} did not come up: {log.read_text()}")

    def _peer_file(self) -> Path:
        """JSON is YAML too."""
        path = self._folder / "peer.yaml"
        path.touch(mode=0o600)
        path.write_text(
            json.dumps(
                {
                    "keys": [{"id": KEY_ID, "key": self._secret}],
                    "udpstp": {"port": self._places.control_port},
                    "stamp": {"port": self._places.stamp_port},
                }
            )
        )
        return path

    def _link(self) -> tuple[str, ...]:
        ports = f"{self._places.control_port},{self._places.stamp_port}"
        counters = str(self._folder / "counters")
        return (
            "--listen", self._places.links[0], "--ports", ports, "--counters", counters, *self._link_options
        )  # fmt: skip
