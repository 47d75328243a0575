"""Command of ``make bench-truth`` and ``make bench-truth-full``."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from random import Random
from time import monotonic

from host import command_line
from host.exits import Exit
from lab.bench.truth.account import ShapeAccount, totals
from lab.bench.truth.running import measure
from lab.bench.truth.shapes import LineLevel, Shape, shapes
from lab.netns import requirements
from wire.records import Verdict

PROGRAM = "bench-truth"
AT_ONCE = 4
FULL_RUNS, QUARTER = 10, 0.25

Job = tuple[Shape, LineLevel]


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return 0 if every bar is met."""
    parser = command_line.parser(
        PROGRAM, "Count right and wrong floor verdicts on kernel links of many shapes, in real time."
    )
    parser.add_argument(
        "--full", action="store_true", help="all lines; otherwise a quarter, drawn by the seed"
    )
    parser.add_argument("--runs", type=int, default=FULL_RUNS, help="verdicts for each line and direction")
    parser.add_argument(
        "--at-once", type=int, default=AT_ONCE, help="slow lines measured at once (default: 4)"
    )
    parser.add_argument("--seed", default="1", help="draws rates, and the quarter")
    parser.add_argument("--shape", default="", help="only shapes whose name contains this")
    options = parser.parse_args(arguments)
    if lacking := requirements.lacking():
        print(f"{PROGRAM}: needs {'; '.join(lacking)}", file=sys.stderr)
        return Exit.UNAVAILABLE
    jobs, began = _jobs(options), monotonic()
    print(
        f"seed {options.seed}: {len(jobs)} lines, both directions, {options.runs} verdicts each", flush=True
    )
    print(
        f"{'shape':34} {'level':5} {'':4} {'Mbit/s':>7} {'right':>5} {'wrong':>5} {'unconf':>6} {'undet':>5} "
        f"{'inval':>5}  findings that decided nothing"
    )
    accounts: list[ShapeAccount] = []
    try:
        for found in _measured(jobs, options):
            accounts += found
            for one in found:
                print(_row(one), flush=True)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted; these lines were measured:", file=sys.stderr)
    lines, missed = totals(accounts)
    for text in (*lines, *(f"missed: {fault}" for fault in missed)):
        print(text)
    print(f"{monotonic() - began:.0f} s; {'bars missed' if missed else 'every bar met'}")
    return Exit.FAIL if missed else Exit.OK


def _jobs(options: argparse.Namespace) -> list[Job]:
    found = [(shape, level) for shape in shapes() if options.shape in shape.name for level in LineLevel]
    if options.full or options.shape:
        return found
    return Random(options.seed).sample(found, round(QUARTER * len(found)))


def _measured(jobs: Sequence[Job], options: argparse.Namespace) -> Iterator[list[ShapeAccount]]:
    """Measure slow lines several at a time, and fast ones one by one."""
    for is_slow, at_once in ((True, options.at_once), (False, 1)):
        with ProcessPoolExecutor(at_once) as pool:
            futures: list[Future[list[ShapeAccount]]] = [
                pool.submit(measure, shape, level, options.runs, options.seed)
                for shape, level in jobs
                if shape.is_slow is is_slow
            ]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _row(account: ShapeAccount) -> str:
    seen = account.verdicts
    undecided = (
        f"{values.verdict}: {' '.join(test.failure or test.finding for test in values.tests)}"
        for values in seen.values()
        if values.verdict not in (Verdict.PASS, Verdict.FAIL, Verdict.UNCONFIRMED)
    )
    return (
        f"{account.shape.name:34} {account.level:5} {account.direction:4} {account.rate_bps / 1e6:7.3f} "
        f"{seen.right:5} {seen.wrong:5} {seen.count(Verdict.UNCONFIRMED):6} "
        f"{seen.count(Verdict.UNDETERMINED, Verdict.GREY):5} {seen.invalid + seen.failed:5}  "
        f"{account.problem}{'; '.join(sorted(set(undecided)))}"
    )


if __name__ == "__main__":
    command_line.run(main, PROGRAM)
