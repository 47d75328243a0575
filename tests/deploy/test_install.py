"""Commands of docs/install-*.md, run as root in a scratch system.

A mount namespace has a copy of /etc, and empty /opt, /run and /var/lib. Commands that need the package index
or a running systemd are replaced, and the files that they name are checked instead.
"""

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agent.configuration import load as load_agent
from collector.certificates.authority import Authority
from collector.ingest.decode import judge
from collector.ledger.write.writer import Ledger
from collector.settings import load as load_collector
from host.exits import Exit
from tests.collector import examples
from tests.deploy import sandbox
from tests.deploy.units import Unit
from tests.documentation import ROOT, blocks, commands
from tests.servers import require

AGENT, COLLECTOR = (ROOT / "docs" / f"install-{name}.md" for name in ("agent", "collector"))
LOG = ROOT / "docs" / "log.md"
SITE, VERSION = "0631234A", "plancher-0.1.0"
NOT_THERE = f"test $code -eq {Exit.UNAVAILABLE}"
ELSEWHERE = "example.net"  # the names in the pages are nobody's

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a mount namespace")


class Scratch:
    """Scratch system, and the checkout from which it is installed."""

    def __init__(self, folder: Path) -> None:
        self.root, self.checkout = folder / "root", folder / "checkout"
        sandbox.prepare(self.root)
        (self.root / "opt/plancher").rmdir()
        (self.root / "etc/mosquitto/conf.d").mkdir(parents=True, exist_ok=True)
        self.checkout.mkdir()
        for name in ("deploy", "constraints.txt"):
            (self.checkout / name).symlink_to(ROOT / name)
        shutil.copy(ROOT / "sites.csv", self.checkout)

    def run(self, lines: list[str]) -> "subprocess.CompletedProcess[str]":
        """Run the lines with a shell that stops at the first failure."""
        script = "\n".join([f"cd {self.checkout}", "set -ex", *(in_scratch(line) for line in lines)])
        command = [sys.executable, "-m", "tests.deploy.sandbox", "--shell", self.root, script]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)

    def at(self, place: str) -> Path:
        return self.root / place.removeprefix("/")


def in_scratch(command: str) -> str:
    """Return the command, or its replacement where it cannot run here."""
    words = shlex.split(command)
    if words[0] == "apt-get":
        return ":"
    if words[:3] == ["python3", "-m", "venv"]:
        return f"mkdir {words[3]} && mount --bind {sys.prefix} {words[3]}"
    if words[0].endswith("/pip"):
        assert "--constraint constraints.txt" in command
        return f"{words[0]} --version >/dev/null && test -e constraints.txt"
    if words[0] == "sysctl":
        return command.replace("sysctl", "sysctl --dry-run") + " >/dev/null"
    if words[0] == "journalctl":
        return f"{command} --directory=/run --no-pager >/dev/null"
    if words[0] == "systemctl":
        return _of_units(words[1:])
    if words[-2] == "check":
        return f"{command} || {{ code=$?; {NOT_THERE}; }}"
    if words[-2] == "status":
        return f"{command} || true"
    return command


def _of_units(words: list[str]) -> str:
    """Return a replacement of systemctl: enabling needs no running systemd, other actions need the unit
    file.
    """
    action, *units = words
    if action == "enable":
        return f"systemctl --root=/ enable --quiet {' '.join(unit for unit in units if unit != '--now')}"
    assert action in ("daemon-reload", "restart", "status", "start", "stop")
    places = "/etc/systemd/system/{0} || test -e /lib/systemd/system/{0}"
    return " && ".join([":", *(f"{{ test -e {places.format(unit)}; }}" for unit in units)])


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


@needs_root
def test_the_page_installs_an_agent(scratch: Scratch, tmp_path: Path) -> None:
    sites = Authority(tmp_path, "sites").make()
    issued = sites.issue(SITE)
    (scratch.checkout / "agent.yaml").write_text(blocks(AGENT, "yaml")[0])
    shutil.copy(sites.certificate, scratch.checkout / "broker-ca.pem")
    shutil.copy(issued.certificate, scratch.checkout / "agent.pem")
    shutil.copy(issued.key, scratch.checkout / "agent.key")
    (scratch.checkout / "peer.key").write_text("not-the-example-of-the-guide\n")
    done = scratch.run(commands(AGENT))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    assert len(wrong) == 2, done.stdout
    assert all(ELSEWHERE in line for line in wrong), done.stdout
    wanted = scratch.at("/etc/systemd/system/multi-user.target.wants/plancher-agent.service")
    assert wanted.is_symlink()
    assert scratch.at("/etc/systemd/system/sockets.target.wants/plancher-path.socket").is_symlink()
    assert scratch.at("/etc/plancher/agent.key").stat().st_mode & 0o777 == 0o600


@needs_root
def test_the_page_installs_backs_up_and_restores_a_collector(scratch: Scratch) -> None:
    (scratch.checkout / "collector.yaml").write_text(blocks(COLLECTOR, "yaml")[0])
    (scratch.checkout / "broker-password").write_text("secret\n")
    for name in ("ca.pem", "broker.pem", "broker.key"):
        (scratch.checkout / name).touch()
    lines = commands(COLLECTOR)
    first = next(number for number, line in enumerate(lines) if "/backup" in line)
    installed = scratch.run(lines[:first])
    assert installed.returncode == 0, installed.stdout + installed.stderr
    owner = scratch.at("/var/lib/plancher-collector").stat().st_uid
    ledger = scratch.at("/var/lib/plancher-collector/ledger.db")
    opened = Ledger(ledger)
    opened.commit([judge(examples.arrival(examples.stamp(1)))])
    opened.close()
    for path in ledger.parent.glob("ledger.db*"):
        os.chown(path, owner, owner)
    (scratch.at("/opt") / VERSION).rmdir()
    rest = scratch.run([f"python3 -m venv /opt/{VERSION}", *lines[first:]])
    assert rest.returncode == 0, rest.stdout + rest.stderr
    assert [*ledger.parent.glob("ledger.db.replaced-*")], "the restored one is the backup"
    with closing(sqlite3.connect(ledger)) as restored:
        assert restored.execute("SELECT count(*) FROM measurements").fetchone() == (1,)
    assert ledger.stat().st_uid == owner


def test_settings_of_the_pages_are_valid_and_agree_with_the_units(tmp_path: Path) -> None:
    agent = _written(tmp_path, "agent.yaml", AGENT)
    chosen = load_agent(agent)
    unit = Unit("plancher-agent.service")
    assert Path(chosen.journal.path).parent == Path("/var/lib") / unit.one("StateDirectory")
    assert Path(chosen.runtime_directory) == Path("/run") / unit.one("RuntimeDirectory")
    assert chosen.path.helper == Unit("plancher-path.socket").one("ListenStream")
    collector = load_collector(_written(tmp_path, "collector.yaml", COLLECTOR))
    state = Path("/var/lib") / Unit("plancher-collector.service").one("StateDirectory")
    assert Path(collector.ledger.path).parent == state


def _written(folder: Path, name: str, page: Path) -> Path:
    path = folder / name
    path.write_text(blocks(page, "yaml")[0])
    return path


def test_the_extras_that_the_pages_install_exist() -> None:
    extras = (ROOT / "pyproject.toml").read_text()
    for page in (AGENT, COLLECTOR):
        for extra in re.findall(r"'\.\[(\w+)\]'", page.read_text()):
            assert f"\n{extra} = [" in extras


def test_journalctl_accepts_the_commands_of_the_log_page(tmp_path: Path) -> None:
    asked = [line for line in commands(LOG) if line.startswith("journalctl ")]
    assert len(asked) == 4
    program = require("journalctl")
    for line in asked:
        words = [program, *shlex.split(line)[1:], f"--directory={tmp_path}", "--no-pager"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert done.stderr in ("", "No journal files were found.\n"), (line, done.stderr)
