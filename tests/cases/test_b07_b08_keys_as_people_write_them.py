"""Cases B07 and B08: a byte order mark in a key file, and a key id with a leading zero at both ends."""

import json
import shutil
from pathlib import Path

import pytest

from agent import configuration
from agent.settings import file as agent_file
from host.settings import SettingsError
from peer import settings as peer_settings
from tests.cases.testbed import INPUTS


def copied(name: str, folder: Path) -> Path:
    """Copy of an input that only its owner reads."""
    path = Path(shutil.copy(INPUTS / name, folder))
    path.chmod(0o600)
    return path


def test_b07_the_key_is_read_without_its_mark(tmp_path: Path) -> None:
    key = copied("B07_site.key.bom", tmp_path)
    document = {"site": "S1", "peer": {"host": "127.0.0.1", "key_file": str(key)}}
    path = tmp_path / "agent.yaml"
    path.write_text(json.dumps(document))
    assert agent_file.peer_key(configuration.load(path).peer) == b"secret-of-site-one"


def test_b08_the_agent_refuses_the_key_id_with_its_place(tmp_path: Path) -> None:
    path = copied("B08_agent.yaml", tmp_path)
    with pytest.raises(
        SettingsError, match=r"agent\.yaml: peer\.key_id: line 6: a number with a leading zero"
    ):
        configuration.load(path)


def test_b08_the_peer_refuses_the_key_id_with_its_place(tmp_path: Path) -> None:
    keys = copied("B08_peer.keys", tmp_path)
    path = tmp_path / "peer.yaml"
    path.write_text(json.dumps({"keys_file": str(keys)}))
    with pytest.raises(SettingsError, match=r"B08_peer\.keys: line 2: .* without leading zeros"):
        peer_settings.secrets(peer_settings.load(path))
