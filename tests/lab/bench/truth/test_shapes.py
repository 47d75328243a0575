"""Shapes of lines for ``bench-truth``: their number, their margins, and what a kernel link makes of them."""

import pytest

from lab.bench.truth.shapes import LEAST_MARGIN, MOST_MARGIN, PACKET_BYTES, LineLevel, shapes
from wire import ip_layer


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    names = [shape.name for shape in shapes()]
    assert len(names) >= 60
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("level", list(LineLevel))
def test_each_delivers_so_much_above_or_below_its_floor(level: LineLevel) -> None:
    for shape in shapes():
        floor_bps = ip_layer.ip_rate(float(shape.floor_bps), shape.layer, PACKET_BYTES)
        rate_bps = shape.rate_bps(level, "1")
        distinct_bps = rate_bps / (1 + shape.more.get("duplication", 0.0))
        margin = distinct_bps / floor_bps - 1
        assert LEAST_MARGIN <= (margin if level is LineLevel.ABOVE else -margin) <= MOST_MARGIN + 0.002, (
            shape.name
        )
        assert shape.line(rate_bps, 1).faults() == (), shape.name
        assert rate_bps == shape.rate_bps(level, "1"), "the same seed gives the same line"
