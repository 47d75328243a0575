"""A part that fails in mid-run."""

from lab.bench.accuracy.result import Effort, Result, Tell


def measure(effort: Effort, tell: Tell) -> Result:
    tell("about to fail")
    raise ZeroDivisionError("no link today")
