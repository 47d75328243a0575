"""Testbed of the field's cases: site, gateway, hop and far end, each a network namespace, with the programs.

    site 10.77.1.1 -- 10.77.1.2 gateway 10.77.2.1 -- 10.77.2.2 hop 10.77.3.1 -- 10.77.3.2 far

Peer, Mosquitto and collector run at the far end, the agent at the site. Every namespace and every program is
gone after the block.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from lab.netns import requirements
from lab.netns.links.link import tool
from lab.programs.supervisor import ChildProgram, Supervisor
from lab.testbed.start import start_ready
from outbox.journal import file as journal_file
from tests.servers import require
from wire.messages import envelope
from wire.records import ReachabilityMeasurement, ReachabilityValues

INPUTS = Path(__file__).parent / "inputs"
FAR = "10.77.3.2"
KEY = "key-of-the-testbed"
WAIT_S, POLL_S = 60.0, 0.1
NAMESPACE_FILES = Path("/etc/netns")
_SIGNS = {"peer": "serving", "collector": "connected", "agent": "agent"}


def inside(name: str) -> tuple[str, ...]:
    """Begin of a command line that runs in a namespace."""
    return (requirements.path_of("ip"), "netns", "exec", name)


class CaseTestbed:
    """Four namespaces in a row, with IPv6 beside IPv4 if asked for. ``folder`` is private to the test."""

    def __init__(self, folder: Path, *, with_ipv6: bool = False) -> None:
        self.folder = folder
        self.names = [f"case{os.getpid()}-{name}" for name in ("site", "gw", "hop", "far")]
        self.site, self.gateway, self.hop, self.far = self.names
        self._with_ipv6 = with_ipv6
        self._programs: dict[str, Supervisor] = {}
        self._leaving = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as entering:
            entering.callback(shutil.rmtree, NAMESPACE_FILES / self.site, ignore_errors=True)
            for name in self.names:
                tool("ip", "netns", "add", name)
                entering.callback(tool, "ip", "netns", "del", name)
                tool("ip", "-n", name, "link", "set", "lo", "up")
                forwards = int(name != self.site)
                self.at(name, f"sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding={forwards}")
            for number in (1, 2, 3):
                self._join(number)
            for command in self._routes():
                tool("ip", *command.split())
            entering.callback(self._end_all)
            self._leaving = entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    def at(self, name: str, script: str) -> None:
        """Run a shell script in a namespace. Raises KernelLinkError if it fails."""
        tool(*inside(name), "sh", "-ec", script)

    def start(self, program: str, name: str, *command: str, sign: str = "") -> None:
        """Start a program in a namespace, and wait until its output contains ``sign``."""
        supervisor = Supervisor(self.folder)
        self._programs[program] = supervisor
        start_ready(supervisor, ChildProgram(program, (*inside(name), *command)), sign)

    def stop(self, program: str) -> None:
        """End a program."""
        self._programs.pop(program).stop()

    def start_servers(self, *, peer_host: str = FAR, with_collector: bool = True) -> None:
        """Start Mosquitto, the peer and the collector at the far end."""
        lines = (f"listener 1883 {FAR}", "allow_anonymous true", "persistence false", "user root")
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "sites.csv").write_text("site_id,name\nS1,Site one\n")
        self._write("peer", {
            "host": peer_host, "keys": [{"id": 1, "key": KEY}], "udpstp": {"port": 24601},
            "stamp": {"port": 8862}, "tests": {"path": str(self.folder / "tests.db")},
        })  # fmt: skip
        self._write("collector", {
            "inventory": str(self.folder / "sites.csv"), "broker": {"host": FAR},
            "web": {"host": FAR, "port": 8460}, "ledger": {"path": str(self.folder / "ledger.db")},
        })  # fmt: skip
        broker = str(require("mosquitto"))
        self.start("mosquitto", self.far, broker, "-c", str(self.folder / "mosquitto.conf"), sign="running")
        for program in ("peer", "collector") if with_collector else ("peer",):
            self._run(program, self.far)

    def write_agent_settings(self, host: str = FAR, broker: str = FAR, **changes: Any) -> None:
        """Write the agent's settings; a section of ``changes`` is merged into the section of that name."""
        settings: dict[str, Any] = {
            "site": "S1",
            "peer": {"host": host, "udpstp_port": 24601, "stamp_port": 8862, "key_id": 1, "key": KEY},
            "floor": {"down": None, "up": None},
            "stamp": {"packets": 2, "spacing": "50 ms", "timeout": "500 ms"},
            "schedule": {
                "reachability": "2 s", "stamp": "10 s", "first_within": "0 s", "capacity": None, "path": None,
                "interface": None,
            },
            "broker": {"host": broker, "port": 1883},
            "uplink": {"interval": "2 s", "receipt_timeout": "6 s", "backlog_interval": "2 s"},
            "journal": {"path": str(self.folder / "journal.db")},
            "runtime_directory": str(self.folder / "run"),
        }  # fmt: skip
        for name, change in changes.items():
            settings[name] = settings.get(name, {}) | change
        self._write("agent", settings)

    def start_agent(self) -> None:
        """Start the agent at the site."""
        self._run("agent", self.site)

    def resolve(self, hosts: str) -> None:
        """Let the site resolve these lines of a hosts file; everything else asks a resolver that is dead."""
        folder = NAMESPACE_FILES / self.site
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
        (folder / "resolv.conf").write_text("nameserver 10.77.1.2\noptions timeout:1 attempts:1\n")

    def status(self) -> str:
        """Output of ``plancher-agent status``."""
        return self._agent("status")[1]

    def measure_floor_down(self) -> tuple[int, dict[str, Any]]:
        """Exit status of ``plancher-agent measure``, and the record of the floor down."""
        code, output = self._agent("measure", "--probe", "floor", "--direction", "down", "--json")
        [record] = json.loads(output[output.index("{") :])["measurements"]
        return code, record

    def recorded(self) -> list[ReachabilityValues]:
        """Outages in the agent's journal, in order."""
        with closing(journal_file.read_only(self.folder / "journal.db")) as connection:
            rows = connection.execute("SELECT record FROM record ORDER BY position").fetchall()
        records = [envelope.decode_measurement(row[0]) for row in rows]
        return [one.values for one in records if isinstance(one, ReachabilityMeasurement) and one.values]

    def wait(self, condition: Callable[[], bool], within_s: float = WAIT_S) -> None:
        """Poll until ``condition`` is true. Raises AssertionError with the agent's status and log."""
        limit = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > limit:
                log = (self.folder / "agent.log").read_text()[-2000:]
                raise AssertionError(f"{self.status()}\n{self.recorded()}\n{log}")
            time.sleep(POLL_S)

    def wait_until_well(self) -> None:
        """Wait until nothing is wrong in the agent's status and a receipt has come."""

        def is_well() -> bool:
            status = self.status()
            return "connected, last receipt" in status and "nothing is wrong" in status

        self.wait(is_well)

    def _agent(self, command: str, *options: str) -> tuple[int, str]:
        arguments = (sys.executable, "-m", "agent", command, str(self.folder / "agent.yaml"), *options)
        ended = subprocess.run((*inside(self.site), *arguments), capture_output=True, text=True, timeout=120)
        return ended.returncode, ended.stdout

    def _run(self, program: str, name: str) -> None:
        settings = str(self.folder / f"{program}.yaml")
        self.start(program, name, sys.executable, "-m", program, "run", settings, sign=_SIGNS[program])

    def _write(self, program: str, settings: dict[str, Any]) -> None:
        path = self.folder / f"{program}.yaml"
        path.touch(mode=0o600)
        path.write_text(json.dumps(settings))

    def _join(self, number: int) -> None:
        left, right = self.names[number - 1 : number + 1]
        tool("ip", "link", "add", "e0", "netns", left, "type", "veth", "peer", "name", "e1", "netns", right)
        for name, device, last in ((left, "e0", 1), (right, "e1", 2)):
            tool("ip", "-n", name, "addr", "add", f"10.77.{number}.{last}/24", "dev", device)
            if self._with_ipv6:
                address = f"2001:db8:{number}::{last}/64"
                tool("ip", "-n", name, "addr", "add", address, "dev", device, "nodad")
            tool("ip", "-n", name, "link", "set", "dev", device, "up")

    def _routes(self) -> Iterator[str]:
        families = [("-4", "10.77.{}.{}", "10.77.1.0/24")]
        if self._with_ipv6:
            families.append(("-6", "2001:db8:{}::{}", "2001:db8:1::/64"))
        for family, address, of_site in families:
            yield f"{family} -n {self.site} route add default via {address.format(1, 2)}"
            yield f"{family} -n {self.gateway} route add default via {address.format(2, 2)}"
            yield f"{family} -n {self.hop} route add {of_site} via {address.format(2, 1)}"
            yield f"{family} -n {self.far} route add default via {address.format(3, 1)}"

    def _end_all(self) -> None:
        for supervisor in reversed(self._programs.values()):
            supervisor.stop()
