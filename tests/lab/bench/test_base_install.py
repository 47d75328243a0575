"""Environment of a site."""

import subprocess
from pathlib import Path

from host.command_line import version
from lab.bench import base_install

PROGRAM = """
import sys
import agent.service.__main__
import importlib.util
print([name for name in ("collector", "lab", "sqlalchemy", "pytest") if importlib.util.find_spec(name)])
print([name for name in sys.modules if name.startswith("__editable__")])
"""


def run(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_it_runs_the_agent_without_any_developer_package(tmp_path: Path) -> None:
    python = base_install.make(tmp_path / "installed")
    assert run(python, "-P", "-m", "agent", "--version") == f"plancher-agent {version()}\n"
    assert run(python, "-P", "-c", PROGRAM) == "[]\n[]\n"
