"""Keys and passwords of running programs are in their own files and nowhere else."""

import base64
import json
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent import configuration
from agent.service import wiring
from agent.settings import sections
from collector.certificates.authority import COLLECTOR, PEER, Authority
from host.clock import Clock
from host.settings import SettingsError
from peer import settings as peer_settings
from peer.keys import PeerKeys
from tests.deploy.shipped_broker import shipped_broker
from tests.processes import free_port, running, wait_until

SITE = "0631234A"
KEY, OTHER_KEY = "shared-key-kept-secret", "other-key-kept-secret"
PASSWORDS = {user: f"{user}-password-kept-secret" for user in (SITE, COLLECTOR, PEER)}
SECRETS = (KEY, OTHER_KEY, *PASSWORDS.values())
ONLY_STAMP = {"floor": "1 h", "stamp": "1 s", "path": None, "capacity": None, "interface": None}


class Installation:
    """Settings files of all programs, and their secrets in ``private``."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        self.folder = folder
        self.private = folder / "private"
        self.private.mkdir()
        self._broker_port = broker_port
        self.ports = {"udpstp_port": free_port(), "stamp_port": free_port()}
        self.peer = self._write("peer", self._peer())
        self.collector = self._write("collector", self._collector())
        self.agent = self._write("agent", self._agent())

    def secret(self, name: str, text: str) -> str:
        path = self.private / name
        path.touch(mode=0o600)
        path.write_text(text)
        return str(path)

    def _broker(self, user: str) -> dict[str, object]:
        file = self.secret(f"{user}-password", PASSWORDS[user])
        return {"port": self._broker_port, "username": user, "password_file": file}

    def _peer(self) -> dict[str, object]:
        return {
            "keys_file": self.secret("keys", f"1 {KEY}\n2 {OTHER_KEY}\n"),
            "udpstp": {"port": self.ports["udpstp_port"]},
            "stamp": {"port": self.ports["stamp_port"]},
            "broker": self._broker(PEER),
            "tests": {"path": str(self.folder / "tests.db")},
        }

    def _collector(self) -> dict[str, object]:
        inventory = self.folder / "sites.csv"
        inventory.write_text(f"site_id,name\n{SITE},Lycée\n")
        return {
            "inventory": str(inventory),
            "broker": self._broker(COLLECTOR),
            "ledger": {"path": str(self.folder / "ledger.db")},
            "web": {"port": free_port()},
        }

    def _agent(self) -> dict[str, object]:
        return {
            "site": SITE,
            "peer": {**self.ports, "key_file": self.secret("key", KEY)},
            "stamp": {"packets": 4, "spacing": "50 ms", "timeout": "200 ms"},
            "floor": {"down": None, "up": None},
            "schedule": {"first_within": 0, **ONLY_STAMP},
            "broker": self._broker(SITE),
            "uplink": {"interval": "1 s"},
            "journal": {"path": str(self.folder / "journal.db")},
            "runtime_directory": str(self.folder / "run"),
        }

    def _write(self, name: str, document: dict[str, object]) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(document | {"log_level": "debug"}))
        return path

    def started(self, program: str, sign: str) -> ExitStack:
        """Start the program as a process, and wait until its log contains ``sign``."""
        log = self.folder / f"{program}.log"
        stack = ExitStack()
        command = [sys.executable, "-m", program, "run", str(self.folder / f"{program}.yaml")]
        stack.enter_context(running(command, lambda: sign in log.read_text(), log))
        return stack

    def say(self, program: str, *words: str) -> None:
        """Run a command to its end and keep its output."""
        done = subprocess.run(
            [sys.executable, "-m", program, *words, str(self.folder / f"{program}.yaml")],
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        log = self.folder / f"{program}-{'-'.join(words)}.said"
        log.write_bytes(done.stdout + done.stderr)
        assert log.stat().st_size

    def showing(self) -> dict[str, list[str]]:
        """Return the files that contain a secret in any form, with the secrets."""
        forms = {form: secret for secret in SECRETS for form in written(secret)}
        found = {}
        for path in self.folder.rglob("*"):
            if path.is_file() and self.private not in path.parents:
                data = path.read_bytes()
                if shown := [secret for form, secret in forms.items() if form in data]:
                    found[str(path)] = shown
        return found


def written(secret: str) -> Iterator[bytes]:
    data = secret.encode()
    yield from (data, data.hex().encode(), base64.b64encode(data).rstrip(b"=")[:-1])


def test_running_programs_show_no_secret_anywhere(tmp_path: Path) -> None:
    sites = Authority(tmp_path / "private-pki").make()
    broker_folder = tmp_path / "broker"
    broker_folder.mkdir()
    with shipped_broker(broker_folder, PASSWORDS, sites) as broker, ExitStack() as programs:
        (tmp_path / "installation").mkdir()
        installation = Installation(tmp_path / "installation", broker.port)
        for program, sign in (("collector", "connected"), ("peer", "connected"), ("agent", "connected")):
            programs.enter_context(installation.started(program, sign))
        wait_until(
            lambda: "in flight" in (installation.folder / "agent.log").read_text(), "measurements are sent"
        )
        for program in ("agent", "peer", "collector"):
            installation.say(program, "check")
        installation.say("agent", "status")
        installation.say("agent", "status", "--json")
        installation.say("agent", "measure", "--probe", "stamp")
        installation.secret("keys", f"1 {OTHER_KEY}\n3 {KEY}\nno line of a key file: {KEY}\n")
        said = installation.folder / "peer.log"
        wait_until(lambda: "the keys from before stay in use" in said.read_text(), "new keys are read")
        installation.secret(f"{SITE}-password", "wrong")
        installation.say("agent", "check")
    assert installation.showing() == {}


def test_a_secret_in_a_log_would_be_found(tmp_path: Path) -> None:
    installation = Installation(tmp_path, 1883)
    (tmp_path / "log").write_text(f"key {KEY.encode().hex()}")
    assert installation.showing() == {str(tmp_path / "log"): [KEY]}


def test_objects_with_a_secret_do_not_print_it(tmp_path: Path) -> None:
    installation = Installation(tmp_path, 1883)
    served, measured = peer_settings.load(installation.peer), configuration.load(installation.agent)
    secrets = peer_settings.secrets(served)
    holders = (
        served,
        measured,
        PeerKeys(served, secrets),
        served.reflector(secrets),
        wiring.probe_context(measured, Clock().read),
        sections.PeerAccessSettings(key=KEY),
        peer_settings.KeySettings(1, key=KEY),
    )
    shown = " ".join(repr(holder) + str(holder) for holder in holders)
    assert "kept-secret" not in shown


def test_the_traceback_of_an_invalid_file_shows_no_secret(tmp_path: Path) -> None:
    installation = Installation(tmp_path, 1883)
    installation.secret("keys", f"1 {KEY}\n1 {OTHER_KEY}\n")
    with pytest.raises(SettingsError) as caught:
        peer_settings.secrets(peer_settings.load(installation.peer))
    shown = "".join(traceback.format_exception(caught.value))
    assert "kept-secret" not in shown
