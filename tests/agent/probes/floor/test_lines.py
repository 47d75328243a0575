"""Floor verdicts on lines whose path or rate changes: never wrong, whatever the phase."""

import random
from collections.abc import Callable

import pytest

from tests.agent.probes.floor import lines
from tests.agent.probes.floor.lines import ChangingWay, Delay
from tests.wire.udpstp.simulation import S
from wire.records import Direction, Finding, Verdict

BOTH = pytest.mark.parametrize("direction", list(Direction))
RATES = (7_800_000, 8_200_000, 100_000_000)
SEEDS = range(1)


@BOTH
@pytest.mark.parametrize(
    "path",
    [
        lines.still,
        lines.step(50),
        lines.step(-50),
        lines.sine(30, 1),
        lines.sine(30, 4),
        lines.bursts(60, 500, 250),
        lines.jitter(30),
    ],
    ids=["still", "longer", "shorter", "fast sine", "slow sine", "bursts", "jitter"],
)
def test_a_path_whose_delay_changes_decides_nothing(
    direction: Direction, path: Callable[[random.Random], Delay]
) -> None:
    """Growth of delay is a queue only if it drains after the load."""
    decisive = 0
    for rate in RATES:
        right = Verdict.PASS if rate > lines.FLOOR else Verdict.FAIL
        for seed in SEEDS:
            randomness = random.Random(seed)
            verdict, tests = lines.verdict(
                direction,
                lambda _, rate=rate, drawn=randomness: ChangingWay(  # type: ignore[misc]
                    delay_ms=20, rate=rate, queue_ms=1000, extra=path(drawn)
                ),
            )
            assert verdict in (right, Verdict.UNDETERMINED), (rate, seed, [test.finding for test in tests])
            decisive += verdict is right
    assert decisive >= len(RATES) * len(SEEDS) - 1


@BOTH
@pytest.mark.parametrize("queue_ms", [20, 500])
def test_a_line_that_is_much_too_slow_fails(direction: Direction, queue_ms: float) -> None:
    """Its queue takes so long to drain that the probes in it are a queue of their own."""
    for rate in (500_000, 1_000_000):
        verdict, tests = lines.verdict(
            direction,
            lambda _, rate=rate: ChangingWay(delay_ms=20, rate=rate, queue_ms=queue_ms),  # type: ignore[misc]
        )
        assert verdict is Verdict.FAIL, (rate, [test.finding for test in tests])


@BOTH
@pytest.mark.parametrize("lasting_s", [1.5, 2.0])
def test_a_path_that_grows_throughout_the_load_fails_no_fast_line(
    direction: Direction, lasting_s: float
) -> None:
    """It grows as a queue does, but nothing drains."""
    for rate in (8_400_000, 100_000_000):
        drawn = random.Random(1)
        verdict, tests = lines.verdict(
            direction,
            lambda _, rate=rate, drawn=drawn: ChangingWay(  # type: ignore[misc]
                delay_ms=20, rate=rate, queue_ms=1000, extra=lines.ramp(60, lasting_s)(drawn)
            ),
        )
        assert verdict in (Verdict.PASS, Verdict.UNDETERMINED), [test.finding for test in tests]


@BOTH
@pytest.mark.parametrize("add_ms", [15, 42, 120])
@pytest.mark.parametrize("at_s", [0.2, 1.0, 1.9])
def test_a_fast_line_whose_path_becomes_longer_once_passes(
    direction: Direction, add_ms: int, at_s: float
) -> None:
    def make(number: int) -> ChangingWay:
        return ChangingWay(
            delay_ms=20,
            rate=100_000_000,
            queue_ms=100,
            extra=lambda now: add_ms if number == 0 and now > at_s * S else 0,
        )

    assert lines.verdict(direction, make)[0] is Verdict.PASS


@BOTH
@pytest.mark.parametrize(("low", "high", "half_ms"), [(4e6, 20e6, 500), (6e6, 12e6, 700), (6e6, 14e6, 750)])
def test_a_rate_that_swings_above_the_floor_never_fails(
    direction: Direction, low: float, high: float, half_ms: float
) -> None:
    for part in range(4):
        verdict, tests = lines.verdict(
            direction,
            lambda _, part=part: ChangingWay(  # type: ignore[misc]
                delay_ms=30, queue_ms=2000, rate_at=lines.swing(low, high, half_ms, part * half_ms / 2)
            ),
        )
        assert verdict in (Verdict.PASS, Verdict.UNDETERMINED), [test.finding for test in tests]


@BOTH
@pytest.mark.parametrize("begin_s", [-0.35, 0.0, 1.0, 1.75, 2.02])
def test_a_line_that_goes_away_during_a_test_has_no_verdict(direction: Direction, begin_s: float) -> None:
    """A line of 8.4 Mbit/s that loses everything for half a second in three carries 7.0."""
    # The load down begins behind its lead-in.
    begin = (begin_s + (0.34 if direction is Direction.DOWN else 0)) * S
    verdict, tests = lines.verdict(
        direction,
        lambda _: ChangingWay(
            delay_ms=20,
            rate=8_400_000,
            # Set-up and lead-in arrive, and so do the probes after the load.
            drops=lambda packet, now: len(packet) > 1100 and begin <= now < begin + S // 2,
        ),
    )
    assert (verdict, [test.finding for test in tests]) == (Verdict.UNDETERMINED, [Finding.INTERRUPTED])


@BOTH
def test_duplicates_prove_nothing(direction: Direction) -> None:
    """A line below the floor that doubles 4 % of the packets delivers no more than before."""
    # Half of the duplicates would lift 7.7 Mbit/s to the floor.
    verdict, _ = lines.verdict(direction, lambda _: ChangingWay(delay_ms=20, rate=7_700_000, duplicates=0.04))
    assert verdict is Verdict.FAIL
