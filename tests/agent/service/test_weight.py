"""Modules too heavy for the resident agent, in a process that imports nothing else."""

import subprocess
import sys

OWN_DATA_CLASSES = """
import sys
import agent.service.__main__
ours = ("agent", "host", "net", "wire")
own = [module for name, module in list(sys.modules.items()) if name.split(".")[0] in ours]
for kind in {kind for module in own for kind in vars(module).values() if isinstance(kind, type)}:
    if "__dataclass_fields__" in vars(kind):
        print(kind.__module__, kind.__qualname__)
"""


def data_classes(more: str = "") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", more + OWN_DATA_CLASSES], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_what_it_loads_of_ours_is_structs() -> None:
    assert not data_classes(), "a data class costs 13 kB more than a msgspec.Struct"


def test_a_data_class_would_be_found() -> None:
    begin = "import dataclasses, wire\nwire.Heavy = dataclasses.make_dataclass('Heavy', ['weight'])\n"
    (found,) = data_classes(begin)
    assert found.endswith(" Heavy")
