"""Error rates of the floor decision: the real cores over simulated lines whose path or rate changes.

``make simulate-lines RUNS=20 SEED=1`` prints, for each shape, rate and direction, the verdicts by kind, the
wrong ones with the findings of their tests, the 95 % upper bound of the share of wrong ones, and the tests
that a verdict took. RATES=file.json writes these figures to a file. Exit status 1 if any verdict is wrong.
"""

import argparse
import json
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
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


class Rates(NamedTuple):
    """Verdicts on one shape in one direction. ``misjudged``: each wrong one, to be seen again by its run."""

    shape: str
    mean_bps: float
    direction: Direction
    passed: int
    failed: int
    undetermined: int
    tests: int
    misjudged: tuple[str, ...]

    @property
    def runs(self) -> int:
        """Number of verdicts."""
        return self.passed + self.failed + self.undetermined

    @property
    def most_wrong(self) -> float:
        """Upper bound of the share of wrong verdicts, with 95 % confidence."""
        return upper_bound(len(self.misjudged), self.runs)


def upper_bound(events: int, runs: int, confidence: float = 0.95) -> float:
    """One-sided upper bound of a probability, by Clopper and Pearson (1934)."""
    if events >= runs:
        return 1.0
    low, high = events / runs, 1.0
    for _ in range(50):
        share = (low + high) / 2
        at_most = sum(_binomial(seen, runs, share) for seen in range(events + 1))
        low, high = (share, high) if at_most > 1 - confidence else (low, share)
    return high


def _binomial(events: int, runs: int, share: float) -> float:
    # By logarithms: the number of combinations alone exceeds a float where many of 10,000 runs are wrong.
    ways = math.lgamma(runs + 1) - math.lgamma(events + 1) - math.lgamma(runs - events + 1)
    return math.exp(ways + events * math.log(share) + (runs - events) * math.log1p(-share))


def measured(shape: Shape, direction: Direction, runs: int, seed: str) -> Rates:
    """Verdicts of the real cores on this shape, each run with a seed of its own."""
    found: Counter[Verdict] = Counter()
    misjudged: list[str] = []
    count = 0
    for run in range(runs):
        randomness = random.Random(f"{seed} {shape.name} {shape.mean_bps} {direction} {run}")
        verdict, tests = lines.verdict(direction, lambda _, drawn=randomness: shape.make(drawn))  # type: ignore[misc]
        found[verdict] += 1
        count += len(tests)
        if verdict is (Verdict.FAIL if shape.is_good else Verdict.PASS):
            misjudged.append(f"run {run}: {', '.join(test.finding for test in tests)}")
    passed, failed = found[Verdict.PASS], found[Verdict.FAIL]
    undetermined = runs - passed - failed
    return Rates(shape.name, shape.mean_bps, direction, passed, failed, undetermined, count, tuple(misjudged))


def _row(rates: Rates) -> str:
    row = (
        f"{rates.shape:34} {rates.mean_bps / 1e6:7.1f} {rates.direction:4} {rates.passed:5} "
        f"{rates.failed:5} {rates.undetermined:6} {len(rates.misjudged):5} {rates.most_wrong:6.1%} "
        f"{rates.tests / rates.runs:5.2f}"
    )
    return "\n".join((row, *(f"    wrong in {one}" for one in rates.misjudged)))


def _summary(found: Sequence[Rates]) -> str:
    runs, wrong = sum(one.runs for one in found), sum(len(one.misjudged) for one in found)
    decisive, tests = sum(one.passed + one.failed for one in found), sum(one.tests for one in found)
    return (
        f"{runs} verdicts: {wrong} wrong (at most {upper_bound(wrong, runs):.3%} with 95 % confidence), "
        f"{decisive / runs:.1%} decisive, {tests / runs:.2f} tests each"
    )


def main() -> int:
    """Simulate, and print a line for each shape, rate and direction as it is done."""
    parser = argparse.ArgumentParser(prog="make simulate-lines", description=__doc__)
    parser.add_argument("--runs", type=int, default=4, help="verdicts for each shape, rate and direction")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--shape", default="", help="only shapes whose name contains this")
    parser.add_argument("--rates", type=Path, help="JSON file to write the rates of each shape to")
    options = parser.parse_args()
    chosen = [shape for shape in shapes() if options.shape in shape.name]
    if options.runs < 1 or not chosen:
        parser.error("nothing to simulate: --runs must be 1 or more, --shape part of a shape's name")
    print(f"seed {options.seed}, {options.runs} verdicts each")
    print(
        f"{'shape':34} {'Mbit/s':>7} {'':4} {'pass':>5} {'fail':>5} {'undet.':>6} {'wrong':>5} "
        f"{'most':>6} {'tests':>5}"
    )
    found: list[Rates] = []
    with ProcessPoolExecutor() as pool:
        jobs = [
            pool.submit(measured, shape, direction, options.runs, options.seed)
            for shape, direction in product(chosen, Direction)
        ]
        for job in jobs:
            found.append(job.result())
            print(_row(found[-1]), flush=True)
    print(_summary(found))
    if options.rates:
        rates = [one._asdict() for one in found]
        options.rates.write_text(json.dumps({"seed": options.seed, "rates": rates}, indent=1) + "\n")
    return int(any(one.misjudged for one in found))


if __name__ == "__main__":
    sys.exit(main())
