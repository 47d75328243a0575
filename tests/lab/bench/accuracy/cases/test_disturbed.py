"""Judgement of verdicts while processes are stopped, and one real stop."""

import pytest

from lab.bench.accuracy.cases import disturbed
from lab.bench.accuracy.cases.disturbed import BusyMachineCase, MachineDisturbance
from lab.netns.names import LinkNode
from lab.testbed.line_testbed import LineTestbed, shaped
from tests.lab.bench.accuracy.readings import reading
from tests.servers import require
from wire.records import Direction, Verdict

DOWN, UP = Direction.DOWN, Direction.UP


def case(
    disturbance: MachineDisturbance, direction: Direction, *verdicts: Verdict, stops: int = 0
) -> BusyMachineCase:
    made = BusyMachineCase(disturbance, direction, 8.4, stops=stops)
    made.verdicts.readings += [reading(verdict) for verdict in verdicts]
    return made


def missed(*cases: BusyMachineCase) -> list[str]:
    return [bar.text for bar in disturbed.judge(cases).bars if not bar.met]


def test_only_tests_of_a_stopped_sender_have_to_be_invalid() -> None:
    sender = case(MachineDisturbance.PEER, DOWN, Verdict.INVALID, stops=1)
    receiver = case(MachineDisturbance.AGENT, DOWN, Verdict.PASS, stops=1)
    assert missed(sender, receiver) == []
    assert disturbed.judge([sender, receiver]).headlines[0].ours == "0 of 2, 1 invalid"


@pytest.mark.parametrize(
    ("verdict", "stops"), [(Verdict.PASS, 1), (Verdict.INVALID, 0), (Verdict.INVALID, 2)]
)
def test_a_valid_test_of_a_stopped_sender_misses_its_bar(verdict: Verdict, stops: int) -> None:
    [text] = missed(case(MachineDisturbance.AGENT, UP, verdict, stops=stops))
    assert text.startswith("every test whose sender was stopped is invalid; not 8.4 Mbit/s up, agent")


def test_a_wrong_verdict_misses_its_bar() -> None:
    sender = case(MachineDisturbance.PEER, DOWN, Verdict.INVALID, stops=1)
    assert missed(sender, case(MachineDisturbance.BUSY, UP, Verdict.FAIL)) == [
        "never a wrong verdict, of 2; not 8.4 Mbit/s up, 6 busy processes"
    ]


@pytest.mark.usefixtures("kernel")
def test_the_sender_is_stopped_in_the_middle_of_a_real_test() -> None:
    require("iperf3")
    one = BusyMachineCase(MachineDisturbance.PEER, DOWN, 20)
    with LineTestbed(shaped(20)) as testbed:
        assert testbed.processes(LinkNode.FAR)
        with disturbed._stopping(one, testbed):
            found = testbed.verdict(DOWN)
    assert one.stops >= 1
    one.verdicts.readings.append(found)
    assert one.verdicts.invalid_tests >= 1
    assert one.verdicts.wrong == 0
