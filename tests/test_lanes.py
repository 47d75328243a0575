"""Lanes of test files, and the guard of the core lane."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.lanes import GUARD, LANES, TESTS, ReachedOutsideError, lane_of, places_of


@pytest.mark.parametrize(("file", "lane"), [
    ("wire/stamp/test_packet.py", "core"), ("wire/a_new_room/test_anything.py", "core"),
    ("agent/probes/floor/rules/test_decision.py", "core"), ("agent/clock/test_rules.py", "core"),
    ("agent/clock/test_watch.py", "programs"), ("agent/rules_of_thumb/test_a.py", "programs"),
    ("net/test_liveness.py", "core"), ("net/test_mqtt.py", "programs"),
    ("collector/model/test_outages.py", "core"), ("collector/ledger/test_values.py", "programs"),
    ("test_readme.py", "guides"),
])  # fmt: skip
def test_a_file_is_in_the_lane_of_what_it_is_about(file: str, lane: str) -> None:
    assert lane_of(TESTS / file) == lane


def test_every_file_is_run_in_one_lane() -> None:
    files = [path for lane in LANES for path in places_of(lane) if path.name.startswith("test_")]
    assert sorted(files) == sorted(TESTS.rglob("test_*.py"))


@pytest.mark.parametrize("reach", [
    lambda: socket.socket().close(),
    lambda: [end.close() for end in socket.socketpair()],
    lambda: subprocess.run([sys.executable, "-c", ""]),
    lambda: os.system("true"),
])  # fmt: skip
def test_what_reaches_outside_fails_a_test_of_the_core_lane(reach: Callable[[], object]) -> None:
    with pytest.raises(ReachedOutsideError, match=r"test_lanes\.py"), GUARD.watching():
        reach()
    with GUARD.watching():
        pass
    reach()
