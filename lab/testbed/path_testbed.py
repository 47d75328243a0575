"""Testbed of a chain of routers with the real peer at its end; the agent's probes run at its site."""

import asyncio
import contextlib
import json
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agent import configuration
from agent.service import wiring
from agent.task.task import Reading
from host.clock import Clock
from lab.netns import inside
from lab.netns.links.chain import ORDINARY_MTU, Chain, ChainRouter, ChainSettings
from lab.programs.supervisor import ChildProgram, Supervisor
from lab.testbed.start import start_ready
from peer import settings as peer_settings
from wire.records import PathValues

STAMP_PORT, CONTROL_PORT = 8862, 24601
KEY_ID = 1
OTHERS_S = 30.0
OTHERS = {"traceroute": ("-n", "-q", "1"), "tracepath": ("-n", "-m", "6")}
CLASSES = [{"name": "default", "dscp": 0}, {"name": "voice", "dscp": 46}]
CHANGED, BECAME = "DSCP changed between hops", "DSCP became"
_HOP = re.compile(r"^\s*(\d+)\??:?\s+(\d+\.\d+\.\d+\.\d+)\s", re.MULTILINE)
_MTU = re.compile(r"pmtu (\d+)")


@dataclass(frozen=True, slots=True)
class PathRow:
    """One property of the path: its true value, the path probe's, and another program's.

    None means that there is none, or that the program does not report it.
    """

    what: str
    truth: str | None
    ours: str | None
    traceroute: str | None = None
    tracepath: str | None = None

    @property
    def right(self) -> bool:
        """True if the path probe found the true value."""
        return self.truth == self.ours


class PathTestbed:
    """Chain of routers, and the peer as a process at its far end; both are gone after the block.

    Raises KernelLinkError on entering when chain or peer do not start.
    """

    def __init__(self, folder: Path, settings: ChainSettings, *, over_ipv6: bool = False) -> None:
        self.chain = Chain(settings)
        self.address = self.chain.hop_addresses(over_ipv6=over_ipv6)[-1]
        self._folder = folder
        self._agent_file = folder / "agent.yaml"
        self._leaving = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as entering:
            entering.enter_context(self.chain)
            self._write_files()
            self._start_peer(entering.enter_context(Supervisor(self._folder)))
            self._leaving = entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    def measure(self, probe: str, dscp: int) -> Reading:
        """Return the reading of a probe (``path`` or ``stamp``) at the site, in one class of CLASSES."""
        return inside.call(self.chain.site, _measure, self._agent_file, probe, dscp)

    def _start_peer(self, supervisor: Supervisor) -> None:
        arguments = (sys.executable, "-m", "peer", "run", str(self._folder / "peer.yaml"))
        start_ready(
            supervisor, ChildProgram("peer", self.chain.inside(self.chain.far, *arguments)), "serving"
        )

    def _write_files(self) -> None:
        key = self._folder / "peer.key"
        key.touch(mode=0o600)
        key.write_text(secrets.token_hex(16), encoding="ascii")
        peer_file = self._folder / "peer.yaml"
        # JSON is valid YAML, the format of settings files.
        peer_file.write_text(json.dumps(self._peer(key)), encoding="ascii")
        peer_settings.load(peer_file)
        self._agent_file.write_text(json.dumps(self._agent(key)), encoding="ascii")
        configuration.load(self._agent_file)

    def _peer(self, key: Path) -> dict[str, Any]:
        return {
            "host": self.address,
            "keys": [{"id": KEY_ID, "key_file": str(key)}],
            "udpstp": {"port": CONTROL_PORT},
            "stamp": {"port": STAMP_PORT},
        }

    def _agent(self, key: Path) -> dict[str, Any]:
        ports = {"udpstp_port": CONTROL_PORT, "stamp_port": STAMP_PORT}
        return {
            "site": "chain",
            "peer": {
                "name": "far-end",
                "host": self.address,
                **ports,
                "key_id": KEY_ID,
                "key_file": str(key),
            },
            "stamp": {"classes": CLASSES, "packets": 5, "spacing": "20 ms", "timeout": "500 ms"},
        }


def _measure(agent_file: Path, probe: str, dscp: int) -> Reading:
    chosen = configuration.load(agent_file)
    tasks = wiring.tasks(wiring.probe_context(chosen, Clock().read))
    task, doing = next(
        (task, doing) for task, doing in tasks.items() if task.probe == probe and task.dscp == dscp
    )
    return asyncio.run(doing.run(task, lambda _: None))


def measure_path(settings: ChainSettings, dscp: int = 46) -> list[PathRow]:
    """Measure a chain and return its rows: truth, ours, and what ``traceroute`` and ``tracepath`` print.

    The two programs are left out where they are not installed. Needs root. Raises KernelLinkError; a probe
    without values gives a row of its own.
    """
    with (
        tempfile.TemporaryDirectory(prefix="plancher-path-") as name,
        PathTestbed(Path(name), settings) as testbed,
    ):
        reading = testbed.measure("path", dscp)
        truth = _truth(settings, dscp, testbed.chain.hop_addresses())
        if not isinstance(reading.values, PathValues):
            return [PathRow("a trace", "values", f"{reading.failure}: {reading.detail}")]
        ours = _ours(reading.values)
        others = {tool: _others(testbed, tool) for tool in OTHERS}
    return [
        PathRow(what, value, ours.get(what), **{tool: found.get(what) for tool, found in others.items()})
        for what, value in truth.items()
    ]


def _truth(settings: ChainSettings, dscp: int, addresses: list[str]) -> dict[str, str | None]:
    """Derive the path's properties from the settings."""
    routers = settings.routers
    found: dict[str, str | None] = {}
    for ttl, address in enumerate(addresses, start=1):
        silent = ttl <= len(routers) and routers[ttl - 1].silent
        found[f"hop {ttl}"] = None if silent else address
    found |= _true_mark(routers, dscp)
    narrow = min(one.mtu for one in routers)
    place = next(ttl for ttl, one in enumerate(routers, 1) if one.mtu == narrow)
    found["path MTU"] = str(narrow)
    found["narrow link behind hop"] = str(place) if narrow < ORDINARY_MTU else None
    answers = routers[place - 1].tells_mtu and not routers[place - 1].silent
    found["black hole"] = str(narrow < ORDINARY_MTU and not answers)
    return found


def _true_mark(routers: Sequence[ChainRouter], dscp: int) -> dict[str, str | None]:
    """Return between which two answering hops the mark changes."""
    changes = (
        (ttl, one.sets_dscp) for ttl, one in enumerate(routers, 1) if one.sets_dscp not in (None, dscp)
    )
    ttl, became = next(changes, (None, None))
    if ttl is None:
        return {CHANGED: None, BECAME: None}
    # A silent router returns no header, and the change shows at the next router that answers.
    before = [place for place, one in enumerate(routers[:ttl], 1) if not one.silent]
    after = [place for place, one in enumerate(routers[ttl:], ttl + 1) if not one.silent]
    return {CHANGED: f"{max(before, default=0)}-{min(after, default=len(routers) + 1)}", BECAME: str(became)}


def _our_mark(values: PathValues) -> dict[str, str | None]:
    changed = values.dscp_changed_at
    if changed is None:
        return {CHANGED: None, BECAME: None}
    before = [hop.ttl for hop in values.hops if hop.ttl < changed and hop.dscp is not None]
    return {CHANGED: f"{max(before, default=0)}-{changed}", BECAME: str(values.dscp_became)}


def _ours(values: PathValues) -> dict[str, str | None]:
    hops: dict[str, str | None] = {f"hop {hop.ttl}": hop.address for hop in values.hops}
    return {
        **hops,
        **_our_mark(values),
        "path MTU": None if values.path_mtu_bytes is None else str(values.path_mtu_bytes),
        "narrow link behind hop": None if values.mtu_limited_at is None else str(values.mtu_limited_at),
        "black hole": str(values.black_hole),
    }


def _others(testbed: PathTestbed, tool: str) -> dict[str, str | None]:
    """Return hops and MTU as another program prints them; empty where it is not installed."""
    found = shutil.which(tool)
    if found is None:
        return {}
    command = testbed.chain.inside(testbed.chain.site, found, *OTHERS[tool], testbed.address)
    output = _output(command)
    figures: dict[str, str | None] = {f"hop {ttl}": address for ttl, address in _HOP.findall(output)}
    sizes = _MTU.findall(output)
    return figures | ({"path MTU": sizes[-1]} if sizes else {})


def _output(command: tuple[str, ...]) -> str:
    try:
        return subprocess.run(  # noqa: S603 -- our own arguments, no shell
            command, stdout=subprocess.PIPE, timeout=OTHERS_S, check=False
        ).stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as ended:  # tracepath waits long in a black hole
        return (ended.stdout or b"").decode(errors="replace")
