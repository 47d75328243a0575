"""Case B06a: a rate that swings has one verdict whatever the phase, or none."""

import pytest

from tests.agent.probes.floor import lines
from tests.agent.probes.floor.lines import ChangingWay, Rate
from tests.wire.udpstp.simulation import MS
from wire.records import Direction, Verdict

BOTH = pytest.mark.parametrize("direction", list(Direction))


def swing(low: float, high: float, period_ms: float, duty: float, phase_ms: float) -> Rate:
    return lambda now: low if (now + phase_ms * MS) % (period_ms * MS) < duty * period_ms * MS else high


@BOTH
@pytest.mark.parametrize(
    ("low", "high", "period_ms", "duty"),
    [
        (4e6, 20e6, 200, 0.5),
        (4e6, 20e6, 1000, 0.5),
        (4e6, 20e6, 2000, 0.5),
        (1e6, 30e6, 800, 0.5),
        (2e6, 20e6, 1000, 0.3),
        (6e6, 14e6, 1500, 0.5),
    ],
)
def test_b06a_has_one_verdict_whatever_the_phase(
    direction: Direction, low: float, high: float, period_ms: float, duty: float
) -> None:
    """Every mean is above the floor: the verdict is pass, or undetermined."""
    for phase_ms in (0.0, period_ms * duty * 0.5, period_ms * duty):
        rate_at = swing(low, high, period_ms, duty, phase_ms)
        verdict, tests = lines.verdict(
            direction,
            lambda _, rate_at=rate_at: ChangingWay(delay_ms=30, queue_ms=2000, rate_at=rate_at),  # type: ignore[misc]
        )
        assert verdict in (Verdict.PASS, Verdict.UNDETERMINED), (phase_ms, [one.finding for one in tests])
