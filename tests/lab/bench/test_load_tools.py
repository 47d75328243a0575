"""What the load benchmark makes of tools that fail: a problem of one row, never the end of the benchmark."""

import json
import os
import subprocess
import sys

import pytest

from lab.bench import load_tools
from lab.bench.load_tools import Place, ToolError
from wire.records import Direction


def nothing(*_: str) -> tuple[str, ...]:
    return (sys.executable, "-c", "")


PLACE = Place("nowhere", nothing, nothing, "127.0.0.1", 1, 2)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (b"", "iperf3: b''"),
        (b"warning: something\n{}", "iperf3: "),
        (json.dumps({"error": "unable to connect"}).encode(), "iperf3: unable to connect"),
        (
            json.dumps({"end": {"sum_sent": {}, "sum_received": {"bytes": 0}}}).encode(),
            "iperf3: nothing was received",
        ),
    ],
)
def test_what_iperf3_says_without_having_measured_is_its_failure(told: bytes, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        load_tools._iperf_cost(told, 1.0, 1.0, udp=True)


def test_a_client_that_does_not_end_is_a_failure_of_that_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(command: object, **_: object) -> None:
        raise subprocess.TimeoutExpired("client", 21.0)

    monkeypatch.setattr(subprocess, "run", never)
    me = os.getpid()
    with pytest.raises(ToolError, match="our client did not end within 21 s"):
        load_tools.ours(PLACE, me, "secret", Direction.DOWN, 8e6, 1)


def test_a_server_that_ends_before_it_listens_is_a_failure_of_that_test() -> None:
    with pytest.raises(ToolError, match="ended before it listened"):
        load_tools.iperf(PLACE, Direction.UP, 8e6, 1, udp=True)
