"""Failures of load tools, each a problem of one row."""

import json
import os
import subprocess
import sys

import pytest

from lab.bench import load_tools
from lab.bench.load_tools import LoadLine, LoadToolError
from wire.records import Direction


def nothing(*_: str) -> tuple[str, ...]:
    return (sys.executable, "-c", "")


PLACE = LoadLine("nowhere", nothing, nothing, "127.0.0.1", 1, 2)


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (b"", "iperf3: b''"),
        (b"warning: something\n{}", "iperf3: "),
        (json.dumps({"error": "unable to connect"}).encode(), "iperf3: unable to connect"),
        (
            json.dumps({"end": {"sum_sent": {}, "sum_received": {"bytes": 0}}}).encode(),
            "iperf3 received nothing",
        ),
    ],
)
def test_a_report_of_iperf3_without_figures_is_a_failure(report: bytes, message: str) -> None:
    with pytest.raises(LoadToolError, match=message):
        load_tools._iperf_cost(report, 1.0, 1.0, udp=True)


def test_a_client_that_does_not_end_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(command: object, **_: object) -> None:
        raise subprocess.TimeoutExpired("client", 21.0)

    monkeypatch.setattr(subprocess, "run", never)
    me = os.getpid()
    with pytest.raises(LoadToolError, match="our client did not end within 21 s"):
        load_tools.ours(PLACE, me, "secret", Direction.DOWN, 8e6, 1)


def test_a_server_that_ends_before_it_listens_is_a_failure() -> None:
    with pytest.raises(LoadToolError, match="ended before it listened"):
        load_tools.iperf(PLACE, Direction.UP, 8e6, 1, udp=True)
