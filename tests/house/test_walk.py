"""Tests of the walk: what is on it, and what the profiler sees."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import walk
from tests.house.walk import Call, WalkError

SECOND = 1_000_000_000
ENDS = [SECOND, 3 * SECOND, 6 * SECOND, 9 * SECOND]
PROBE = "agent/probes/stamp/probe.py"
TRACER = Path(walk.__file__).with_name("tracer")
PROGRAM = """
from dataclasses import dataclass
from msgspec import Struct

Reading = type("Reading", (Struct,), {"__annotations__": {"rtt_us": int}}, frozen=True)
Record = type("Record", (Struct,), {"__annotations__": {"epoch": str, "seq": int}}, frozen=True)
Receipt = type("Receipt", (Struct,), {})

@dataclass(frozen=True)
class Batch:
    readings: list

def takes(value): return None
def gives(): return "0.00185", 1.85
def other(value): return value

takes(Batch([Reading(1_850_123)])), takes(b'{"rtt_us":1850123}'), takes((lambda r: lambda: r)(1_850_123))
gives()
other("185"), other(1.84e9), other(Reading), other("epoch-1"), other(Record("epoch-1", 7)), other("epoch-1")
other(Receipt()), other("plancher/1/receipt")
"""


def calls(*names: str, at: float, has_record: bool = True) -> list[Call]:
    return [
        Call(round(at * SECOND) + place, *name.split(":"), has_record)  # type: ignore[call-arg]
        for place, name in enumerate(names)
    ]


def cycle(begin: float, *names: str) -> list[Call]:
    """One measurement of the probe, with further calls half a second later."""
    serving = calls("agent/lock.py:f", "host/clock.py:read", at=begin + 0.1, has_record=False)
    return calls(f"{PROBE}:run", at=begin) + serving + calls(*names, at=begin + 0.5)


def test_a_file_is_on_the_walk_when_every_cycle_has_it_and_not_what_runs_between() -> None:
    found = [
        *cycle(2, "agent/b.py:f", "agent/b.py:f", "agent/a.py:g", "agent/once.py:h", "lab/link.py:f"),
        *calls(".venv/lib/client.py:f", at=2.5),
        *cycle(5, ".venv/lib/client.py:f", "agent/a.py:g", "agent/b.py:f"),
        *cycle(8, ".venv/lib/client.py:f", "agent/b.py:f", "agent/a.py:g", "peer/reflector.py:f"),
        *calls("host/clock.py:read", at=4, has_record=False),
    ]
    expected = {PROBE: ["run"], "agent/b.py": ["f"], "agent/a.py": ["g"]}
    narrow, wider = walk.follow(found, ENDS)
    assert (narrow, wider) == (expected, expected | {"agent/lock.py": ["f"]})
    overlapping = [*found, *calls(f"{PROBE}:run", at=6.2)]
    with pytest.raises(WalkError, match="2 of 3 measurements had the line alone"):
        walk.follow(overlapping, ENDS)
    assert walk.follow([*overlapping, *cycle(11)], [*ENDS, 12 * SECOND])[0] == {PROBE: ["run"]}


def test_the_profiler_knows_the_record(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    folders = {"PYTHONPATH": str(TRACER), "WALK_ROOT": str(tmp_path), "WALK_FOLDER": str(tmp_path)}
    subprocess.run([sys.executable, program], env=os.environ | folders, check=True)
    (file,) = tmp_path.glob("*.json")
    record = json.loads(file.read_text())
    in_hand: dict[str, list[int]] = {}
    for _, number, has_record in record["calls"]:
        in_hand.setdefault(record["functions"][number][1], []).append(has_record)
    # Each call is followed by its return, here of None or of what was given.
    assert in_hand["takes"] == [1, 0] * 3
    assert in_hand["gives"] == [0, 1]
    assert in_hand["other"] == [0, 0] * 3 + [0, 0] + [1, 1] * 2 + [1, 1] * 2
