"""Failures of load tools, each a problem of one row."""

import json
import sys

import pytest

from lab.bench import load_tools
from lab.bench.load_tools import LoadLine, LoadToolError


def nothing(*_: str) -> tuple[str, ...]:
    return (sys.executable, "-c", "")


PLACE = LoadLine("nowhere", nothing, nothing, "127.0.0.1", 1, 2)


@pytest.mark.parametrize(("report", "message"), [
    (b"", "iperf3: b''"),
    (b"warning: something\n{}", "iperf3: "),
    (json.dumps({"error": "unable to connect"}).encode(), "iperf3: unable to connect"),
    (json.dumps({"end": {"sum_sent": {}, "sum_received": {"bytes": 0}}}).encode(), "iperf3 received nothing"),
])  # fmt: skip
def test_a_report_of_iperf3_without_figures_is_a_failure(report: bytes, message: str) -> None:
    with pytest.raises(LoadToolError, match=message):
        load_tools._iperf_cost(report, 1.0, 1.0, udp=True)
