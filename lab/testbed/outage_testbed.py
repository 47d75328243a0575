"""Testbed of a site behind a chain of routers, with its agent and all that the agent can miss.

    site (agent) ---- r1, its gateway ---- r2, the first hop ---- r3 ---- far (peer, Mosquitto, collector)

With ``named``, the agent knows peer and broker by a name that has an IPv4 and an IPv6 address. It resolves
the name by a hosts file of its own namespace. Without the file only a resolver is left that never answers.

The agent runs without any capability. CLOCK_BOOTTIME is the same in all namespaces: begin and end of each
outage that this testbed makes can be compared with the agent's records.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from agent import configuration
from agent.names import file as address_file
from agent.probes.reachability import state as reachability_state
from agent.probes.reachability.probe import state_path
from agent.probes.reachability.rules.network_view import Target
from agent.service import status_file
from agent.service.status_file import AgentStatus
from lab.netns import requirements
from lab.netns.links.chain import FAR, NEAR, Chain, ChainSettings
from lab.netns.links.link import tool
from lab.netns.requirements import KernelLinkError
from lab.programs import installed
from lab.programs.supervisor import ChildProgram, Supervisor, last_lines
from lab.testbed.start import start_ready
from outbox.journal import file as journal_file
from wire.messages import envelope as messages
from wire.records import ReachabilityMeasurement, ReachabilityValues

STAMP_PORT, CONTROL_PORT, BROKER_PORT, PAGE_PORT = 8862, 24601, 1883, 8080
SITE, KEY_ID = "chain", 1
START_S, WELL_S = 20.0, 60.0
POLL_S = 0.05
# The resident agent has to measure outages without any capability.
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
GATEWAY, HOP = 0, 1
FAR_NAME = "far.plancher.test"
BOX = "box"
NAMESPACE_FILES = Path("/etc/netns")
BOOT_ID = "/proc/sys/kernel/random/boot_id"


class OutageTestbed:
    """Chain of routers with Mosquitto, peer, collector and agent; all gone after the block.

    ``interval_s`` is the agent's interval between two reachability checks. Raises KernelLinkError on entering
    when something is missing or does not start.
    """

    def __init__(self, folder: Path, interval_s: float, *, named: bool = False) -> None:
        self.named = named
        self.chain = Chain(ChainSettings())
        self.interval_s = interval_s
        self._folder = folder
        self._journal = folder / "journal.db"
        self._programs: dict[str, tuple[Supervisor, int]] = {}
        self._leaving = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as entering:
            entering.enter_context(self.chain)
            entering.callback(self._end_all)
            self._write_files()
            if self.named:
                entering.callback(shutil.rmtree, NAMESPACE_FILES / self.chain.site, ignore_errors=True)
                self.resolve_rightly()
            for name in ("mosquitto", *self._peers, "collector", "agent"):
                self.start(name)
            self._leaving = entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    def start(self, name: str, boot_id: str | None = None) -> None:
        """Start mosquitto, peer, collector or agent, and wait until it is ready.

        ``boot_id`` replaces the machine's boot id for this program. Raises KernelLinkError.
        """
        place = self.chain.site if name == "agent" else self.chain.far
        command, sign = self._command(name)
        if boot_id is not None:
            file = self._folder / "boot_id"
            file.write_text(f"{boot_id}\n", encoding="ascii")
            # The bind mount stays private: ``ip netns exec`` unshares the mount namespace.
            command = ("sh", "-ec", f'mount --bind "$0" {BOOT_ID}; exec "$@"', str(file), *command)
        self._start(name, place, command, sign)

    def _start(self, name: str, place: str, command: tuple[str, ...], sign: str) -> None:
        supervisor = Supervisor(self._folder)
        try:
            pid = start_ready(supervisor, ChildProgram(name, self.chain.inside(place, *command)), sign)
        except KernelLinkError:
            supervisor.stop()
            raise
        self._programs[name] = (supervisor, pid)

    def end(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End one of the programs by a signal, and wait for its end."""
        supervisor, pid = self._programs.pop(name)
        os.kill(pid, how)
        limit = time.monotonic() + START_S
        while supervisor.first_exit() is None and time.monotonic() < limit:
            time.sleep(POLL_S)
        supervisor.stop()

    def start_broker(self) -> None:
        """Start Mosquitto, and restart the collector."""
        self.start("mosquitto")
        # The collector reconnects after a pause that grows; a restart connects at once.
        self.end("collector", signal.SIGTERM)
        self.start("collector")

    def pull_the_cable(self) -> None:
        """Take the link of the site's interface down."""
        self._at(0, "ip", "link", "set", NEAR, "down")

    def plug_the_cable(self) -> None:
        """Bring the link of the site's interface up again."""
        self._at(0, "ip", "link", "set", NEAR, "up")

    def cut(self, router: int, rules: str) -> None:
        """Let a router (0 is the gateway) drop packets by nftables ``rules``, in prerouting and
        postrouting.
        """
        hooks = ("prerouting", "postrouting")
        chains = "\n".join(
            f"chain {hook} {{\ntype filter hook {hook} priority -300;\n{rules}\n}}" for hook in hooks
        )
        self._filter(self.chain.routers[router], chains)

    def mend(self, router: int) -> None:
        """Remove the rules of ``cut`` from a router."""
        self._at(router, requirements.path_of("nft"), "delete", "table", "inet", "cut")

    def cut_behind_a_box(self, router: int, how: str) -> None:
        """Cut the line behind a router that answers TCP itself, by one of ``BOXES``; ``mend`` ends it."""
        if how in (ACCEPTING, TAKING):
            self._start(BOX, self.chain.routers[router], (sys.executable, "-uc", _ACCEPTOR), "accepting")
        self._filter(self.chain.routers[router], BOXES[how])

    def mend_behind_a_box(self, router: int) -> None:
        """End ``cut_behind_a_box``."""
        self.mend(router)
        if BOX in self._programs:
            self.end(BOX)

    def resolve_rightly(self) -> None:
        """Let the site resolve the name to both addresses of the far end."""
        four, six = (self.chain.hop_addresses(over_ipv6=over_ipv6)[-1] for over_ipv6 in (False, True))
        self._resolve(f"{four} {FAR_NAME}\n{six} {FAR_NAME}\n")

    def resolve_nothing(self) -> None:
        """Leave the site a resolver that never answers."""
        self._resolve("")

    def resolve_wrongly(self) -> None:
        """Let the site resolve the name to its gateway, as a portal does."""
        self._resolve(f"{self.chain.hop_addresses()[0]} {FAR_NAME}\n")

    def forget_addresses(self) -> None:
        """Remove the file of known addresses, while the agent is stopped."""
        address_file.path_beside(str(self._journal)).unlink(missing_ok=True)

    def cut_ipv6(self) -> None:
        """Drop everything over IPv6 at the gateway."""
        self.cut(GATEWAY, "meta nfproto ipv6 drop")

    def status(self) -> AgentStatus | None:
        """Status of the agent, None without one."""
        return status_file.read(self._folder / "run")

    def silence_peer(self) -> None:
        """Drop all STAMP packets that arrive at the peer's machine."""
        rule = f"udp dport {STAMP_PORT} drop"
        self._filter(self.chain.far, f"chain in {{\ntype filter hook input priority -300;\n{rule}\n}}")

    def unsilence_peer(self) -> None:
        """Let STAMP packets reach the peer again."""
        tool(
            *self.chain.inside(self.chain.far, requirements.path_of("nft"), "delete", "table", "inet", "cut")
        )

    def recorded(self) -> list[ReachabilityValues]:
        """Return the agent's reachability records in journal order."""
        with closing(journal_file.read_only(self._journal)) as connection:
            rows = connection.execute("SELECT record FROM record ORDER BY position").fetchall()
        records = [messages.decode_measurement(row[0]) for row in rows]
        return [
            one.values
            for one in records
            if isinstance(one, ReachabilityMeasurement) and one.values is not None
        ]

    def wait_until_well(self) -> None:
        """Wait until no outage is open, the broker session is up, and every target has answered.

        Raises KernelLinkError when that takes too long.
        """

        state_file = state_path(str(self._journal))

        def well() -> bool:
            status = status_file.read(self._folder / "run")
            state = reachability_state.read(state_file)
            return (
                status is not None
                and status.broker_problem is None
                and not status.outages
                and not state.outages
                and set(state.known) >= self._targets
            )

        if not self.wait(well, WELL_S + 10 * self.interval_s):
            status, state = status_file.read(self._folder / "run"), reachability_state.read(state_file)
            found = (
                f"broker: {status.broker_problem if status else 'no status'}",
                f"open outages: {', '.join(one.cause for one in (status.outages if status else ())) or '-'}",
                f"outages in the state file: {', '.join(state.outages) or '-'}",
                f"targets that answered: {', '.join(state.known) or '-'}",
                *last_lines(self._folder / "agent.log"),
            )
            raise KernelLinkError(f"the agent did not recover from the last outage: {' | '.join(found)}")

    def wait(self, ready: Callable[[], bool], within_s: float) -> bool:
        """Poll ``ready`` until it is true; return False after ``within_s``."""
        limit = time.monotonic() + within_s
        while not ready():
            if time.monotonic() > limit:
                return False
            time.sleep(POLL_S)
        return True

    @property
    def _targets(self) -> set[Target]:
        return set(Target) if self.named else set(Target) - {Target.RESOLVER}

    @property
    def _peers(self) -> tuple[str, ...]:
        return ("peer", "peer6") if self.named else ("peer",)

    def _resolve(self, hosts: str) -> None:
        # ``ip netns exec`` shows these files to the programs of the namespace. They are written in place.
        folder = NAMESPACE_FILES / self.chain.site
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}", encoding="ascii")
        resolver = self.chain.hop_addresses()[0]
        text = f"nameserver {resolver}\noptions timeout:1 attempts:1\n"
        (folder / "resolv.conf").write_text(text, encoding="ascii")

    def _filter(self, name: str, chains: str) -> None:
        command = self.chain.inside(name, requirements.path_of("nft"), "-f", "-")
        tool(*command, stdin=f"table inet cut {{\n{chains}\n}}\n")

    def _at(self, router: int, *command: str) -> None:
        tool(*self.chain.inside(self.chain.routers[router], *command))

    def _end_all(self) -> None:
        for supervisor, _ in self._programs.values():
            supervisor.stop()

    def _command(self, name: str) -> tuple[tuple[str, ...], str]:
        """Return a program's command line, and the words in its output that show it is ready."""
        if name == "mosquitto":
            mosquitto = installed.require("mosquitto", "mosquitto")
            return (mosquitto, "-c", str(self._folder / "mosquitto.conf")), "running"
        sign = {"peer": "serving", "peer6": "serving", "collector": "connected", "agent": "agent"}[name]
        program = name.removesuffix("6")
        command = (sys.executable, "-m", program, "run", str(self._folder / f"{name}.yaml"))
        return ((*WITHOUT_RIGHTS, *command) if name == "agent" else command), sign

    def _write_files(self) -> None:
        host, key = self.chain.far_address, secrets.token_hex(16)
        over_ipv6 = self.chain.hop_addresses(over_ipv6=True)[-1]
        broker = {"host": host, "port": BROKER_PORT}
        # Mosquitto, started by root, would otherwise become a user that cannot read the folder.
        listeners = [f"listener {BROKER_PORT} {address}" for address in (host, over_ipv6)]
        lines = (*listeners, "allow_anonymous true", "persistence false", "user root")
        (self._folder / "mosquitto.conf").write_text("\n".join(lines) + "\n", encoding="ascii")
        self._write("peer", _peer(host, key))
        self._write("peer6", _peer(over_ipv6, key))
        inventory = self._folder / "sites.csv"
        inventory.write_text(f"site_id,name\n{SITE},Chain\n", encoding="ascii")
        collector = {"inventory": str(inventory), "broker": broker, "web": {"host": host, "port": PAGE_PORT}}
        self._write("collector", collector | {"ledger": {"path": str(self._folder / "ledger.db")}})
        seen = FAR_NAME if self.named else host
        self._write("agent", self._agent(seen, key, broker | {"host": seen}))
        configuration.load(self._folder / "agent.yaml")

    def _agent(self, host: str, key: str, broker: dict[str, Any]) -> dict[str, Any]:
        # Trains give the uplink something to send. The receipt timeout is a multiple of the interval: no more
        # batches then wait for a receipt than may be in flight.
        every = max(1.0, self.interval_s / 2)
        never = dict.fromkeys(("capacity", "path", "interface"))
        return {
            "site": SITE,
            "peer": {
                "host": host,
                "udpstp_port": CONTROL_PORT,
                "stamp_port": STAMP_PORT,
                "key_id": KEY_ID,
                "key": key,
            },
            "floor": {"down": None, "up": None},
            "stamp": {"packets": 2, "spacing": "50 ms", "timeout": "500 ms"},
            "schedule": {"reachability": self.interval_s, "stamp": every, "first_within": 0, **never},
            "broker": broker,
            "uplink": {"interval": every, "receipt_timeout": 3 * every},
            "journal": {"path": str(self._journal)},
            "runtime_directory": str(self._folder / "run"),
        }

    def _write(self, name: str, document: dict[str, Any]) -> None:
        path = self._folder / f"{name}.yaml"
        path.touch(mode=0o600)
        path.write_text(json.dumps(document), encoding="ascii")


def now_us() -> int:
    """Return CLOCK_BOOTTIME in microseconds, as in the agent's records."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def from_and_to(device: str) -> str:
    """Return nftables rules that drop all packets of one of a router's devices (``NEAR`` or ``FAR``)."""
    return f'iifname "{device}" drop\noifname "{device}" drop'


FAR_SIDE = from_and_to(FAR)
EVERYTHING = "drop"

ACCEPTING, TAKING, RESETTING, REJECTING = "accepts", "takes new", "resets", "rejects"
_ACCEPTOR_PORT = 9999
# Connections stay open: closing one would be an answer. The oldest go, or descriptors run out.
_ACCEPTOR = f"""
import socket
server = socket.create_server(("", {_ACCEPTOR_PORT}), backlog=64)
print("accepting")
taken = []
while True:
    taken = [*taken[-200:], server.accept()]
"""


def _forwarding(rule: str) -> str:
    return f"chain through {{\ntype filter hook forward priority 0;\n{rule}\n}}"


_REDIRECTING = (
    f"chain in {{\ntype nat hook prerouting priority -100;\n"
    # Connections that exist were not tracked before and would look new: only a SYN begins one.
    f'iifname "{NEAR}" tcp flags & (syn | ack) == syn redirect to :{_ACCEPTOR_PORT}\n}}\n'
)
# Rules of a box: what it does with connections of the site while it forwards nothing. One that takes new
# connections forwards those that exist, and drops UDP.
BOXES = {
    ACCEPTING: _REDIRECTING + _forwarding("drop"),
    TAKING: _REDIRECTING + _forwarding(f'iifname "{NEAR}" meta l4proto udp drop'),
    RESETTING: _forwarding(f'iifname "{NEAR}" meta l4proto tcp reject with tcp reset\ndrop'),
    REJECTING: _forwarding(f'iifname "{NEAR}" reject with icmpx type admin-prohibited\ndrop'),
}


def _peer(host: str, key: str) -> dict[str, Any]:
    return {
        "host": host,
        "keys": [{"id": KEY_ID, "key": key}],
        "udpstp": {"port": CONTROL_PORT},
        "stamp": {"port": STAMP_PORT},
    }
