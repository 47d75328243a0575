"""Keys and passwords of running programs: in their files, and in nothing else that anybody can read."""

import base64
import json
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.service import wiring as assembly
from agent.settings import file as agent_settings
from agent.settings import sections
from collector.certificates.authority import COLLECTOR, PEER, Authority
from host.clock import Clock
from host.settings import SettingsError
from peer import settings as peer_settings
from peer.keys import PeerKeys
from tests.deploy.shipped_broker import shipped_broker
from tests.processes import free_port, running, wait_until

SITE = "0631234A"
KEY, OTHER_KEY = "key-kept-secret", "other-key-kept-secret"
PASSWORDS = {user: f"{user}-password-kept-secret" for user in (SITE, COLLECTOR, PEER)}
SECRETS = (KEY, OTHER_KEY, *PASSWORDS.values())
ONLY_STAMP = {"floor": "1 h", "stamp": "1 s", "path": None, "capacity": None, "interface": None}


class Stand:
    """The settings of all programs, in files beside their secrets, which stand in ``private``."""

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
        """The program as a process, from when its log holds ``sign``."""
        log = self.folder / f"{program}.log"
        stack = ExitStack()
        command = [sys.executable, "-m", program, "run", str(self.folder / f"{program}.yaml")]
        stack.enter_context(running(command, lambda: sign in log.read_text(), log))
        return stack

    def say(self, program: str, *words: str) -> None:
        """Run a command to its end and keep what it said."""
        told = subprocess.run(
            [sys.executable, "-m", program, *words, str(self.folder / f"{program}.yaml")],
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        log = self.folder / f"{program}-{'-'.join(words)}.said"
        log.write_bytes(told.stdout + told.stderr)
        assert log.stat().st_size

    def showing(self) -> dict[str, list[str]]:
        """The files that show a secret, however it is written, and which."""
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
        (tmp_path / "stand").mkdir()
        stand = Stand(tmp_path / "stand", broker.port)
        for program, sign in (("collector", "connected"), ("peer", "connected"), ("agent", "connected")):
            programs.enter_context(stand.started(program, sign))
        wait_until(lambda: "in flight" in (stand.folder / "agent.log").read_text(), "measurements are sent")
        for program in ("agent", "peer", "collector"):
            stand.say(program, "check")
        stand.say("agent", "status")
        stand.say("agent", "status", "--json")
        stand.say("agent", "measure", "--probe", "stamp")
        stand.secret("keys", f"1 {OTHER_KEY}\n3 {KEY}\nno line of a key file: {KEY}\n")
        said = stand.folder / "peer.log"
        wait_until(lambda: "the keys read before stay in force" in said.read_text(), "new keys are read")
        stand.secret(f"{SITE}-password", "wrong")
        stand.say("agent", "check")
    assert stand.showing() == {}


def test_a_secret_that_is_shown_would_be_found(tmp_path: Path) -> None:
    stand = Stand(tmp_path, 1883)
    (tmp_path / "log").write_text(f"key {KEY.encode().hex()}")
    assert stand.showing() == {str(tmp_path / "log"): [KEY]}


def test_what_holds_a_secret_does_not_show_it(tmp_path: Path) -> None:
    stand = Stand(tmp_path, 1883)
    served, measured = peer_settings.load(stand.peer), agent_settings.load(stand.agent)
    secrets = peer_settings.secrets(served)
    holders = (
        served,
        measured,
        PeerKeys(served, secrets),
        served.reflector(secrets),
        assembly.probe_context(measured, Clock().read),
        sections.PeerAccessSettings(key=KEY),
        peer_settings.KeySettings(1, key=KEY),
    )
    shown = " ".join(repr(holder) + str(holder) for holder in holders)
    assert "kept-secret" not in shown


def test_a_traceback_of_a_file_that_cannot_serve_shows_no_secret(tmp_path: Path) -> None:
    stand = Stand(tmp_path, 1883)
    stand.secret("keys", f"1 {KEY}\n1 {OTHER_KEY}\n")
    with pytest.raises(SettingsError) as caught:
        peer_settings.secrets(peer_settings.load(stand.peer))
    shown = "".join(traceback.format_exception(caught.value))
    assert "kept-secret" not in shown
