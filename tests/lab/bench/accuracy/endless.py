"""A part that never ends by itself, and leaves a sign when it is asked to end."""

import signal

from lab.bench.accuracy.result import Effort, Result, Tell


def measure(effort: Effort, tell: Tell) -> Result:
    try:
        signal.pause()
    finally:
        tell("removed its links")
    return Result()
