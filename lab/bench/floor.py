"""Benchmark ``make bench-floor``: floor verdicts over emulated lines of known rate, with the real peer and
probe.

It counts right, wrong and undecided verdicts for every line and direction. Beside them is a saturating test:
10 s at 1.25 times the floor. Its result is read as a speed test: is the received rate at least the floor?
Exit status 0 only if every bar is met.
"""

import argparse
import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import monotonic

from rich.console import Console
from rich.table import Table

from agent.load.rules import validity
from agent.probes.floor.probe import SETUP_TRIES
from agent.probes.floor.rules import decision as floor_rules
from agent.task.task import Reading
from host import command_line
from lab.bench import frame
from lab.bench.verdicts import Verdicts, spent
from lab.testbed.base import TestbedError
from lab.testbed.floor_testbed import FloorTestbed
from wire.records import Direction, Verdict

PROGRAM = "bench-floor"
FLOOR_BPS = 8_000_000
FIRST_TEST_BYTES = 2_200_000
DECISIVE_SHARE = 0.95
SATURATING_S = 10


@dataclass(frozen=True, slots=True)
class EmulatedLineCase:
    """One emulated line, and the verdicts that would be wrong on it."""

    label: str
    link: tuple[str, ...]
    wrong: frozenset[Verdict]
    decisive: bool
    rate_bps: float


def _case(rate: float, loss: int = 0) -> EmulatedLineCase:
    label = f"{rate:g} Mbit/s" + (f", {loss} % loss" if loss else "")
    link = (f"--down={rate}M", f"--up={rate}M", "--delay=10ms", "--jitter=1ms", f"--loss={loss}%")
    wrong = Verdict.PASS if rate * 1e6 < FLOOR_BPS else Verdict.FAIL
    near = abs(rate * 1e6 / FLOOR_BPS - 1) < 0.05 - 1e-9
    return EmulatedLineCase(label, link, frozenset({wrong}), decisive=not near, rate_bps=rate * 1e6)


CASES = [*(_case(rate) for rate in (7.6, 7.8, 8.2, 8.4, 20.0)), *(_case(20.0, loss) for loss in (1, 3, 5))]


@dataclass(slots=True)
class FloorTally:
    """Results of one case and direction."""

    case: EmulatedLineCase
    direction: Direction
    readings: list[Reading] = field(default_factory=list)
    saturating: list[float] = field(default_factory=list)
    problem: str = ""

    @property
    def verdicts(self) -> Verdicts:
        """Readings, compared with the truth."""
        return Verdicts(self.case.wrong, self.readings)

    def faults(self) -> list[str]:
        """List the bars that this row misses."""
        name = f"{self.case.label} {self.direction}"
        found = [f"{name}: {self.problem}"] if self.problem else []
        seen = self.verdicts
        if seen.wrong:
            found.append(f"{name}: {seen.wrong} wrong verdicts")
        if self.case.decisive and seen.decisive < DECISIVE_SHARE * len(self.readings):
            found.append(f"{name}: only {seen.decisive} of {len(self.readings)} decisive")
        if seen.first_test_bytes > FIRST_TEST_BYTES:
            found.append(f"{name}: the first test cost {seen.first_test_bytes / 1e6:.2f} MB")
        return found


def measure(case: EmulatedLineCase, direction: Direction, runs: int, saturating: int) -> FloorTally:
    """Measure one case and direction, in a process with its own peer and link."""
    tally = FloorTally(case, direction)
    with TemporaryDirectory(prefix="plancher-bench-") as folder:
        try:
            with FloorTestbed(Path(folder), case.link) as testbed:
                asyncio.run(_fill(tally, testbed, runs, saturating))
        except (OSError, TestbedError) as error:
            tally.problem = str(error)
    return tally


async def _fill(tally: FloorTally, testbed: FloorTestbed, runs: int, saturating: int) -> None:
    for _ in range(runs):
        tally.readings.append(await testbed.verdict(tally.direction, FLOOR_BPS))
    for _ in range(saturating):
        tally.saturating.append(await _saturate(testbed, tally.direction))


async def _saturate(testbed: FloorTestbed, direction: Direction) -> float:
    """Return the received rate of one saturating test."""
    for _ in range(SETUP_TRIES):  # a lost set-up is repeated, as by the probe
        report = await testbed.load(direction, floor_rules.FASTER * FLOOR_BPS, SATURATING_S)
        if report.ending not in validity.RETRIED:
            break
    return report.received_bps


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return 0 if every bar is met."""
    parser = command_line.parser(PROGRAM, "Count right and wrong floor verdicts over emulated lines.")
    parser.add_argument(
        "--runs", type=int, default=20, help="verdicts for each line and direction (default: 20)"
    )
    parser.add_argument(
        "--saturating", type=int, default=1, help="saturating tests for each line and direction (default: 1)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=max(1, (os.cpu_count() or 1)),
        help="lines measured at once (default: one for each core)",
    )
    options = parser.parse_args(arguments)
    console, began = frame.console(140), monotonic()
    tallies = _measure_all(options, console)
    _print(tallies, console)
    faults = [fault for tally in tallies for fault in tally.faults()]
    return frame.conclude(console, faults, f"; {monotonic() - began:.0f} s")


def _measure_all(options: argparse.Namespace, console: Console) -> list[FloorTally]:
    with ProcessPoolExecutor(options.workers) as pool:
        futures: list[Future[FloorTally]] = []
        for case in CASES:
            for direction in Direction:
                futures.append(pool.submit(measure, case, direction, options.runs, options.saturating))
                futures[-1].add_done_callback(_announcer(console, case, direction))
        return [future.result() for future in futures]


def _announcer(console: Console, case: EmulatedLineCase, direction: Direction) -> Callable[[object], None]:
    return lambda _: console.print(f"measured {case.label} {direction}")


def _print(tallies: Sequence[FloorTally], console: Console) -> None:
    table = Table(
        title=f"floor {FLOOR_BPS / 1e6:g} Mbit/s, IP layer; saturating: {SATURATING_S} s at 10 Mbit/s"
    )
    for heading in (
        "line (truth)", "", "runs", "right", "wrong", "grey", "invalid (tests)", "failed",
        "capacity Mbit/s (p10-p90)", "first MB", "MB (most)", "saturating", "MB",
    ):  # fmt: skip
        table.add_column(heading, justify="left" if heading in ("line (truth)", "") else "right")
    for tally in tallies:
        table.add_row(*_row(tally))
    console.print(table)


def _row(tally: FloorTally) -> tuple[str, ...]:
    seen = tally.verdicts
    megabytes = [spent(one) / 1e6 for one in tally.readings]
    truth = tally.case.rate_bps >= FLOOR_BPS
    agreeing = sum((rate >= FLOOR_BPS) == truth for rate in tally.saturating)
    return (
        tally.case.label,
        tally.direction,
        str(len(tally.readings)),
        str(seen.right),
        str(seen.wrong),
        str(seen.undecided),
        f"{seen.invalid} ({seen.invalid_tests})",
        str(seen.failed),
        _spread(seen),
        f"{seen.first_test_bytes / 1e6:.2f}" if seen.first_test_bytes else "-",
        f"{median(megabytes):.2f} ({max(megabytes):.1f})" if megabytes else "-",
        f"{agreeing} of {len(tally.saturating)} right",
        f"{floor_rules.FASTER * FLOOR_BPS * SATURATING_S / 8e6:.1f}",
    )


def _spread(seen: Verdicts) -> str:
    capacities = [bps / 1e6 for bps in seen.capacities_bps()]
    if len(capacities) < 2:
        at_least = seen.at_least_bps()
        return "-" if at_least is None else f"at least {at_least / 1e6:.2f}"
    tenths = quantiles(capacities, n=10)
    return f"{median(capacities):.3f} ({tenths[0]:.3f}-{tenths[-1]:.3f})"


if __name__ == "__main__":
    command_line.run(main, PROGRAM)
