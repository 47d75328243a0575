"""Judgement of path traces, and a real one."""

from lab.bench.accuracy.cases import path
from lab.bench.accuracy.cases.path import PathCase
from lab.testbed.path_testbed import PathRow

MTU = PathRow("path MTU", "1400", "1400", None, "1400")


def test_traces_that_agree_with_the_truth_meet_the_bar() -> None:
    hop = PathRow("hop 1", "10.91.1.2", "10.91.1.2", "10.91.1.2")
    result = path.judge([PathCase("a chain", [[hop, MTU], [hop, MTU]])])
    assert [bar.met for bar in result.bars] == [True]
    assert [(row.truth, row.ours, row.others) for row in result.tables[0].rows] == [
        ("10.91.1.2", "10.91.1.2", {"traceroute": "10.91.1.2"}),
        ("1400", "1400", {"tracepath": "1400"}),
    ]
    [line] = result.headlines
    assert (line.ours, line.others) == ("2 of 2", "traceroute 2 of 4 figures, tracepath 2 of 4 figures")


def test_one_wrong_trace_of_two_misses_the_bar() -> None:
    wrong = PathRow("path MTU", "1400", "1500")
    result = path.judge([PathCase("a chain", [[MTU], [wrong]])])
    assert [bar.text for bar in result.bars if not bar.met] == [
        "a chain: everything found; wrong: path MTU"
    ]  # fmt: skip
    assert result.tables[0].rows[0].ours == "1400 (1 of 2), 1500 (1 of 2)"
