"""Rules for a shared key and its file."""

from pathlib import Path

import pytest

from host import shared_key
from host.settings import SettingsError

LENGTH = "a key has 16 to 64 bytes: make one with openssl rand -hex 24"


@pytest.mark.parametrize(("key", "on_loopback", "problem"), [
    ("k" * 16, False, None), ("é" * 32, False, None), (shared_key.EXAMPLE, True, None),
    ("", True, LENGTH), ("k" * 15, True, LENGTH), ("é" * 33, True, LENGTH),
    ("\ufeff" + "k" * 16, True, "a character in it cannot be seen: write the key anew"),
    (shared_key.EXAMPLE, False,
     "the example key is known to everybody: only a peer on this machine may use it"),
])  # fmt: skip
def test_rules_for_a_key(key: str, on_loopback: bool, problem: str | None) -> None:
    assert shared_key.problem(key, on_loopback=on_loopback) == problem


@pytest.mark.parametrize(("content", "mode", "message"), [
    (b"a secret", 0o640, "others can read it: chmod 600 {}"),
    (b"\xff a secret", 0o600, "not text: this is no key file"),
    (None, 0o600, "no such file: ask for one (and chmod 600)"),
])  # fmt: skip
def test_an_unusable_file_is_refused_with_its_setting(
    tmp_path: Path, content: bytes | None, mode: int, message: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(SettingsError) as caught:
        shared_key.read_private("peer.key_file", path, "ask for one")
    assert str(caught.value) == f"peer.key_file: {path}: {message.format(path)}"
