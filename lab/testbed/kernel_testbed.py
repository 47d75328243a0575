"""Testbed of a kernel link with the real peer at its far end; measurements run at its site."""

import asyncio
import contextlib
import json
import secrets
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from agent import configuration
from agent.load.udpstp_client import run_load
from agent.probes.floor.probe import FloorProbe
from agent.service import wiring
from agent.settings import sections
from agent.task.task import Reading
from host.clock import Clock
from host.units import BitRate, ByteSize
from lab.netns import inside
from lab.netns.links.link import KernelLink
from lab.netns.names import LinkNode
from lab.netns.places import CONTROL_PORT, FAR_ADDRESS, INTERFACE, STAMP_PORT
from lab.netns.settings import KernelLinkSettings
from lab.programs.supervisor import ChildProgram, Supervisor
from lab.testbed.start import start_ready
from peer import settings as peer_settings
from wire.records import Direction, Layer
from wire.udpstp import rates
from wire.udpstp.load import LoadReport

KEY_ID = 1

HIGHEST_RATE_BPS = 10**9
FLOOR_BPS = 8_000_000

Value = TypeVar("Value")


class KernelTestbed:
    """Kernel link, and the peer as a process at its far end; both are gone after the block.

    ``site`` runs functions in a process at the site. ``folder`` is a private directory: the peer's key is
    written there. ``agent_file`` has settings with which ``plancher-agent`` measures at the site. Raises
    ValueError for invalid settings, and KernelLinkError on entering when link or peer do not start.
    """

    def __init__(self, folder: Path, settings: KernelLinkSettings) -> None:
        self.link = KernelLink(settings)
        self.agent_file = folder / "agent.yaml"
        self._folder = folder
        self._secret = secrets.token_hex(16)
        self._leaving = contextlib.ExitStack()
        self.site: ProcessPoolExecutor

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as entering:
            entering.enter_context(self.link)
            self._write_files()
            supervisor = entering.enter_context(Supervisor(self._folder))
            self._start_peer(supervisor)
            site = inside.executor(self.link.namespace(LinkNode.SITE))
            self.site = entering.enter_context(site)
            self._leaving = entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    async def verdict(
        self,
        direction: Direction,
        floor_bps: int,
        *,
        visible: bool = True,
        quiet: bool = False,
        pre_drain: bool = False,
        layer: Layer = Layer.IP,
        counted: str = INTERFACE,
    ) -> Reading:
        """Return the floor probe's reading of one direction.

        ``visible``: the interface of the line counts the site's own traffic. ``quiet``: the probe treats the
        present hour as one of its quiet hours. ``pre_drain``: the probe empties a token bucket before each
        test. ``layer`` is that of the floor. ``counted`` is the interface whose counters are read, if
        ``visible``.
        """
        case = _FloorRun(self.agent_file, direction, floor_bps, visible, quiet, pre_drain, layer, counted)
        return await self._measured(partial(_verdict, case))

    async def load(self, direction: Direction, rate_bps: float, seconds: int) -> LoadReport:
        """Run one fixed-rate test over the link."""
        return await self._measured(partial(_load, self._secret, direction, rate_bps, seconds))

    async def _measured(self, measure: "partial[Value]") -> Value:
        return await asyncio.get_running_loop().run_in_executor(self.site, measure)

    def _start_peer(self, supervisor: Supervisor) -> None:
        arguments = (sys.executable, "-m", "peer", "run", str(self._folder / "peer.yaml"))
        start_ready(supervisor, ChildProgram("peer", self.link.inside(LinkNode.FAR, *arguments)), "serving")

    def _write_files(self) -> None:
        key = self._folder / "peer.key"
        key.touch(mode=0o600)
        key.write_text(self._secret, encoding="ascii")
        peer_file = self._folder / "peer.yaml"
        # JSON is valid YAML, the format of settings files.
        peer_file.write_text(json.dumps(_peer(key)), encoding="ascii")
        # Wrong settings fail here with their message, and not as a program that did not start.
        peer_settings.load(peer_file)
        self.agent_file.write_text(json.dumps(_agent(key, self._folder)), encoding="ascii")
        configuration.load(self.agent_file)


def _peer(key: Path) -> dict[str, Any]:
    return {
        "host": FAR_ADDRESS,
        "keys": [{"id": KEY_ID, "key_file": str(key)}],
        "udpstp": {
            "port": CONTROL_PORT,
            "highest_rate": HIGHEST_RATE_BPS,
            "down": 2 * HIGHEST_RATE_BPS,
            "up": 2 * HIGHEST_RATE_BPS,
        },
        "stamp": {"port": STAMP_PORT},
    }


def _agent(key: Path, folder: Path) -> dict[str, Any]:
    return {
        "site": "kernel-link",
        "peer": {
            "name": "far-end",
            "host": FAR_ADDRESS,
            "udpstp_port": CONTROL_PORT,
            "stamp_port": STAMP_PORT,
            "key_id": KEY_ID,
            "key_file": str(key),
        },
        "floor": {"down": FLOOR_BPS, "up": FLOOR_BPS},
        "line_counters": {"source": "inline", "interface": INTERFACE},
        "journal": {"path": str(folder / "journal.db")},
        "runtime_directory": str(folder / "run"),
    }


class _FloorRun(msgspec.Struct, frozen=True):
    agent_file: Path
    direction: Direction
    floor_bps: int
    visible: bool
    quiet: bool
    pre_drain: bool
    layer: Layer
    counted: str


def _verdict(case: _FloorRun) -> Reading:
    chosen = configuration.load(case.agent_file)
    floor = msgspec.structs.replace(
        chosen.floor,
        **{case.direction.value: BitRate(case.floor_bps)},
        pre_drain=chosen.floor.pre_drain if case.pre_drain else ByteSize(0),
        # Otherwise only every few tests begin with a pre-drain.
        pre_drain_every=1,
        layer=case.layer,
    )
    chosen = msgspec.structs.replace(chosen, floor=floor)
    counters = sections.LineCountersSettings()
    if case.visible:
        counters = msgspec.structs.replace(chosen.line_counters, interface=case.counted)
    chosen = msgspec.structs.replace(chosen, line_counters=counters)
    probe = FloorProbe.of(wiring.probe_context(chosen, Clock().read))
    probe.quiet = lambda _: case.quiet
    task = next(task for task in probe.tasks() if task.direction is case.direction)
    return asyncio.run(probe.run(task, lambda _: None))


def _load(secret: str, direction: Direction, rate_bps: float, seconds: int) -> LoadReport:
    test = run_load(
        FAR_ADDRESS,
        CONTROL_PORT,
        key_id=KEY_ID,
        secret=secret.encode(),
        direction=direction,
        row=rates.row_for(rate_bps),
        duration_s=seconds,
    )
    return asyncio.run(test)
