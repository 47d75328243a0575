"""Bars of the floor benchmark."""

from lab.bench.floor import CASES, FloorTally
from tests.lab.bench.accuracy.readings import reading
from wire.records import Direction, Verdict

BY_LABEL = {case.label: case for case in CASES}


def faults(label: str, *verdicts: Verdict, megabytes: float = 2.0) -> list[str]:
    tally = FloorTally(
        BY_LABEL[label], Direction.DOWN, [reading(verdict, megabytes=megabytes) for verdict in verdicts]
    )
    return tally.faults()


def test_right_verdicts_miss_nothing() -> None:
    assert faults("7.6 Mbit/s", Verdict.FAIL, Verdict.FAIL) == []
    assert faults("8.2 Mbit/s", Verdict.PASS, Verdict.UNDETERMINED) == []


def test_a_wrong_verdict_is_a_missed_bar() -> None:
    assert faults("7.8 Mbit/s", Verdict.PASS) == ["7.8 Mbit/s down: 1 wrong verdicts"]
    assert faults("20 Mbit/s, 5 % loss", *[Verdict.PASS] * 19, Verdict.FAIL) == [
        "20 Mbit/s, 5 % loss down: 1 wrong verdicts"
    ]


def test_undecided_verdicts_are_allowed_only_near_the_floor() -> None:
    grey = [Verdict.UNDETERMINED, Verdict.INVALID]
    assert faults("7.8 Mbit/s", *grey) == []
    assert faults("8.4 Mbit/s", *grey) == ["8.4 Mbit/s down: only 0 of 2 decisive"]


def test_a_costly_first_test_is_a_missed_bar() -> None:
    assert faults("20 Mbit/s", Verdict.PASS, megabytes=2.3) == ["20 Mbit/s down: the first test cost 2.30 MB"]


def test_a_testbed_that_did_not_start_is_a_missed_bar() -> None:
    assert FloorTally(BY_LABEL["20 Mbit/s"], Direction.UP, problem="peer ended").faults() == [
        "20 Mbit/s up: peer ended"
    ]
