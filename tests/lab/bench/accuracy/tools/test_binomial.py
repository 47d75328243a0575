"""Binomial intervals."""

import pytest

from lab.bench.accuracy.tools.binomial import interval


@pytest.mark.parametrize(
    ("n", "probability", "expected"),
    [
        # R: qbinom(c(0.005, 0.995), n, p)
        (100, 0.5, (37, 63)),
        (10, 0.5, (1, 9)),
        (5000, 0.0, (0, 0)),
        (7, 1.0, (7, 7)),
    ],
)
def test_the_interval_is_that_of_the_binomial_distribution(
    n: int, probability: float, expected: tuple[int, int]
) -> None:
    assert interval(n, probability) == expected
