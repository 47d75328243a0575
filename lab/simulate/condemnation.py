"""Command of ``make simulate-floor``: false condemnations of good lines, and delay until a bad line is
condemned.

It compares parameters of the sequential test under the models of ``lab.simulate.error_models``.
"""

import math
import sys
from collections.abc import Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from agent.probes.floor.rules.sequential_test import CHOSEN, SequentialTest
from host import command_line
from lab.simulate.error_models import (
    BAD_LINES,
    DAY_S,
    DAYS,
    DIRECTIONS,
    HOUR_S,
    SEED,
    SITES,
    bad_line_effect,
    condemned_share,
    fleet_forecast,
    repair_times,
)

PROGRAM = "simulate-floor"

COMPARED = (
    ("few fails decide", SequentialTest(0.05, 0.8, 1e-4, 1e-1)),
    ("lower p0 and p1", SequentialTest(0.1, 0.5, 1e-6, 1e-1)),
    ("higher p1", SequentialTest(0.2, 0.8, 1e-6, 1e-1)),
    ("greater alpha", SequentialTest(0.2, 0.6, 1e-5, 1e-1)),
    ("chosen", CHOSEN),
    ("smaller alpha", SequentialTest(0.2, 0.6, 1e-7, 1e-1)),
    ("smaller beta", SequentialTest(0.2, 0.6, 1e-6, 1e-2)),
)


BAD_LINES_COMPARED = ("greater alpha", "chosen", "smaller beta")
DECAYING = (("chosen, evidence halves in a day", DAY_S), ("chosen, evidence halves in an hour", HOUR_S))


def main(arguments: Sequence[str]) -> int:
    """Run the simulations and print the tables."""
    parser = command_line.parser(
        PROGRAM, "Simulate false condemnations of good lines, and the time until a bad line is condemned."
    )
    parser.add_argument(
        "--sampled", type=int, default=3000, help="simulated disturbances for each row (default: 3000)"
    )
    parser.add_argument(
        "--lines", type=int, default=200, help="simulated bad lines of each kind (default: 200)"
    )
    options = parser.parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)
    console.print(f"{SITES} sites, {DIRECTIONS} directions, {DAYS} days; seed {SEED}")
    console.print(_good(options.sampled))
    console.print(_bad(options.lines))
    console.print(_lasting())
    times = repair_times(CHOSEN, options.lines)
    console.print(f"A repaired line is clear after {median(times) / HOUR_S:.1f} h (median of {len(times)})")
    return 0


def _good(sampled: int) -> Table:
    table = Table(title="Good lines: false condemnations in the fleet in a month, with their 95 % interval")
    for heading in (
        "",
        "p0",
        "p1",
        "alpha",
        "beta",
        "fails",
        "alone",
        "together",
        "3 times longer",
        "longer tail",
        "MB a day",
    ):
        table.add_column(heading, no_wrap=bool(heading))
    rows = [(name, test, math.inf) for name, test in COMPARED]
    rows += [(name, CHOSEN, half_life_s) for name, half_life_s in DECAYING]
    for name, test, half_life_s in rows:
        result = fleet_forecast(test, sampled, half_life_s)
        table.add_row(
            name,
            *(f"{value:g}" for value in (test.p0, test.p1, test.alpha, test.beta)),
            str(math.ceil(test.condemns_at / test.of_fail)),
            f"{result.alone:.1g}",
            *(
                f"{rate.condemned:.2g} ± {rate.margin:.1g}"
                for rate in (result.together, result.longer, result.wider)
            ),
            f"{result.quiet_bytes_a_day / 1e6:.1f} to {result.bytes_a_day / 1e6:.1f}",
        )
    return table


def _bad(lines: int) -> Table:
    table = Table(title="Bad lines: time from the first fail to the condemnation, within a month")
    for heading in ("", "parameters", "condemned", "median", "p95", "times", "MB a day"):
        table.add_column(heading)
    chosen = [(name, test, math.inf) for name, test in COMPARED if name in BAD_LINES_COMPARED]
    for name, test, half_life_s in [*chosen, (DECAYING[1][0], CHOSEN, HOUR_S)]:
        for kind in BAD_LINES:
            result = bad_line_effect(kind, test, lines, half_life_s)
            table.add_row(
                kind.name,
                name,
                f"{result.share:.0%}",
                _time(result.median_s),
                _time(result.p95_s),
                f"{result.condemnations:.2f}",
                f"{result.bytes_a_day / 1e6:.0f}",
            )
    return table


def _lasting() -> Table:
    lengths = (15, 30, 45, 60, 75, 90, 120)
    table = Table(
        "minutes", *(str(length) for length in lengths), title="A disturbance in which every test fails"
    )
    table.add_row("condemned series", *(f"{condemned_share(length, CHOSEN):.1%}" for length in lengths))
    return table


def _time(seconds: float) -> str:
    return (
        "-"
        if math.isnan(seconds)
        else f"{seconds / 60:.0f} min"
        if seconds < 3 * HOUR_S
        else f"{seconds / 3600:.1f} h"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
