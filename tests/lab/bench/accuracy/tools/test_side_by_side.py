"""Cases measured beside each other."""

import threading
from dataclasses import dataclass, field

import pytest

from lab.bench.accuracy.tools.side_by_side import Turns, all_measured, measure_each, teller
from lab.testbed.line_testbed import IperfError


@dataclass(slots=True)
class Line:
    label: str
    problem: str = ""
    turns: list[int] = field(default_factory=list)


def test_cases_are_measured_at_once_and_each_is_reported() -> None:
    lines = [Line("one"), Line("two")]
    together = threading.Barrier(2, timeout=10)
    said: list[str] = []

    def measure(line: Line, turns: Turns) -> None:
        together.wait()
        line.turns += turns(3)

    measure_each(lines, 2, measure, teller(said.append, lambda line: f"{len(line.turns)} turns"))
    assert sorted(said) == ["one: 3 turns", "two: 3 turns"]
    assert all_measured(lines).met


def test_a_failing_tool_is_a_problem_of_its_case_alone() -> None:
    lines, said = [Line("bad"), Line("good")], list[str]()

    def measure(line: Line, turns: Turns) -> None:
        if line.label == "bad":
            raise IperfError("iperf3 ended early")
        line.turns += turns(1)

    measure_each(lines, 1, measure, teller(said.append, lambda line: "done"))
    assert said == ["bad: iperf3 ended early", "good: done"]
    bar = all_measured(lines)
    assert (bar.met, bar.text) == (False, "every line was measured; bad: iperf3 ended early")


def test_any_other_exception_ends_all_cases() -> None:
    begun = threading.Event()
    patient, broken = Line("patient"), Line("broken")

    def measure(line: Line, turns: Turns) -> None:
        if line is broken:
            begun.wait(10)
            raise ZeroDivisionError
        for turn in turns(10**9):
            line.turns[:] = [turn]
            begun.set()

    with pytest.raises(ZeroDivisionError):
        measure_each([broken, patient], 2, measure, lambda line: None)
    assert patient.turns[0] < 10**9 - 1
