"""Judgement of round-trip times, and one short real run."""

import pytest

from lab.bench.accuracy.cases import rtt
from lab.bench.accuracy.tools import truth
from lab.bench.accuracy.tools.busy import busy
from lab.bench.accuracy.tools.round_trip_tools import ToolTestbed, irtt_round_trips, ping_round_trips
from lab.netns.settings import KernelLineSettings, KernelLinkSettings
from tests.servers import require

MS = 10**6
PING = """\
PING 10.90.2.2 (10.90.2.2) 56(84) bytes of data.
64 bytes from 10.90.2.2: icmp_seq=1 ttl=62 time=11.3 ms
64 bytes from 10.90.2.2: icmp_seq=3 ttl=62 time=0.071 ms

rtt min/avg/max/mdev = 10.419/10.643/11.253/0.352 ms, pipe 4
"""
IRTT = """{"round_trips": [
  {"seqno": 0, "lost": "false", "delay": {"receive": 1, "rtt": 10454416, "send": 2}},
  {"seqno": 1, "lost": "true", "delay": {}}]}"""


def case(errors_us: dict[str, list[int]], processes: int = 0) -> rtt.RoundTripCase:
    made = rtt.RoundTripCase(20, processes)
    for tool, errors in errors_us.items():
        made.runs[tool].append([(40 * MS, 40 * MS + error * 1000) for error in errors])
    return made


def test_the_output_of_other_tools_is_read() -> None:
    assert ping_round_trips(PING) == {1: 11_300_000, 3: 71_000}
    assert irtt_round_trips(IRTT) == {0: 10_454_416}


def test_absolute_errors_of_each_packet_are_judged() -> None:
    good = case({"Plancher": [*[-30] * 98, 100, 240], "ping": [60] * 100, "irtt": [900] * 100})
    result = rtt.judge([good])
    p50, p99 = result.tables[0].rows
    assert (p50.ours, p50.others, p50.ratio) == (30.0, {"ping": 60.0, "irtt": 900.0}, 0.5)
    assert (p99.ours, p99.truth) == (100.0, "40.000")
    assert [bar.met for bar in result.bars] == [True, True, True]
    [line] = result.headlines
    assert (line.ours, line.others) == ("30 / 100", "ping 60 / 60, irtt 900 / 900")


@pytest.mark.parametrize(
    ("ours", "missed"), [([51] * 100, [0]), ([*[1] * 98, 251, 251], [1]), ([], [0, 1, 2])]
)
def test_an_error_beyond_the_budget_misses_its_bar(ours: list[int], missed: list[int]) -> None:
    fine = {"ping": [1] * 100, "irtt": [1] * 100}
    result = rtt.judge([case({"Plancher": [1] * 100, **fine}), case({"Plancher": ours, **fine}, 2)])
    assert [place for place, bar in enumerate(result.bars) if not bar.met] == missed


def test_a_percentile_is_compared_with_that_of_the_same_packets() -> None:
    one = rtt.RoundTripCase(5, 0)
    one.runs["ping"].append([(10_000, 12_000), (20_000, 21_000), (30_000, 50_000)])
    assert one.figure_errors_us("ping", 50) == [1.0]
    assert one.figure_errors_us("ping", 99) == [20.0]


@pytest.mark.usefixtures("kernel")
def test_packets_of_every_tool_are_found_in_the_log_of_a_real_link() -> None:
    for program in ("ping", "irtt"):
        require(program)
    line = KernelLineSettings(delay=5 * MS)
    with ToolTestbed(KernelLinkSettings(line, line, logged=True)) as testbed, busy(1):
        for tool, key in rtt.TOOLS.values():
            testbed.link.forget_log()
            told = tool(testbed, 20, 0.005)
            true = truth.round_trips(testbed.link, key)
            closing = {20} if tool is ToolTestbed.stamp else set()  # a train is closed by one packet more
            assert told.keys() == true.keys() - closing
            # irtt sends for a time, not a number: fewer where the machine stalls.
            assert 10 <= len(told) <= 20
            assert min(true.values()) >= 10 * MS
            # A tool's round trip includes the link; ping rounds down to 0.1 ms.
            assert all(told[number] > true[number] - MS / 10 for number in told)
