"""Command line of ``make bench-accuracy``."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table as TextTable

from host import command_line
from host.exits import Exit
from lab.bench import frame
from lab.bench.accuracy import documents, report, running
from lab.bench.accuracy.part import Part
from lab.bench.accuracy.parts import PARTS, named
from lab.bench.accuracy.report import MeasuredPart, Report
from lab.bench.accuracy.result import BenchEffort
from lab.netns import requirements

PROGRAM = "bench-accuracy"
KEPT = Path("var") / "accuracy.json"
DESCRIPTION = "Compare our figures with the truth and with other tools, over Linux kernel queues, as root."


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return 0 if every bar is met."""
    options = _parser().parse_args(arguments)
    if options.inside:
        effort = msgspec.json.decode(options.effort, type=BenchEffort)
        running.run_here(options.inside, effort, options.result, lambda line: print(line, flush=True))
        return Exit.OK
    console = frame.console(150)
    if options.list:
        _list(console)
        return Exit.OK
    kept = report.load(options.result)
    if options.write_only:
        return _write(kept, console)
    parts = options.only or PARTS
    programs = {program: package for part in parts for program, package in part.programs.items()}
    if lacking := requirements.lacking(programs):
        return frame.refuse(PROGRAM, frame.lacks(lacking))
    return _bench(parts, options, kept, console)


def _parser() -> argparse.ArgumentParser:
    parser = command_line.parser(PROGRAM, DESCRIPTION)
    add = parser.add_argument
    add("--only", type=_part, action="append", metavar="PART", help="run only this part (may be repeated)")
    add("--runs", type=int, help="repetitions of each case (default: as the part says)")
    add("--full", action="store_true", help="measure more, for hours")
    add("--seed", type=int, default=1, help="random seed (default: %(default)s)")
    add("--list", action="store_true", help="list the parts")
    add("--result", type=Path, default=KEPT, help="file of the results (default: %(default)s)")
    add("--write", action="store_true", help="write the tables into README.md and docs/methods.md")
    add(
        "--write-only",
        action="store_true",
        help="write the tables from the file of the results, without measuring",
    )
    add("--inside", metavar="MODULE", help=argparse.SUPPRESS)
    add("--effort", help=argparse.SUPPRESS)
    return parser


def _part(name: str) -> Part:
    part = named(name)
    if part is None:
        known = ", ".join(one.name for one in PARTS)
        raise argparse.ArgumentTypeError(f"there is no part {name!r}; the parts are {known}")
    return part


def _list(console: Console) -> None:
    for part in PARTS:
        console.print(f"{part.name:12} {part.question} ({part.minutes:g} min)")


def _bench(parts: Sequence[Part], options: argparse.Namespace, kept: Report, console: Console) -> int:
    began = time.monotonic()
    effort = BenchEffort(full=options.full, runs=options.runs, seed=options.seed)
    measured = running.run_all(parts, effort, console.print)
    renewed = kept.renewed(measured, [part.name for part in PARTS])
    report.save(renewed, options.result)
    for part in measured:
        _show(part, console)
    remark = f"; {time.monotonic() - began:.0f} s; results in {options.result}"
    ended = frame.conclude(console, report.missed(measured), remark)
    written = _write(renewed, console) if options.write else Exit.OK
    return ended or written


def _show(part: MeasuredPart, console: Console) -> None:
    console.print(f"\n{part.name}: {part.question} ({part.seconds:.0f} s)")
    for table in part.result.tables:
        headings, rows = report.cells(table)
        shown = TextTable(*headings, title=table.title, caption=table.note or None)
        for column in shown.columns[1:]:
            column.justify = "right"
        for row in rows:
            shown.add_row(*row)
        console.print(shown)
    for bar in part.result.bars:
        console.print(f"{'met   ' if bar.met else 'MISSED'}  {bar.text}")


def _write(renewed: Report, console: Console) -> Exit:
    try:
        written = documents.write(renewed)
    except documents.MarkerError as error:
        console.print(f"{PROGRAM}: {error}")
        return Exit.CONFIGURATION
    console.print(f"written: {', '.join(path.name for path in written)}")
    return Exit.OK


if __name__ == "__main__":
    command_line.run(main, PROGRAM)
