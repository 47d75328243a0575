"""Part of the benchmark, as listed in ``parts``."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.bench.accuracy.result import BenchEffort, PartResult, Tell

FULL_FACTOR = 6
PATIENCE_FACTOR = 3


@dataclass(frozen=True, slots=True)
class Part:
    """Question of a part, and the module that answers it.

    ``module`` has the function ``measure`` and is imported only in the part's own process. ``minutes``:
    length of a short run on two cores. ``programs``: other programs that it runs, with their Debian packages.
    ``alone``: it measures times or load, and nothing may run beside it.
    """

    name: str
    question: str
    module: str
    minutes: float
    programs: "dict[str, str]"
    alone: bool = True

    def deadline_s(self, effort: BenchEffort) -> float:
        """Return the seconds after which the part counts as stuck."""
        return 60 * self.minutes * PATIENCE_FACTOR * (FULL_FACTOR if effort.full else 1)


# Type of a part's ``measure``. An exception misses the part's bar, with the error as text.
Measure = Callable[[BenchEffort, Tell], PartResult]
