"""Verdicts while processes are stopped: the counting by value, one real stop."""

import threading
import time

import pytest

from lab.bench.accuracy.cases import disturbed
from lab.bench.accuracy.cases.disturbed import Case, Disturbance
from lab.netns.names import End
from lab.testbed.line_testbed import LineStand, shaped
from tests.lab.bench.accuracy.readings import reading
from tests.servers import require
from wire.records import Direction, Verdict

DOWN, UP = Direction.DOWN, Direction.UP


def case(disturbance: Disturbance, direction: Direction, *verdicts: Verdict, stops: int = 0) -> Case:
    made = Case(disturbance, direction, 8.4, stops=stops)
    made.verdicts.readings += [reading(verdict) for verdict in verdicts]
    return made


def missed(*cases: Case) -> list[str]:
    return [bar.text for bar in disturbed.judge(cases).bars if not bar.met]


def test_a_stopped_sender_is_thrown_away_a_stopped_receiver_may_be_judged() -> None:
    sender = case(Disturbance.PEER, DOWN, Verdict.INVALID, stops=1)
    receiver = case(Disturbance.AGENT, DOWN, Verdict.PASS, stops=1)
    assert missed(sender, receiver) == []
    assert disturbed.judge([sender, receiver]).headlines[0].ours == "0 of 2, 1 thrown away"


@pytest.mark.parametrize(
    ("verdict", "stops"), [(Verdict.PASS, 1), (Verdict.INVALID, 0), (Verdict.INVALID, 2)]
)
def test_a_stop_of_the_sender_that_left_no_trace_misses_its_bar(verdict: Verdict, stops: int) -> None:
    [text] = missed(case(Disturbance.AGENT, UP, verdict, stops=stops))
    assert text.startswith("every test whose sender was stopped is thrown away; not 8.4 Mbit/s up, agent")


def test_a_wrong_verdict_misses_its_bar() -> None:
    sender = case(Disturbance.PEER, DOWN, Verdict.INVALID, stops=1)
    assert missed(sender, case(Disturbance.BUSY, UP, Verdict.FAIL)) == [
        "never a wrong verdict, of 2; not 8.4 Mbit/s up, 6 busy processes"
    ]


@pytest.mark.usefixtures("kernel")
def test_the_sender_is_stopped_in_the_middle_of_a_real_test() -> None:
    require("iperf3")
    one = Case(Disturbance.PEER, DOWN, 20)
    with LineStand(shaped(20)) as stand:
        assert stand.processes(End.FAR)
        with disturbed._stopping(one, stand):
            found = stand.verdict(DOWN)
    assert one.stops >= 1
    one.verdicts.readings.append(found)
    assert one.verdicts.thrown_away >= 1
    assert one.verdicts.wrong == 0


@pytest.mark.usefixtures("kernel")
def test_nothing_is_stopped_on_an_idle_line() -> None:
    require("iperf3")
    one, ended = Case(Disturbance.PEER, DOWN, 20), threading.Event()
    with LineStand(shaped(20)) as stand:
        looking = threading.Thread(target=disturbed._stop_in_each_load, args=(one, stand, End.FAR, ended))
        looking.start()
        time.sleep(1)  # there is nothing to ask for: nothing is to happen
        ended.set()
        looking.join()
    assert one.stops == 0
