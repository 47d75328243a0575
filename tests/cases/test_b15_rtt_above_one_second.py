"""Case B15: a round trip of more than a second, as over a queueing satellite, gets a verdict."""

import pytest

from tests.agent.probes.floor import lines
from tests.wire.udpstp.simulation import Way
from wire.records import Direction, Verdict

BOTH = pytest.mark.parametrize("direction", list(Direction))


@BOTH
@pytest.mark.parametrize("one_way_ms", [300, 350, 400, 420, 440, 450, 460, 480, 490, 500, 520, 600])
def test_b15_a_good_line_passes(direction: Direction, one_way_ms: int) -> None:
    verdict, tests = lines.verdict(
        direction, lambda _: Way(delay_ms=one_way_ms, rate=20e6, queue_ms=300), back_ms=one_way_ms
    )
    assert verdict is Verdict.PASS, [test.finding for test in tests]


@BOTH
def test_b15_a_bad_line_fails(direction: Direction) -> None:
    verdict, tests = lines.verdict(
        direction, lambda _: Way(delay_ms=520, rate=7.6e6, queue_ms=300), back_ms=520
    )
    assert verdict is Verdict.FAIL, [test.finding for test in tests]
