"""Binomial intervals for counts of independent packets."""

import math


def interval(n: int, probability: float, confidence: float = 0.99) -> tuple[int, int]:
    """Return the least and greatest count of the central interval of this confidence."""
    if probability <= 0 or probability >= 1:
        certain = n if probability >= 1 else 0
        return certain, certain
    outside = (1 - confidence) / 2
    return _first_beyond(n, probability, outside), n - _first_beyond(n, 1 - probability, outside)


def _first_beyond(n: int, probability: float, outside: float) -> int:
    """Return the smallest count whose cumulated probability exceeds ``outside``."""
    cumulated = 0.0
    for count in range(n + 1):
        cumulated += math.exp(_log_mass(n, probability, count))
        if cumulated > outside:
            return count
    return n


def _log_mass(n: int, probability: float, count: int) -> float:
    chosen = math.lgamma(n + 1) - math.lgamma(count + 1) - math.lgamma(n - count + 1)
    return chosen + count * math.log(probability) + (n - count) * math.log1p(-probability)
