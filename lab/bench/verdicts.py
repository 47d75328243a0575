"""Verdicts of the floor probe on a line of known truth: how many were right, wrong or undecided."""

from dataclasses import dataclass, field
from statistics import median

from agent.task.task import Reading
from wire.records import Finding, FloorValues, Outcome, Verdict


@dataclass(slots=True)
class Verdicts:
    """Readings of one line and direction. ``contradicted``: the verdicts that would be wrong there."""

    contradicted: frozenset[Verdict]
    readings: list[Reading] = field(default_factory=list)

    def values(self) -> list[FloorValues]:
        """Of the readings that have some."""
        return [one.values for one in self.readings if isinstance(one.values, FloorValues)]

    def count(self, *wanted: Verdict) -> int:
        """How many readings ended in one of the verdicts."""
        return sum(values.verdict in wanted for values in self.values())

    @property
    def wrong(self) -> int:
        """Verdicts that the truth contradicts."""
        return self.count(*self.contradicted)

    @property
    def decisive(self) -> int:
        """Verdicts pass or fail."""
        return self.count(Verdict.PASS, Verdict.FAIL)

    @property
    def right(self) -> int:
        """Decisive verdicts that the truth does not contradict."""
        return self.decisive - self.wrong

    @property
    def undecided(self) -> int:
        """Verdicts that leave the question open."""
        return self.count(Verdict.UNDETERMINED, Verdict.GREY, Verdict.UNCONFIRMED)

    @property
    def invalid(self) -> int:
        """Runs of which every test had to be thrown away."""
        return self.count(Verdict.INVALID)

    @property
    def failed(self) -> int:
        """Runs that came to no test at all."""
        return sum(one.outcome is Outcome.FAILED for one in self.readings)

    @property
    def thrown_away(self) -> int:
        """Single tests that were not judged by."""
        return sum(test.finding is Finding.INVALID for values in self.values() for test in values.tests)

    @property
    def first_test_bytes(self) -> int:
        """The dearest verdict that took one test: load, control and feedback, both ways, at the IP layer."""
        return max((spent(one) for one in self.readings if _tests(one) == 1), default=0)

    def capacities_bps(self) -> list[float]:
        """What was told of the line's capacity, where it was."""
        return [values.capacity_bps for values in self.values() if values.capacity_bps]

    def at_least_bps(self) -> float | None:
        """The median of what the line was seen to carry."""
        seen = [values.at_least_bps for values in self.values()]
        return median(seen) if seen else None


def spent(reading: Reading) -> int:
    """Bytes that a reading cost the line, both ways."""
    return reading.bytes_sent + reading.bytes_received


def _tests(reading: Reading) -> int:
    return len(reading.values.tests) if isinstance(reading.values, FloorValues) else 0
