"""Case B05a: a line of 100 Mbit/s whose path becomes longer once, at a moment of the load."""

import pytest

from tests.agent.probes.floor import lines
from tests.agent.probes.floor.lines import ChangingWay
from tests.wire.udpstp.simulation import S
from wire.records import Direction, Verdict

MOMENTS_S = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 1.9)


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("add_ms", [15, 25, 35, 42, 50, 60, 80, 120])
def test_b05a_never_fails(direction: Direction, add_ms: int) -> None:
    for at_s in MOMENTS_S:

        def make(number: int, at: float = at_s * S) -> ChangingWay:
            return ChangingWay(
                delay_ms=20,
                rate=100e6,
                queue_ms=100,
                extra=lambda now: add_ms if number == 0 and now > at else 0,
            )

        verdict, tests = lines.verdict(direction, make)
        assert verdict in (Verdict.PASS, Verdict.UNDETERMINED), (at_s, [test.finding for test in tests])
