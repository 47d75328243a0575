"""Amount of work of an attack, and the account of those beside it."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AttackEffort:
    """Seed and length of an attack. ``short``: the form that runs with all other tests."""

    seed: int
    short: bool = False

    def seconds(self, whole: float) -> float:
        """Length of an attack that lasts ``whole`` seconds in its long form."""
        return whole / 10 if self.short else whole


@dataclass(slots=True)
class GoodSites:
    """Results of what good sites asked for during an attack: ``results`` by name, times to an answer."""

    results: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def note(self, result: str, seconds: float = math.nan) -> None:
        """Note one result, and how long it took."""
        self.results[result] += 1
        self.seconds.append(seconds)

    def served(self, good: str) -> tuple[int, int]:
        """Number of results of this name, and of all."""
        return self.results[good], self.results.total()


def held(tell: Tell, claims: Sequence[tuple[str, bool]]) -> bool:
    """Report each claim that does not hold; True if all hold."""
    for text, holds in claims:
        tell(f"{'ok' if holds else 'BROKEN'}: {text}")
    return all(holds for _, holds in claims)
