"""Counts of right, wrong and undecided floor verdicts on a line of known rate."""

from dataclasses import dataclass, field
from statistics import median

from agent.task.task import Reading
from wire.records import Finding, FloorValues, Outcome, Verdict


@dataclass(slots=True)
class Verdicts:
    """Readings of one line and direction. ``contradicted``: verdicts that the truth contradicts."""

    contradicted: frozenset[Verdict]
    readings: list[Reading] = field(default_factory=list)

    def values(self) -> list[FloorValues]:
        """Return the values of those readings that have some."""
        return [one.values for one in self.readings if isinstance(one.values, FloorValues)]

    def count(self, *wanted: Verdict) -> int:
        """Count the readings with one of these verdicts."""
        return sum(values.verdict in wanted for values in self.values())

    @property
    def wrong(self) -> int:
        """Number of verdicts that the truth contradicts."""
        return self.count(*self.contradicted)

    @property
    def decisive(self) -> int:
        """Number of verdicts pass or fail."""
        return self.count(Verdict.PASS, Verdict.FAIL)

    @property
    def right(self) -> int:
        """Number of decisive verdicts that the truth does not contradict."""
        return self.decisive - self.wrong

    @property
    def undecided(self) -> int:
        """Number of verdicts that are neither pass nor fail."""
        return self.count(Verdict.UNDETERMINED, Verdict.GREY, Verdict.UNCONFIRMED)

    @property
    def invalid(self) -> int:
        """Number of runs whose tests were all invalid."""
        return self.count(Verdict.INVALID)

    @property
    def failed(self) -> int:
        """Number of runs without any test."""
        return sum(one.outcome is Outcome.FAILED for one in self.readings)

    @property
    def invalid_tests(self) -> int:
        """Number of single tests that were invalid."""
        return sum(test.finding is Finding.INVALID for values in self.values() for test in values.tests)

    @property
    def first_test_bytes(self) -> int:
        """IP-layer bytes of the most costly verdict by one test: load, control and feedback, both
        directions.
        """
        return max((spent(one) for one in self.readings if _tests(one) == 1), default=0)

    def capacities_bps(self) -> list[float]:
        """Return the measured capacities."""
        return [values.capacity_bps for values in self.values() if values.capacity_bps]

    def at_least_bps(self) -> float | None:
        """Return the median of the rates that the line was seen to carry."""
        seen = [values.at_least_bps for values in self.values()]
        return median(seen) if seen else None


def spent(reading: Reading) -> int:
    """Return the bytes of a reading, both directions."""
    return reading.bytes_sent + reading.bytes_received


def _tests(reading: Reading) -> int:
    return len(reading.values.tests) if isinstance(reading.values, FloorValues) else 0
