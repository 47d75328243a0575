"""Missing requirements of the demo."""

import subprocess
import sys

import pytest

from lab.demo import programs
from lab.programs.places import NoRoomError


def test_missing_packages_and_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "NEEDED_MODULES", ("amqtt", "no_such_module"))
    monkeypatch.setattr(programs, "PROGRAMS", ("plancher-lab", "plancher-nothing"))
    with pytest.raises(NoRoomError) as caught:
        programs.require()
    assert str(caught.value) == (
        "not installed: no_such_module, plancher-nothing. Install with `make install`, "
        f"or `{sys.executable} -m pip install plancher-lab`"
    )


def test_a_module_that_the_demo_itself_imports_is_named() -> None:
    code = (
        "import sys\nsys.modules['prometheus_client'] = None\n"
        "from lab.__main__ import command\nsys.exit(command(['demo']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 69
    assert ended.stderr.startswith("plancher-lab: configuration: the demo needs the module prometheus_client")
    assert "make install" in ended.stderr
