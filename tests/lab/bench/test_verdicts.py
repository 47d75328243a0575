"""Counts of verdicts."""

from agent.task.task import Reading
from lab.bench.verdicts import Verdicts, spent
from tests.lab.bench.accuracy.readings import reading
from wire.records import Failure, Outcome, Verdict

BAD_LINE = frozenset({Verdict.PASS})


def test_every_reading_is_counted_once_by_its_verdict() -> None:
    seen = Verdicts(BAD_LINE, [
        reading(Verdict.FAIL, capacity=7.6e6), reading(Verdict.FAIL, capacity=7.7e6), reading(Verdict.PASS),
        reading(Verdict.UNDETERMINED), reading(Verdict.UNCONFIRMED), reading(Verdict.INVALID),
        Reading(Outcome.FAILED, failure=Failure.NO_ANSWER),
    ])  # fmt: skip
    assert (seen.right, seen.wrong, seen.undecided, seen.invalid, seen.failed) == (2, 1, 2, 1, 1)
    assert seen.decisive == 3
    assert seen.invalid_tests == 1
    assert seen.capacities_bps() == [7.6e6, 7.7e6]
    assert seen.at_least_bps() == 8e6


def test_the_first_test_is_the_most_costly_of_single_tests() -> None:
    cheap, costly = reading(Verdict.FAIL), reading(Verdict.FAIL, megabytes=2.1)
    assert Verdicts(BAD_LINE, [cheap, costly]).first_test_bytes == spent(costly) == 2_100_000
