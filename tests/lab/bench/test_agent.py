"""Missing requirements of ``make bench-agent``."""

from pathlib import Path

import pytest

from host.exits import Exit
from lab.bench import agent as bench_agent
from lab.programs import installed


def test_a_missing_broker_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(installed, "ALSO_SEARCHED", ())
    assert bench_agent.main([]) == Exit.UNAVAILABLE
    assert capsys.readouterr().err == (
        "bench-agent: mosquitto is not installed; on Debian or Ubuntu: sudo apt-get install mosquitto\n"
    )
