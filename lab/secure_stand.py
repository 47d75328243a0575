"""Peer, Mosquitto with mutual TLS, collector and one agent, as processes on this machine."""

import getpass
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from agent import settings as agent_settings
from lab.demo import places
from lab.demo.supervisor import Death, Program, Supervisor, last_lines

HOST = places.PEER_HOST
SITE = "0639001A"
READY_WITHIN_S = 20.0
# An ordinary user's PATH lacks these, and Debian puts daemons there.
ALSO_SEARCHED = ("/usr/local/sbin", "/usr/sbin", "/sbin")
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class StandError(Exception):
    """Something needed is missing or did not come up; the text says what, and how to mend it."""


class SecureStand:
    """Everything but the agent runs inside the block; what is started is ended with it.

    ``python`` is the interpreter that the agent runs in; ``schedule`` and ``stamp`` are the agent's settings
    of these names. Raises StandError on entering.
    """

    def __init__(self, folder: Path, python: Path, schedule: dict[str, Any], stamp: dict[str, Any]) -> None:
        self._python = str(python)
        self.journal = folder / "journal.db"
        self._folder = folder
        self._schedule, self._stamp = schedule, stamp
        self._leaving = ExitStack()

    def __enter__(self) -> Self:
        mosquitto, openssl = _program("mosquitto", "mosquitto"), _program("openssl", "openssl")
        self._certify(openssl)
        with ExitStack() as entering:
            self._places = entering.enter_context(places.claim(0))
            self._supervisor = entering.enter_context(Supervisor(self._folder))
            self._start("mosquitto", (mosquitto, "-c", str(self._mosquitto())), "running")
            self._start("peer", (sys.executable, "-m", "peer", "run", str(self._peer())), "serving")
            self._start(
                "collector", (sys.executable, "-m", "collector", "run", str(self._collector())), "connected"
            )
            self._leaving = entering.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.close()

    def start_agent(self) -> int:
        """Start the agent and return its process id. Raises StandError when it does not connect."""
        path = self._write("agent.yaml", self._agent())
        agent_settings.load(path)
        return self._start("agent", (self._python, "-P", "-m", "agent", "run", str(path)), "connected")

    def start_python(self, name: str, code: str) -> int:
        """Start a bare interpreter that runs ``code`` and then waits; returns its process id."""
        waiting = f"{code}\nimport time\nprint('ready', flush=True)\ntime.sleep(600)"
        return self._start(name, (self._python, "-P", "-c", waiting), "ready")

    def wait(self, seconds: float) -> None:
        """Let everything run. Raises StandError when a program ends meanwhile."""
        if isinstance(death := self._supervisor.wait_until(lambda: False, seconds), Death):
            raise StandError(str(death))

    def _start(self, name: str, command: tuple[str, ...], sign: str) -> int:
        """Start a program, wait until its output holds ``sign``, and return its process id."""
        pid = self._supervisor.start(Program(name, command))
        log = self._supervisor.log_of(name)
        found = self._supervisor.wait_until(_says(log, sign), READY_WITHIN_S)
        if isinstance(found, Death):
            raise StandError(str(found))
        if not found:
            raise StandError(
                f"{name} was not ready after {READY_WITHIN_S:g} s: {' | '.join(last_lines(log))}"
            )
        return pid

    def _certify(self, openssl: str) -> None:
        """An authority, and one certificate from it that serves all: they share this machine."""
        at = self._folder.joinpath
        authority = ("-x509", "-days", "2", "-subj", "/CN=bench authority")
        certified = ("-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-days", "2", "-subj", f"/CN={HOST}")
        named = ("-addext", f"subjectAltName=IP:{HOST}")
        for options, name in ((authority, "ca"), (("-x509", *certified, *named), "own")):
            files = ("-keyout", at(f"{name}.key"), "-out", at(f"{name}.pem"))
            made = subprocess.run(  # noqa: S603 -- openssl with our own options, no shell
                [openssl, "req", *NEW_KEY, *options, *files], capture_output=True, text=True, check=False
            )
            if made.returncode:
                raise StandError(f"openssl could not make a certificate: {made.stderr.strip()}")

    @property
    def _broker(self) -> dict[str, Any]:
        own = {"certificate": str(self._folder / "own.pem"), "key": str(self._folder / "own.key")}
        return {
            "host": HOST,
            "port": self._places.broker_port,
            "tls": {"ca": str(self._folder / "ca.pem"), **own},
        }

    def _mosquitto(self) -> Path:
        lines = (
            f"listener {self._places.broker_port} {HOST}",
            f"cafile {self._folder / 'ca.pem'}",
            f"certfile {self._folder / 'own.pem'}",
            f"keyfile {self._folder / 'own.key'}",
            "require_certificate true",
            "allow_anonymous true",
            "persistence false",
            # Started by root it would become another user, who cannot read these files.
            f"user {getpass.getuser()}",
        )
        path = self._folder / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def _peer(self) -> Path:
        self._key = self._folder / "peer.key"
        self._key.touch(mode=0o600)
        self._key.write_text(secrets.token_hex(24), encoding="ascii")
        udpstp, stamp = {"port": self._places.control_port}, {"port": self._places.stamp_port}
        keys = [{"id": 1, "key_file": str(self._key)}]
        return self._write("peer.yaml", {"host": HOST, "keys": keys, "udpstp": udpstp, "stamp": stamp})

    def _collector(self) -> Path:
        inventory = self._folder / "sites.csv"
        inventory.write_text(f"site_id,name\n{SITE},Bench\n", encoding="utf-8")
        return self._write(
            "collector.yaml",
            {
                "inventory": str(inventory),
                "broker": self._broker,
                "ledger": {"path": str(self._folder / "ledger.db")},
                "web": {"host": HOST, "port": self._places.page_port},
            },
        )

    def _agent(self) -> dict[str, Any]:
        return {
            "site": SITE,
            "peer": {
                "host": HOST,
                "udpstp_port": self._places.control_port,
                "stamp_port": self._places.stamp_port,
                "key_id": 1,
                "key_file": str(self._key),
            },
            "stamp": self._stamp,
            "schedule": self._schedule,
            "broker": self._broker,
            "uplink": {"interval": "5 s"},
            "journal": {"path": str(self.journal)},
            "runtime_directory": str(self._folder / "run"),
        }

    def _write(self, name: str, document: object) -> Path:
        path = self._folder / name
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path


def _says(log: Path, sign: str) -> Callable[[], bool]:
    return lambda: sign in log.read_text(encoding="utf-8", errors="replace")


def _program(name: str, package: str) -> str:
    found = shutil.which(name) or next(
        (str(path) for folder in ALSO_SEARCHED if (path := Path(folder) / name).is_file()), None
    )
    if found is None:
        raise StandError(f"{name} is not installed; on Debian or Ubuntu: sudo apt-get install {package}")
    return found
