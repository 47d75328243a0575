"""The broker as it is shipped, run by tests: only ports and paths are another's."""

import os
import re
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiomqtt

from tests.deploy.certificates import Authority
from tests.processes import accepts, free_port, running
from tests.servers import require

SHIPPED = Path(__file__).parents[2] / "deploy" / "mosquitto"
COLLECTOR = "plancher.collector"
LIMIT_S = 20.0
COMMENTED_OUT = re.compile(r"^#((?:listener|[a-z]+file|tls_|require_|use_)\S*( \S+)+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Broker:
    port: int
    tls_port: int
    directory: Path

    def client(self, user: str | None, password: str | None = None) -> aiomqtt.Client:
        """A connection with user name and password; the password is the user name where it is not told."""
        return aiomqtt.Client(
            "127.0.0.1", self.port, username=user, password=password or user, timeout=LIMIT_S
        )

    def tls_client(self, context: ssl.SSLContext, client_id: str | None = None) -> aiomqtt.Client:
        return aiomqtt.Client(
            "127.0.0.1", self.tls_port, tls_context=context, identifier=client_id, timeout=LIMIT_S
        )


def _configure(broker: Broker) -> Path:
    """The shipped files with this test's paths and ports, and the TLS listener no longer commented out."""
    text = (SHIPPED / "plancher.conf").read_text().replace("/etc/mosquitto/", f"{broker.directory}/")
    text = COMMENTED_OUT.sub(r"\1", text)
    text = text.replace("listener 1883", f"listener {broker.port}")
    text = text.replace("listener 8883", f"listener {broker.tls_port} 127.0.0.1")
    if os.geteuid() == 0:
        text = f"user root\n{text}"  # as its own user it could not read a test's directory
    (broker.directory / "plancher.acl").write_text((SHIPPED / "plancher.acl").read_text())
    path = broker.directory / "plancher.conf"
    path.write_text(text)
    return path


def _write_passwords(path: Path, users: Sequence[str]) -> None:
    path.write_text("".join(f"{user}:{user}\n" for user in users))
    path.chmod(0o600)
    subprocess.run([require("mosquitto_passwd"), "-U", path], check=True, capture_output=True, timeout=30)


@contextmanager
def shipped_broker(directory: Path, users: Sequence[str], sites: Authority) -> Iterator[Broker]:
    """A Mosquitto with the shipped files; each user's password is its name, ``sites`` issues certificates."""
    program = require("mosquitto")
    broker = Broker(free_port(), free_port(), directory)
    certificates = directory / "certs"
    certificates.mkdir()
    served = sites.issue("broker")
    for name, file in (
        ("plancher-sites-ca.pem", sites.certificate),
        ("broker.pem", served.certificate),
        ("broker.key", served.key),
    ):
        (certificates / name).write_bytes(file.read_bytes())
    _write_passwords(directory / "plancher.passwords", users)
    command: list[str | Path] = [program, "-c", _configure(broker)]
    with running(command, lambda: accepts(broker.tls_port), directory / "log"):
        yield broker
