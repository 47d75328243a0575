"""The figures of a search as a person reads them."""

import pytest

from agent.probes.capacity.figures import figures
from wire.records import Algorithm, Bound, CapacityValues, LineCounters


def values(bound: Bound | None) -> CapacityValues:
    return CapacityValues(
        maximum_bps=94.26e6,
        maximum_at_us=3_040_000,
        maximum_loss_ratio=0.02,
        interval_us=1_000_000,
        received_bps=90e6,
        sent_bps=91e6,
        loss_ratio=0.012,
        algorithm=Algorithm.B,
        line_counters=LineCounters.NONE,
        intervals=(),
        bound=bound,
    )


def test_a_maximum_of_the_line_is_told_as_such() -> None:
    assert figures(values(None)) == "94.26 Mbit/s at 3.0 s, loss 1.2 %"


@pytest.mark.parametrize(("bound", "words"), [
    (Bound.REQUESTED_RATE, "the rate asked for"), (Bound.PEER, "the peer's highest rate"),
    (Bound.SENDER, "its sender"), (Bound.TIME, "its time"), (Bound.BUDGET, "the byte budget"),
])  # fmt: skip
def test_a_lower_bound_says_what_the_limit_was(bound: Bound, words: str) -> None:
    told = figures(values(bound))
    assert told == f"at least 94.26 Mbit/s at 3.0 s, loss 1.2 %, limited by {words}"
