"""Testbed of peer, Mosquitto with mutual TLS, collector and one agent, as processes on this machine."""

import getpass
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent import configuration
from agent.line.counters import INTERFACES
from collector.certificates.authority import Authority, CertificateFiles, PkiError, Usage
from lab.programs import installed
from lab.testbed.base import HOST, KEY_ID, Testbed, TestbedError

SITE = "0639001A"


class SecureTestbed(Testbed):
    """Broker, peer and collector run from the beginning; the agent is started by ``start_agent``.

    ``python`` is the interpreter of the agent. ``settings`` are agent settings beyond those that the testbed
    needs.
    """

    def __init__(self, folder: Path, python: Path, settings: Mapping[str, Any]) -> None:
        super().__init__(folder, links=0)
        self.journal = folder / "journal.db"
        self._python = str(python)
        self._settings = settings
        self._secret = secrets.token_hex(24)

    def bring_up(self) -> None:
        """Make certificates and start broker, peer and collector."""
        mosquitto = installed.require("mosquitto", "mosquitto")
        self._certify()
        self.start("mosquitto", (mosquitto, "-c", str(self._mosquitto())), "running")
        self.start_peer(self._secret, self._broker)
        collector = (sys.executable, "-m", "collector", "run", str(self._collector()))
        self.start("collector", collector, "connected")

    def start_agent(self) -> int:
        """Start the agent and return its process id. Raises TestbedError when it does not connect."""
        path = self.write("agent.yaml", self._agent())
        configuration.load(path)
        return self.start("agent", (self._python, "-P", "-m", "agent", "run", str(path)), "connected")

    def start_python(self, name: str, code: str) -> int:
        """Start a bare interpreter that runs ``code`` and then waits; return its process id."""
        waiting = f"{code}\nimport time\nprint('ready', flush=True)\ntime.sleep(600)"
        return self.start(name, (self._python, "-P", "-c", waiting), "ready")

    def _certify(self) -> None:
        try:
            authority = Authority(self.folder).make()
            served = CertificateFiles.at(self.folder, "broker")
            authority.issue(HOST, Usage.SERVER, files=served, names=(HOST,))
            # Peer, collector and agent share this machine, and with it one certificate.
            authority.issue(SITE, files=CertificateFiles.at(self.folder, "own"))
        except PkiError as error:
            raise TestbedError(str(error)) from None

    @property
    def _broker(self) -> dict[str, Any]:
        own = {"certificate": str(self.folder / "own.pem"), "key": str(self.folder / "own.key")}
        return {
            "host": HOST,
            "port": self.places.broker_port,
            "tls": {"ca": str(self.folder / "ca.pem"), **own},
        }

    def _mosquitto(self) -> Path:
        lines = (
            f"listener {self.places.broker_port} {HOST}",
            f"cafile {self.folder / 'ca.pem'}",
            f"certfile {self.folder / 'broker.pem'}",
            f"keyfile {self.folder / 'broker.key'}",
            "require_certificate true",
            "allow_anonymous true",
            "persistence false",
            # Mosquitto, started by root, would otherwise become a user that cannot read these files.
            f"user {getpass.getuser()}",
        )
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def _collector(self) -> Path:
        inventory = self.folder / "sites.csv"
        inventory.write_text(f"site_id,name\n{SITE},Bench\n", encoding="utf-8")
        return self.write(
            "collector.yaml",
            {
                "inventory": str(inventory),
                "broker": self._broker,
                "ledger": {"path": str(self.folder / "ledger.db")},
                "web": {"host": HOST, "port": self.places.page_port},
            },
        )

    def _agent(self) -> dict[str, Any]:
        return {
            **self._settings,
            "site": SITE,
            "peer": {
                "host": HOST,
                "udpstp_port": self.places.control_port,
                "stamp_port": self.places.stamp_port,
                "key_id": KEY_ID,
                "key": self._secret,
            },
            "line_counters": _line_counters(),
            "broker": self._broker,
            "uplink": {"interval": "5 s"},
            "journal": {"path": str(self.journal)},
            "runtime_directory": str(self.folder / "run"),
        }


def _line_counters() -> dict[str, str]:
    # A real interface, if there is one: the memory that reading it needs is then part of the measurement.
    real = sorted(link.name for link in INTERFACES.iterdir() if link.name != "lo" and (link / "mtu").exists())
    if real:
        return {"source": "inline", "interface": real[0]}
    return {"source": "directory", "path": str(INTERFACES / "lo" / "statistics")}
