"""Shipped units: checked by systemd's own tools, and their programs run within their restrictions."""

import contextlib
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import yaml

from tests import service_manager
from tests.brokers import mosquitto
from tests.deploy import sandbox
from tests.deploy.units import FOLDER, SERVICES, Unit, installed_at
from tests.documentation import ROOT, blocks
from tests.processes import free_at, free_port, running, wait_until
from tests.servers import SECCOMP, require

MOST_EXPOSURE = 2.0
AGENT, PEER, COLLECTOR, HELPER = (
    f"plancher-{name}.service" for name in ("agent", "peer", "collector", "path@")
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a mount namespace and other users")


def exposure(path: Path) -> float:
    """Return the exposure level of systemd-analyze, from 0 to 10."""
    done = subprocess.run(
        [require("systemd-analyze"), "security", "--offline=true", "--no-pager", path],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    found = re.search(r"Overall exposure level for \S+ (\d+\.\d)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found.group(1))


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_exposes_little(name: str) -> None:
    found = exposure(FOLDER / name)
    print(f"{name}: exposure {found}")
    assert found <= MOST_EXPOSURE


def test_a_unit_without_restrictions_is_exposed(tmp_path: Path) -> None:
    bare = tmp_path / "bare.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    assert exposure(bare) > 9


def test_systemd_accepts_every_directive(tmp_path: Path) -> None:
    """Fail on warnings: systemd ignores an unknown directive or an unreadable value."""
    assert _complaints(installed_at(tmp_path, Path(sys.executable).parent)) == []
    (tmp_path / "plancher-wrong.service").write_text(
        "[Service]\nExecStart=/bin/true\nProtectEverything=yes\n"
    )
    assert len(_complaints([tmp_path / "plancher-wrong.service"])) == 1


def _complaints(units: list[Path]) -> list[str]:
    done = subprocess.run(
        [require("systemd-analyze"), "verify", "--man=no", *units], capture_output=True, text=True, timeout=60
    )
    return [line for line in done.stderr.splitlines() if "plancher" in line]


def test_every_service_restarts_without_a_limit() -> None:
    for name in (AGENT, PEER, COLLECTOR):
        unit = Unit(name)
        assert (unit.one("Restart"), unit.one("StartLimitIntervalSec")) == ("always", "0")
        assert unit.one("Type") == "notify"
        assert unit.one("WatchdogSec")
    assert not Unit(AGENT).all("RestartPreventExitStatus"), "nobody is there to mend its settings"


def test_only_the_path_helper_may_open_raw_sockets() -> None:
    rights = {name: Unit(name).one("CapabilityBoundingSet") for name in SERVICES}
    assert rights == {AGENT: "", COLLECTOR: "", HELPER: "CAP_NET_RAW", PEER: "CAP_NET_BIND_SERVICE"}


@pytest.mark.parametrize("name", [AGENT, PEER])
def test_programs_that_report_the_clock_may_read_it(name: str) -> None:
    """Check ProtectClock=: it forbids adjtimex(2), and the clock would always seem unsynchronised."""
    assert {"adjtimex", "clock_adjtime"} <= Unit(name).allowed_calls()
    assert not Unit(name).is_on("ProtectClock")


class Manager:
    """Fake systemd: starts units in their sandboxes, receives their states, and starts a helper for each
    connection.
    """

    def __init__(self, folder: Path) -> None:
        self.root, self._folder = folder / "root", folder
        sandbox.prepare(self.root)
        sandbox.add_users(self.root)
        self.heard: dict[str, list[str]] = {}

    def file(self, name: str, text: str, user: str = "root") -> None:
        """Write a file of /etc/plancher; a file with an owner is secret."""
        path = self.root / "etc/plancher" / name
        path.write_text(text)
        path.chmod(0o644 if user == "root" else 0o600)
        number = sandbox.USERS.get(user, 0)
        os.chown(path, number, number)

    @contextmanager
    def start(self, name: str) -> Iterator[int]:
        """Start a unit and wait until it reports that it is ready."""
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
            address = self.root / "run" / f"{name}.notify"
            with _short_path(address) as bound:
                sock.bind(bound)
            address.chmod(0o666)
            sock.setblocking(False)
            heard = self.heard.setdefault(name, [])
            asked = (f"NOTIFY_SOCKET=/run/{name}.notify", "WATCHDOG_USEC=4000000")
            command = ["env", *asked, *_sandboxed(name, self.root)]
            log = self._folder / f"{name}.log"
            with running(command, self.hears(sock, heard, "READY=1"), log) as process:
                yield process
                wait_until(self.hears(sock, heard, "WATCHDOG=1"), f"{name} feeds the watchdog")
            self.hears(sock, heard, "")()

    def hears(self, sock: socket.socket, heard: list[str], text: str) -> Callable[[], bool]:
        def listened() -> bool:
            heard.extend(service_manager.heard(sock))
            return text in heard

        return listened

    @contextmanager
    def behind(self, address: str) -> Iterator[None]:
        """Start a path helper for each connection, as a socket unit with Accept=yes does."""
        with closing(socket.socket(socket.AF_UNIX)) as listening:
            path = self.root / address.removeprefix("/")
            with _short_path(path) as bound:
                listening.bind(bound)
            os.chown(path, sandbox.USERS["plancher"], sandbox.USERS["plancher"])
            path.chmod(int(Unit("plancher-path.socket").one("SocketMode"), 8))
            listening.listen()
            serving = threading.Thread(target=self._serve, args=(listening,))
            serving.start()
            try:
                yield
            finally:
                listening.shutdown(socket.SHUT_RDWR)
                serving.join()

    def _serve(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):  # shut down
            while True:
                connection, _ = listening.accept()
                with connection, (self._folder / f"{HELPER}.log").open("ab") as log:
                    command = _sandboxed(HELPER, self.root)
                    subprocess.run(
                        command, stdin=connection, stdout=connection, stderr=log, cwd=ROOT, timeout=60
                    )

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()


def _sandboxed(name: str, root: Path) -> list[str | Path]:
    require(SECCOMP)
    return [sys.executable, "-m", "tests.deploy.sandbox", name, root]


@contextmanager
def _short_path(path: Path) -> Iterator[str]:
    """Return a name for ``path`` that fits a socket address, which has 108 bytes."""
    descriptor = os.open(path.parent, os.O_PATH)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def host_of_its_own() -> str:
    """Return a loopback address on which the peer's well-known ports are free."""
    hosts = (f"127.0.77.{number}" for number in range(1, 255))
    return next(host for host in hosts if free_at(host, 862, 24601))


def write_settings(manager: Manager, broker: int, web: int) -> None:
    """Write the settings of the installation pages, with the test's hosts, ports and intervals, without
    TLS.
    """
    key, host = "a-key-of-this-test", host_of_its_own()
    agent = yaml.safe_load(blocks(ROOT / "docs/install-agent.md", "yaml")[0])
    agent["peer"]["host"] = host
    agent["broker"] = {"port": broker}
    agent["schedule"] = {"first_within": "1 s"}
    agent["stamp"] = {"packets": 3, "spacing": "50 ms"}
    agent["uplink"] = {"interval": "1 s"}
    manager.file("agent.yaml", yaml.safe_dump(agent))
    manager.file("peer.key", key, "plancher")
    collector = yaml.safe_load(blocks(ROOT / "docs/install-collector.md", "yaml")[0])
    collector["broker"] |= {"port": broker}
    collector["web"] = {"port": web}
    manager.file("collector.yaml", yaml.safe_dump(collector))
    manager.file("broker-password", "of no use here", "plancher-collector")
    manager.file("sites.csv", (ROOT / "sites.csv").read_text())
    peer = {
        "host": host,
        "keys": [{"id": 1, "key_file": "/etc/plancher/peer-own.key"}],
        "stamp": {"port": 862},
        "broker": {"port": broker},
        "tests": {"path": "/var/lib/plancher-peer/tests.db", "interval": "1 s"},
    }
    manager.file("peer.yaml", yaml.safe_dump(peer))
    manager.file("peer-own.key", key, "plancher-peer")


TRIES = """
import ctypes, mmap, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def adjtimex():
    if libc.adjtimex(ctypes.create_string_buffer(512)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
for what, attempt in {
    "write what is anybody's": lambda: open("/etc/plancher/loose", "a"),
    "write state": lambda: open("mine", "w").close(),
    "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "first in line": lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)),
    "code made at run time": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    "ask the clock": adjtimex,
}.items():
    try:
        attempt()
    except OSError as error:
        print(what, error.errno)
"""


@needs_root
@pytest.mark.parametrize(
    ("name", "refused"),
    [
        (AGENT, ["write what is anybody's 30", "packet socket 1", "raw socket 1", "first in line 1",
                 "code made at run time 1"]),
        (COLLECTOR, ["write what is anybody's 30", "packet socket 1", "raw socket 1", "first in line 1",
                     "code made at run time 1"]),
        (HELPER, ["write what is anybody's 30", "write state 30", "packet socket 1", "first in line 1",
                  "code made at run time 1", "ask the clock 1"]),
    ],
)  # fmt: skip
def test_the_sandbox_enforces_the_restrictions(name: str, refused: list[str], tmp_path: Path) -> None:
    """Check the sandbox itself: without it the next test would prove nothing."""
    manager = Manager(tmp_path)
    manager.file("loose", "")
    (manager.root / "etc/plancher/loose").chmod(0o666)
    command = [*_sandboxed(name, manager.root), "/opt/plancher/bin/python", "-c", TRIES]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.splitlines() == refused, done.stderr


@needs_root
def test_the_programs_work_within_their_units(tmp_path: Path) -> None:
    """Measure from the well-known ports to the ledger, with a trace by the helper."""
    require("systemd-analyze")
    manager, web = Manager(tmp_path), free_port()
    with ExitStack() as everything:
        start = everything.enter_context
        broker = start(mosquitto(tmp_path))
        write_settings(manager, broker.port, web)
        start(manager.start(PEER))
        start(manager.start(COLLECTOR))
        start(manager.behind(Unit("plancher-path.socket").one("ListenStream")))
        start(manager.start(AGENT))
        ledger = manager.root / "var/lib/plancher-collector/ledger.db"
        wanted = {"floor", "stamp", "path"}
        try:
            wait_until(lambda: wanted <= measured(ledger), "each probe is committed", 60)
            wait_until(lambda: told_by_peer(ledger) > 0, "the peer's own record of a test is committed")
        except AssertionError as error:
            logs = "\n".join(manager.log(name) for name in (AGENT, PEER, COLLECTOR))
            raise AssertionError(f"{error}: {measured(ledger)}\n{logs}") from None
        status = manager.root / "run/plancher/status.json"
        assert status.stat().st_uid == sandbox.USERS["plancher"]
    for name in (AGENT, PEER, COLLECTOR):
        assert manager.heard[name][0].startswith(("READY=1", "STATUS=")), manager.heard[name]
        assert manager.heard[name][-1] == "STOPPING=1", manager.heard[name]
        assert "Traceback" not in manager.log(name), manager.log(name)
    assert any(line.endswith("connected to the broker") for line in manager.heard[AGENT])


def measured(ledger: Path) -> set[str]:
    """Return the probes in the ledger; a busy machine makes a load test invalid."""
    statement = (
        "SELECT DISTINCT probe.name FROM measurements JOIN series ON series.key = measurements.series_key"
        " JOIN names AS probe ON probe.key = series.probe_key"
        " JOIN names AS outcome ON outcome.key = measurements.outcome_key"
        " WHERE outcome.name IN ('ok', 'invalid')"
    )
    with closing(sqlite3.connect(ledger)) as connection:
        return {probe for (probe,) in connection.execute(statement)}


def told_by_peer(ledger: Path) -> int:
    with closing(sqlite3.connect(ledger)) as connection:
        (number,) = connection.execute("SELECT count(*) FROM peer_tests").fetchone()
        return int(number)
