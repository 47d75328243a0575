"""Each module of the agent can be the first of it that a program imports."""

import subprocess
import sys
from pathlib import Path

import agent

EACH_IN_A_PROCESS = """
import os
import sys
import aiomqtt, msgspec, net.mqtt, wire.path.exchange, wire.records, wire.udpstp.load  # once for all of them
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    child = os.fork()
    if not child:
        try:
            __import__(name)
        except BaseException as error:
            print(name, repr(error), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def modules(package: Path) -> list[str]:
    paths = [path.relative_to(package.parent).with_suffix("") for path in sorted(package.rglob("*.py"))]
    return [".".join(path.parts).removesuffix(".__init__") for path in paths]


def failures(package: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", EACH_IN_A_PROCESS, str(package.parent), *modules(package)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_each_module_can_be_imported_first() -> None:
    package = Path(agent.__file__).parent
    assert {"agent", "agent.uplink.uplink", "agent.task.task"} <= set(modules(package))
    assert not failures(package)


def test_a_cycle_would_be_found(tmp_path: Path) -> None:
    package = tmp_path / "rounds"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "one.py").write_text("from rounds import two\nit = two")
    (package / "two.py").write_text("from rounds.one import it")
    [found] = failures(package)
    assert found.startswith(
        "rounds.one ImportError(\"cannot import name 'it' from partially initialized module"
    )
