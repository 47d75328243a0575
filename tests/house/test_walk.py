"""Tests of the walk: what is on it, what the profiler sees, and the relay that marks the record."""

import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.house import walk
from tests.house.relay import relaying
from tests.house.walk import Call, Walk, WalkError
from tests.processes import free_port

SECOND = 1_000_000_000
PROBE = "agent/probes/stamp/probe.py"
TRACER = Path(walk.__file__).with_name("tracer")
PROGRAM = """
from dataclasses import dataclass
from msgspec import Struct

class Reading(Struct, frozen=True):
    rtt_us: int

class Receipt(Struct):
    count: int

class Record(Struct, frozen=True):
    epoch: str
    seq: int

class State:
    def __init__(self, reading): self.reading = reading
    def look(self): return None

@dataclass(frozen=True)
class Batch:
    readings: list

def takes(value): return None
def gives(): return "0.00185", 1.85
def other(value): return value

takes(Batch([Reading(1_850_123)]))
takes(b'{"rtt_us":1850123}')
takes((lambda kept: lambda: kept)(1_850_123))
gives()
other("185"), other(1.84e9), other(Reading), other("epoch-1"), other(Record("epoch-1", 7)), other("epoch-1")
other(Receipt(0)), other("plancher/1/receipt")
State(Reading(1_850_123)).look()
"""


def calls(*names: str, at: float, has_record: bool = True) -> list[Call]:
    found = []
    for place, function in enumerate(names):
        file, _, name = function.partition(":")
        found.append(Call(round(at * SECOND) + place, file, name, has_record))
    return found


def cycle(begin: float, *names: str) -> list[Call]:
    """One measurement of the probe, with further calls half a second later."""
    return calls(f"{PROBE}:run", at=begin) + calls(*names, at=begin + 0.5)


def test_a_file_is_on_the_walk_when_every_cycle_has_it() -> None:
    found = walk.follow(
        [
            *cycle(2, "agent/b.py:f", "agent/b.py:f", "agent/a.py:g", "agent/once.py:h", "lab/link.py:f"),
            *cycle(5, "agent/a.py:g", "agent/b.py:f"),
            *cycle(8, "agent/b.py:f", "agent/a.py:g", "peer/reflector.py:f"),
        ],
        [SECOND, 3 * SECOND, 6 * SECOND, 9 * SECOND],
    )
    expected = {PROBE: ["run"], "agent/b.py": ["f"], "agent/a.py": ["g"]}
    assert found == Walk(expected, expected)


def test_the_wider_walk_needs_no_record_and_has_nothing_that_runs_between() -> None:
    serving = [
        call
        for begin in (2, 5, 8)
        for call in calls("agent/lock.py:f", "host/clock.py:read", at=begin + 0.1, has_record=False)
    ]
    found = walk.follow(
        [*cycle(2), *cycle(5), *cycle(8), *serving, *calls("host/clock.py:read", at=4, has_record=False)],
        [SECOND, 3 * SECOND, 6 * SECOND, 9 * SECOND],
    )
    assert found == Walk({PROBE: ["run"]}, {PROBE: ["run"], "agent/lock.py": ["f"]})


def test_a_measurement_that_overlaps_another_takes_no_part() -> None:
    ends = [SECOND, 3 * SECOND, 6 * SECOND, 9 * SECOND]
    overlapping = [*cycle(2), *cycle(5), *calls(f"{PROBE}:run", at=6.2), *cycle(8)]
    with pytest.raises(WalkError, match="2 of 3 measurements had the line alone"):
        walk.follow(overlapping, ends)
    assert walk.follow([*overlapping, *cycle(11)], [*ends, 12 * SECOND]).files == {PROBE: ["run"]}


def test_the_profiler_knows_the_record(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = os.environ | {
        "PYTHONPATH": str(TRACER),
        "WALK_ROOT": str(tmp_path),
        "WALK_FOLDER": str(tmp_path),
    }
    subprocess.run([sys.executable, program], env=environment, check=True)
    (file,) = tmp_path.glob("*.json")
    record = json.loads(file.read_text())
    names = [name for _, name in record["functions"]]
    in_hand: dict[str, list[int]] = {}
    for _, number, has_record in record["calls"]:
        in_hand.setdefault(names[number], []).append(has_record)
    # Each call is followed by its return, here of None or of what was given.
    assert in_hand["takes"] == [1, 0] * 3
    assert in_hand["gives"] == [0, 1]
    assert in_hand["other"] == [0, 0] * 3 + [0, 0] + [1, 1] * 2 + [1, 1] * 2
    assert in_hand["State.look"] == [0, 0]


def test_the_relay_holds_back_answers() -> None:
    front = free_port()
    with (
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as target,
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender,
    ):
        target.bind(("127.0.0.1", 0))
        target.settimeout(10)
        sender.settimeout(10)
        with relaying(front, target.getsockname()[1], 0.2):
            sender.sendto(b"question", ("127.0.0.1", front))
            data, relay = target.recvfrom(100)
            target.sendto(b"answer to " + data, relay)
            sender.setblocking(False)
            with pytest.raises(BlockingIOError):
                sender.recv(100)
            sender.settimeout(10)
            assert sender.recv(100) == b"answer to question"
