"""What the floor benchmark counts as a missed bar, by value."""

from agent.task.task import Reading
from lab.bench.floor import CASES, Tally
from wire.records import Direction, Finding, FloorTest, FloorValues, LineCounters, Outcome, Verdict

BY_LABEL = {case.label: case for case in CASES}


def reading(verdict: Verdict, megabytes: float = 2.0) -> Reading:
    test = FloorTest(
        session="1-2", planned_bps=8e6, finding=Finding.CLEAR, sent_bps=8e6, received_bps=8e6,
        duration_us=2_000_000, sent_packets=2000, received_packets=2000, loss_ratio=0.0, slope=0.0,
        queue_growth_us=0,
    )  # fmt: skip
    values = FloorValues(
        verdict=verdict, floor_bps=8e6, line_counters=LineCounters.INLINE, tests=(test,), at_least_bps=8e6
    )
    return Reading(Outcome.OK, values, bytes_sent=int(megabytes * 1e6))


def faults(label: str, *verdicts: Verdict, megabytes: float = 2.0) -> list[str]:
    tally = Tally(BY_LABEL[label], Direction.DOWN, [reading(verdict, megabytes) for verdict in verdicts])
    return tally.faults()


def test_every_line_of_the_issue_is_there() -> None:
    assert list(BY_LABEL) == [
        "7.6 Mbit/s", "7.8 Mbit/s", "8.2 Mbit/s", "8.4 Mbit/s", "20 Mbit/s",
        "20 Mbit/s, 1 % loss", "20 Mbit/s, 3 % loss", "20 Mbit/s, 5 % loss",
    ]  # fmt: skip


def test_right_verdicts_miss_nothing() -> None:
    assert faults("7.6 Mbit/s", Verdict.FAIL, Verdict.FAIL) == []
    assert faults("8.2 Mbit/s", Verdict.PASS, Verdict.UNDETERMINED) == []


def test_a_wrong_verdict_is_a_missed_bar() -> None:
    assert faults("7.8 Mbit/s", Verdict.PASS) == ["7.8 Mbit/s down: 1 wrong verdicts"]
    assert faults("20 Mbit/s, 5 % loss", *[Verdict.PASS] * 19, Verdict.FAIL) == [
        "20 Mbit/s, 5 % loss down: 1 wrong verdicts"
    ]


def test_indecision_is_allowed_only_near_the_floor() -> None:
    grey = [Verdict.UNDETERMINED, Verdict.INVALID]
    assert faults("7.8 Mbit/s", *grey) == []
    assert faults("8.4 Mbit/s", *grey) == ["8.4 Mbit/s down: only 0 of 2 decisive"]


def test_a_dear_first_test_is_a_missed_bar() -> None:
    assert faults("20 Mbit/s", Verdict.PASS, megabytes=2.3) == ["20 Mbit/s down: a first test of 2.30 MB"]


def test_a_stand_that_did_not_come_up_is_a_missed_bar() -> None:
    assert Tally(BY_LABEL["20 Mbit/s"], Direction.UP, problem="peer ended").faults() == [
        "20 Mbit/s up: peer ended"
    ]
