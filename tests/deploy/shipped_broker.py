"""Broker with the shipped configuration; only ports and paths are the test's."""

import asyncio
import os
import ssl
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiomqtt

from collector.certificates.authority import Authority, CertificateFiles, Usage
from tests.processes import accepts, free_port, running
from tests.servers import require

SHIPPED = Path(__file__).parents[2] / "deploy" / "mosquitto"
LIMIT_S = 20.0

Heard = set[tuple[str, bytes]]
# User, topic, and what the user publishes there; None subscribes.
Step = tuple[str, str, bytes | None]


@dataclass(frozen=True, slots=True)
class Broker:
    port: int
    tls_port: int
    directory: Path

    def client(
        self,
        user: str | None,
        password: str | None = None,
        protocol: aiomqtt.ProtocolVersion = aiomqtt.ProtocolVersion.V311,
        will: aiomqtt.Will | None = None,
    ) -> aiomqtt.Client:
        """Return a connection with user name and password, by default the user name."""
        return aiomqtt.Client(
            *("127.0.0.1", self.port),
            username=user,
            password=password or user,
            timeout=LIMIT_S,
            protocol=protocol,
            will=will,
        )

    def tls_client(self, context: ssl.SSLContext, client_id: str | None = None) -> aiomqtt.Client:
        return aiomqtt.Client(
            "127.0.0.1", self.tls_port, tls_context=context, identifier=client_id, timeout=LIMIT_S
        )

    def heard(
        self,
        steps: Iterable[Step],
        *listeners: str,
        retained: Collection[bytes] = (),
        site: Callable[[], aiomqtt.Client] | None = None,
    ) -> list[Heard]:
        """Take the steps in order; return all that each listener receives up to ``b"last"``.

        ``site``: how A connects, if not by user name on the ordinary port.
        """

        async def scenario() -> list[Heard]:
            async with asyncio.timeout(LIMIT_S), AsyncExitStack() as stack:
                connected: dict[str, aiomqtt.Client] = {}
                for user, where, payload in steps:
                    if user not in connected:
                        client = site() if site and user == "A" else self.client(user)
                        connected[user] = await stack.enter_async_context(client)
                    if payload is None:
                        await connected[user].subscribe(where, qos=1)
                    else:
                        await connected[user].publish(where, payload, qos=1, retain=payload in retained)
                return [await received_until(connected[user], b"last") for user in listeners]

        return asyncio.run(scenario())


async def received_until(client: aiomqtt.Client, last: bytes) -> Heard:
    """Return all messages that a client receives up to ``last``."""
    received: Heard = set()
    async for message in client.messages:
        assert isinstance(message.payload, bytes)
        received.add((str(message.topic), message.payload))
        if message.payload == last:
            break
    return received


def _configure(broker: Broker, without: Sequence[str]) -> Path:
    """Write the shipped files as Debian includes them, with this test's paths and ports."""
    included = broker.directory / "conf.d"
    included.mkdir()
    for name in ("plancher.conf", "plancher-tls.conf"):
        text = (SHIPPED / name).read_text().replace("/etc/mosquitto/", f"{broker.directory}/")
        text = text.replace("listener 1883", f"listener {broker.port}")
        text = text.replace("listener 8883", f"listener {broker.tls_port} 127.0.0.1")
        kept = [line for line in text.splitlines() if not line.startswith(tuple(without))]
        (included / name).write_text("\n".join(kept) + "\n")
    (broker.directory / "plancher.acl").write_text((SHIPPED / "plancher.acl").read_text())
    # Otherwise it becomes a user that cannot read a test's directory.
    user = "user root\n" if os.geteuid() == 0 else ""
    path = broker.directory / "mosquitto.conf"
    path.write_text(f"{user}include_dir {included}\n")
    return path


def _write_passwords(path: Path, users: Mapping[str, str]) -> None:
    path.write_text("".join(f"{user}:{password}\n" for user, password in users.items()))
    path.chmod(0o600)
    subprocess.run([require("mosquitto_passwd"), "-U", path], check=True, capture_output=True, timeout=30)


@contextmanager
def shipped_broker(
    directory: Path,
    users: Sequence[str] | Mapping[str, str],
    sites: Authority,
    *,
    days: int = 2,
    without: Sequence[str] = (),
) -> Iterator[Broker]:
    """Run a Mosquitto with the shipped files. ``sites`` issues certificates, the broker's own for ``days``.

    ``users`` maps users to passwords, or lists users whose password is their name. ``without``: options to
    leave out.
    """
    program = require("mosquitto")
    broker = Broker(free_port(), free_port(), directory)
    certificates = directory / "certs"
    certificates.mkdir()
    own = CertificateFiles.at(certificates, "broker")
    sites.issue("broker", Usage.SERVER, files=own, names=["127.0.0.1"], days=days)
    (certificates / "plancher-sites-ca.pem").write_bytes(sites.certificate.read_bytes())
    passwords = users if isinstance(users, Mapping) else {user: user for user in users}
    _write_passwords(directory / "plancher.passwords", passwords)
    command: list[str | Path] = [program, "-c", _configure(broker, without)]
    with running(command, lambda: accepts(broker.port) and accepts(broker.tls_port), directory / "log"):
        yield broker
