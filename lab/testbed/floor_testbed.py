"""Testbed of one emulated line and the real peer, for measurements made in this process."""

import secrets
import sys
from pathlib import Path

from agent.configuration import SETTINGS
from agent.load.udpstp_client import run_load
from agent.probes.floor.probe import FloorProbe
from agent.service import wiring
from agent.settings.sections import FloorSettings, LineCountersSettings, PeerAccessSettings
from agent.task.task import Reading
from host.clock import Clock
from host.units import BitRate, ByteSize
from lab.testbed.base import KEY_ID, Testbed
from wire.records import Direction
from wire.udpstp import rates
from wire.udpstp.load import LoadReport


class FloorTestbed(Testbed):
    """Peer and link, each a process of its own. ``link`` are options of ``plancher-lab link``."""

    def __init__(self, folder: Path, link: tuple[str, ...]) -> None:
        super().__init__(folder, links=1)
        self._link = link
        self._secret = secrets.token_hex(16)
        self._counters = folder / "counters"

    def bring_up(self) -> None:
        """Start the peer, then the link."""
        self.start_peer(self._secret)
        ports = f"{self.places.control_port},{self.places.stamp_port}"
        options = (
            "--listen", self.places.links[0], "--ports", ports, "--counters", str(self._counters), *self._link
        )  # fmt: skip
        self.start("link", (sys.executable, "-m", "lab", "link", *options), "relaying")

    async def verdict(self, direction: Direction, floor_bps: int) -> Reading:
        """Return the floor probe's reading of one direction, with the probe wired as in an agent."""
        settings = SETTINGS(
            site="bench",
            peer=PeerAccessSettings(
                host=self.places.links[0],
                udpstp_port=self.places.control_port,
                stamp_port=self.places.stamp_port,
                key_id=KEY_ID,
                key=self._secret,
            ),
            floor=FloorSettings(BitRate(floor_bps), BitRate(floor_bps), pre_drain=ByteSize(0)),
            line_counters=LineCountersSettings("directory", path=str(self._counters)),
        )
        probe = FloorProbe.of(wiring.probe_context(settings, Clock().read))
        task = next(task for task in probe.tasks() if task.direction is direction)
        return await probe.run(task, lambda _: None)

    async def load(self, direction: Direction, rate_bps: float, seconds: int) -> LoadReport:
        """Run one fixed-rate test over the link."""
        return await run_load(
            self.places.links[0],
            self.places.control_port,
            key_id=KEY_ID,
            secret=self._secret.encode(),
            direction=direction,
            row=rates.row_for(rate_bps),
            duration_s=seconds,
        )
