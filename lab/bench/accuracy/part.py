"""One part of the benchmark, as it is entered in ``parts``."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.bench.accuracy.result import Effort, Result, Tell

FULL_FACTOR = 6
PATIENCE_FACTOR = 3


@dataclass(frozen=True, slots=True)
class Part:
    """What a part asks, and how it is answered.

    ``module`` has the function ``measure``; it is imported only in the part's own process. ``minutes``: what
    a short run takes on two cores. ``programs``: what it runs beside ours, program -> Debian package.
    ``alone``: it measures time or load, so nothing may run beside it.
    """

    name: str
    question: str
    module: str
    minutes: float
    programs: "dict[str, str]"
    alone: bool = True

    def deadline_s(self, effort: Effort) -> float:
        """After how long the part counts as stuck."""
        return 60 * self.minutes * PATIENCE_FACTOR * (FULL_FACTOR if effort.full else 1)


Measure = Callable[[Effort, Tell], Result]
"""The type of a part's ``measure``. Raises what it likes: its bar is then missed, with the error as text."""
