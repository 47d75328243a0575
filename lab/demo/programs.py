"""Programs of the demo, from the broker to the agents: their commands, and when each is ready."""

import importlib.util
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from lab.demo.figures import fetch
from lab.demo.files import Files
from lab.demo.sites import LINES, DemoDirection, DemoLine
from lab.programs.places import PEER_HOST, NoRoomError, Places
from lab.programs.supervisor import ChildProgram

NEEDED_MODULES = ("amqtt", "aiohttp", "jinja2", "sqlalchemy", "prometheus_client")
PROGRAMS = ("plancher-peer", "plancher-collector", "plancher-agent", "plancher-lab")
BROKER_WAVE, SERVER_WAVE, LINK_WAVE, AGENT_WAVE = range(4)


def require() -> None:
    """Raise NoRoomError, with the command that installs what is missing, when the demo cannot run here."""
    if sys.platform != "linux":
        raise NoRoomError("the demo needs Linux: kernel time stamps and addresses 127.0.1.* on loopback")
    missing = [name for name in NEEDED_MODULES if importlib.util.find_spec(name) is None]
    missing += [name for name in PROGRAMS if not _installed(name).exists()]
    if missing:
        raise NoRoomError(
            f"not installed: {', '.join(missing)}. Install with `make install`, "
            f"or `{sys.executable} -m pip install plancher-lab`"
        )


def broker(places: Places) -> tuple[ChildProgram, Callable[[], bool]]:
    """Return the MQTT broker, and a check that it accepts connections."""
    command = (sys.executable, "-m", "lab.demo.broker", str(places.broker_port))
    return ChildProgram("broker", command, BROKER_WAVE), lambda: _accepts(places.broker_port)


def peer(files: Files, places: Places) -> tuple[ChildProgram, Callable[[], bool]]:
    """Return the measurement peer, and a check that both its ports are bound."""
    program = ChildProgram("peer", _run("plancher-peer", files.peer()), SERVER_WAVE)
    return program, lambda: all(_is_bound(port) for port in (places.control_port, places.stamp_port))


def collector(files: Files, places: Places) -> tuple[ChildProgram, Callable[[], bool]]:
    """Return the collector, and a check that it is ready."""
    program = ChildProgram("collector", _run("plancher-collector", files.collector()), SERVER_WAVE)
    return program, lambda: fetch(f"{places.page}readyz") is not None


def links(files: Files, places: Places) -> list[ChildProgram]:
    """Return one emulated link for each line."""
    return [
        ChildProgram(f"link-{line.site.site_id}", _link(line, index, files, places), LINK_WAVE)
        for index, line in enumerate(LINES)
    ]


def agents(files: Files, places: Places) -> list[ChildProgram]:
    """Return one agent for each line, which reaches the peer at its link's address."""
    return [
        ChildProgram(
            f"agent-{line.site.site_id}", _run("plancher-agent", files.agent(line, address)), AGENT_WAVE
        )
        for line, address in zip(LINES, places.links, strict=True)
    ]


def _link(line: DemoLine, index: int, files: Files, places: Places) -> tuple[str, ...]:
    def both(text: Callable[[DemoDirection], str]) -> str:
        return f"{text(line.down)},{text(line.up)}"

    return (
        str(_installed("plancher-lab")), "link",
        "--listen", places.links[index],
        "--peer", PEER_HOST,
        "--ports", f"{places.control_port},{places.stamp_port}",
        "--down", str(line.down.rate_bps),
        "--up", str(line.up.rate_bps),
        "--delay", both(lambda direction: f"{direction.delay_us}us"),
        "--jitter", both(lambda direction: f"{direction.jitter_us}us"),
        "--loss", both(lambda direction: f"{direction.loss * 100:g}%"),
        "--seed", str(index + 1),
        "--counters", str(files.counters(line)),
        "--json",
    )  # fmt: skip


def _run(name: str, settings: Path) -> tuple[str, ...]:
    return str(_installed(name)), "run", str(settings)


def _installed(name: str) -> Path:
    return Path(sys.executable).parent / name


def _accepts(port: int) -> bool:
    with socket.socket() as asking:
        asking.settimeout(1)
        return asking.connect_ex((PEER_HOST, port)) == 0


def _is_bound(port: int) -> bool:
    """Return whether the peer's UDP port is bound."""
    # Read from /proc: a trial bind could take the port at the moment in which the peer wants it.
    address = f"{int.from_bytes(socket.inet_aton(PEER_HOST), sys.byteorder):08X}:{port:04X}"
    table = Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]
    return any(line.split()[1] == address for line in table)
