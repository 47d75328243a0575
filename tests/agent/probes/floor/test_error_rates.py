"""Figures of ``make simulate-lines``: bounds, and wrong verdicts that can be seen again."""

import pytest

from tests.agent.probes.floor import error_rates
from wire.records import Direction


@pytest.mark.parametrize(
    ("events", "runs", "bound"),
    # By the rule of three about 3 / runs; the others from tables of Clopper and Pearson.
    [
        (0, 20, 0.1391),
        (0, 3000, 0.000998),
        (1, 20, 0.2161),
        (2, 100, 0.0616),
        (4, 4, 1.0),
        (5000, 10_000, 0.5083),
    ],
)
def test_the_upper_bound_is_that_of_clopper_and_pearson(events: int, runs: int, bound: float) -> None:
    assert error_rates.upper_bound(events, runs) == pytest.approx(bound, rel=0.002)


def test_a_wrong_verdict_is_named_by_its_run_and_the_findings_of_its_tests() -> None:
    slow = next(shape for shape in error_rates.shapes() if shape.name == "still")
    mistaken = slow._replace(mean_bps=2 * slow.mean_bps)  # called good, though the line stays slow
    rates = error_rates.measured(mistaken, Direction.DOWN, 1, "1")
    assert (rates.failed, rates.undetermined, rates.tests) == (1, 0, 1)
    assert len(rates.misjudged) == 1
    assert rates.misjudged[0].startswith("run 0: ")
