"""Error rates of the floor decision: the real cores over simulated lines whose path or rate changes.

``make simulate-lines RUNS=20 SEED=1`` prints, for each shape, rate and direction, the verdicts by kind, the
wrong ones, and the tests that a verdict took. Exit status 1 if any verdict is wrong.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from typing import NamedTuple

from tests.agent.probes.floor import lines
from tests.agent.probes.floor.lines import ChangingWay, Delay
from wire.records import Direction, Verdict

RATES = (7_200_000, 7_600_000, 7_800_000, 8_200_000, 8_400_000, 20_000_000, 100_000_000)
PATHS: dict[str, Callable[[random.Random], Delay]] = {
    "still": lines.still,
    **{f"step of {by:+} ms": lines.step(by) for by in (20, 50, 100, 300, -50, -100, -300)},
    "60 ms longer within 2 s": lines.ramp(60, 2),
    **{f"sine of ±{by} ms, {s} s": lines.sine(by, s) for by, s in ((30, 1), (30, 4), (20, 6), (50, 2))},
    "bursts of 60 ms, half of 0.5 s": lines.bursts(60, 500, 250),
    "bursts of 100 ms, 0.2 of 1 s": lines.bursts(100, 1000, 200),
    "jitter of 30 ms": lines.jitter(30),
    "jitter of 60 ms": lines.jitter(60),
}
# Rates that swing, and half of their period in ms: for a mean above the floor, and below.
SWINGS = ((4e6, 20e6, 500.0), (6e6, 12e6, 700.0), (6e6, 14e6, 750.0), (5e6, 9e6, 500.0))
LOSSES, QUEUES_MS = (0.01, 0.02), (20.0, 100.0, 4000.0)
VERY_SLOW = (500_000, 1_000_000, 3_000_000)

Make = Callable[[random.Random], ChangingWay]


class Shape(NamedTuple):
    """Line to judge; ``is_good``: it delivers the floor."""

    name: str
    mean_bps: float
    make: Make

    @property
    def is_good(self) -> bool:
        """True if the mean rate is above the floor."""
        return self.mean_bps > lines.FLOOR


def _on_path(
    path: str,
    rate: float,
    queue_ms: float,
    loss: float,
    randomness: random.Random,
    *,
    is_before: bool = False,
) -> ChangingWay:
    seed, extra = randomness.getrandbits(32), PATHS[path](randomness)
    return ChangingWay(
        delay_ms=20, rate=rate, queue_ms=queue_ms, loss=loss, seed=seed, extra=extra, is_before=is_before
    )


def _swinging(low: float, high: float, half_ms: float, randomness: random.Random) -> ChangingWay:
    rate_at = lines.swing(low, high, half_ms, randomness.random() * 2 * half_ms)
    return ChangingWay(delay_ms=20, queue_ms=2000, rate_at=rate_at)


def shapes() -> Iterator[Shape]:
    """All shapes, those of constant rate first."""
    for path, rate in product(PATHS, RATES):
        yield Shape(path, rate, partial(_on_path, path, rate, 1000.0, 0.0))
    for path, rate in product(PATHS, RATES):
        if path != "still":
            make = partial(_on_path, path, rate, 1000.0, 0.0, is_before=True)
            yield Shape(f"{path}, before the queue", rate, make)
    for loss, rate in product(LOSSES, RATES):
        yield Shape(f"loss of {loss:.0%}", rate, partial(_on_path, "still", rate, 1000.0, loss))
    for queue_ms, rate in product(QUEUES_MS, RATES):
        yield Shape(f"queue of {queue_ms:.0f} ms", rate, partial(_on_path, "still", rate, queue_ms, 0.0))
    for queue_ms, rate in product((20.0, 500.0), VERY_SLOW):
        yield Shape(
            f"slow, queue of {queue_ms:.0f} ms", rate, partial(_on_path, "still", rate, queue_ms, 0.0)
        )
    for low, high, half_ms in SWINGS:
        name = f"{low / 1e6:g} and {high / 1e6:g}, {half_ms:.0f} ms each"
        yield Shape(name, (low + high) / 2, partial(_swinging, low, high, half_ms))


def _verdicts(shape: Shape, direction: Direction, runs: int, seed: str) -> tuple[Counter[Verdict], int]:
    found: Counter[Verdict] = Counter()
    count = 0
    for run in range(runs):
        randomness = random.Random(f"{seed} {shape.name} {shape.mean_bps} {direction} {run}")
        verdict, tests = lines.verdict(direction, lambda _, drawn=randomness: shape.make(drawn))  # type: ignore[misc]
        found[verdict] += 1
        count += len(tests)
    return found, count


def main() -> int:
    """Simulate, and print a line for each shape, rate and direction as it is done."""
    parser = argparse.ArgumentParser(prog="make simulate-lines", description=__doc__)
    parser.add_argument("--runs", type=int, default=4, help="verdicts for each shape, rate and direction")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--shape", default="", help="only shapes whose name contains this")
    options = parser.parse_args()
    chosen = [shape for shape in shapes() if options.shape in shape.name]
    totals: Counter[str] = Counter()
    print(f"seed {options.seed}, {options.runs} verdicts each")
    print(
        f"{'shape':34} {'Mbit/s':>7} {'':4} {'pass':>5} {'fail':>5} {'undet.':>6} {'wrong':>5} {'tests':>5}"
    )
    with ProcessPoolExecutor() as pool:
        jobs = [
            (shape, direction, pool.submit(_verdicts, shape, direction, options.runs, options.seed))
            for shape, direction in product(chosen, Direction)
        ]
        for shape, direction, job in jobs:
            found, count = job.result()
            wrong = found[Verdict.FAIL if shape.is_good else Verdict.PASS]
            decisive = found[Verdict.PASS] + found[Verdict.FAIL]
            totals += Counter(verdicts=options.runs, wrong=wrong, decisive=decisive, tests=count)
            print(
                f"{shape.name:34} {shape.mean_bps / 1e6:7.1f} {direction:4} {found[Verdict.PASS]:5} "
                f"{found[Verdict.FAIL]:5} {options.runs - decisive:6} {wrong:5} {count / options.runs:5.2f}",
                flush=True,
            )
    verdicts = totals["verdicts"] or 1
    print(
        f"{verdicts} verdicts: {totals['wrong']} wrong, {totals['decisive'] / verdicts:.1%} decisive, "
        f"{totals['tests'] / verdicts:.2f} tests each"
    )
    return int(totals["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
