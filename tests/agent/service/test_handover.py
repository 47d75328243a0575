import os
import sys
from pathlib import Path

import msgspec
import pytest

from agent.commands import run
from agent.configuration import load
from agent.service import handover
from agent.service.handover import Handover
from host.settings import SettingsError

EXAMPLE = Path(__file__).parents[3] / "agent.yaml"


def test_settings_key_and_version_arrive_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, arguments: started.append(arguments))
    environment: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", environment)
    given = Handover(load(EXAMPLE), b"a secret", "0.1.0")
    handover.replace_this_process(given)
    assert environment == {"MALLOC_ARENA_MAX": "1"}
    [arguments] = started
    assert "a secret" not in " ".join(arguments)
    assert arguments[1:-1] == ["-P", "-X", "no_debug_ranges", "-m", "agent.service.__main__"]
    received = handover.receive(int(arguments[-1]))
    assert received == given
    assert type(received.settings.floor.down) is type(given.settings.floor.down)


def test_a_python_that_this_user_may_not_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python3"
    python.write_text("for nobody")
    python.chmod(0o600)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(os, "environ", {})
    with pytest.raises(SettingsError, match=rf"^{python}: this user may not run it: install with a Python"):
        run.main(load(EXAMPLE), EXAMPLE)


def test_what_is_shown_of_it_holds_no_secret() -> None:
    shown = repr(Handover(load(EXAMPLE), b"a secret", "0.1.0"))
    assert shown == "Handover(site='0631234A')"
    assert "example-key" not in repr(load(EXAMPLE))


def test_anything_else_is_no_handover(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"{}")
    with pytest.raises(msgspec.ValidationError):
        handover.receive(os.open(path, os.O_RDONLY))
