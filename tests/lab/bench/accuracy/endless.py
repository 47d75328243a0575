"""Part that never ends by itself, and prints a line when it is asked to end."""

import signal

from lab.bench.accuracy.result import BenchEffort, PartResult, Tell


def measure(effort: BenchEffort, tell: Tell) -> PartResult:
    try:
        signal.pause()
    finally:
        tell("removed its links")
    return PartResult()
