"""Part that fails."""

from lab.bench.accuracy.result import BenchEffort, PartResult, Tell


def measure(effort: BenchEffort, tell: Tell) -> PartResult:
    tell("about to fail")
    raise ZeroDivisionError("no link today")
