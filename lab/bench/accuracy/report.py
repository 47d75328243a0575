"""What was measured, part by part with date and kind of machine: kept as JSON, shown as text or Markdown."""

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from lab.bench.accuracy.result import Bar, Cell, Effort, Figure, Result, Table

NOTHING = "-"
OTHERS_LOAD = 0.3
WHERE = (
    "[docs/methods.md](docs/methods.md#beside-the-truth-and-beside-other-tools)"
    " has each case, the machine, and how busy it was"
)


class Measured(Struct, frozen=True):
    """One part's result. ``date``: ISO 8601 day. ``machine``: its kind in words. ``seconds`` it took."""

    name: str
    question: str
    date: str
    machine: str
    effort: Effort
    seconds: float
    result: Result


class Report(Struct, frozen=True):
    """The newest result of each part."""

    parts: tuple[Measured, ...] = ()

    def renewed(self, newer: Iterable[Measured], order: Sequence[str]) -> "Report":
        """This report with newer results in the place of older ones, in ``order``."""
        found = {one.name: one for one in (*self.parts, *newer)}
        return Report(tuple(found[name] for name in order if name in found))


def load(path: Path) -> Report:
    """Read a report; an empty one when there is no file. Raises msgspec.DecodeError for what is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except FileNotFoundError:
        return Report()


def save(report: Report, path: Path) -> None:
    """Write a report for people and programs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")


def kind_of_machine(load: float) -> str:
    """What this machine is, without its name; ``load`` is what others made it do just before (uptime(1))."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    kind = "a virtual machine" if "hypervisor" in flags else "a machine"
    release = ".".join(platform.release().split(".")[:2])
    busy = f", other jobs beside (load {load:.1f})" if load >= OTHERS_LOAD else ""
    return f"{kind} with {os.cpu_count()} cores ({platform.machine()}), Linux {release}{busy}"


def cells(table: Table) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table as text; a column that no row fills is left out."""
    others = list(dict.fromkeys(name for row in table.rows for name in row.others))
    more = list(dict.fromkeys(name for row in table.rows for name in row.more))
    rated = any(row.ratio is not None for row in table.rows)
    headings = ["case", table.truth, "Plancher", *others, *([table.ratio] if rated else []), *more]
    texts = [
        [
            row.case,
            text(row.truth, table.decimals),
            text(row.ours, table.decimals),
            *(text(row.others.get(name), table.decimals) for name in others),
            *([text(row.ratio, 2)] if rated else []),
            *(text(row.more.get(name), table.decimals) for name in more),
        ]
        for row in table.rows
    ]
    return headings, texts


def text(cell: Cell, decimals: int) -> str:
    """One cell: a figure as ``median (p10 to p90)``, n apart."""
    match cell:
        case None:
            return NOTHING
        case Figure(n=n, median=median):
            spread = f"{_number(cell.p10, decimals)} to {_number(cell.p90, decimals)}, n={n}"
            return f"{_number(median, decimals)} ({spread})"
        case float():
            return _number(cell, decimals)
        case _:
            return str(cell)


def missed(parts: Iterable[Measured]) -> list[str]:
    """The bars that were not met, each with its part's name."""
    return [f"{part.name}: {bar.text}" for part in parts for bar in part.result.bars if not bar.met]


def failed(text: str) -> Result:
    """The result of a part that did not finish."""
    return Result(bars=(Bar(text, met=False),))


def short_markdown(report: Report) -> str:
    """The table of README.md."""
    lines = [line for part in report.parts for line in part.result.headlines]
    if not lines:
        return ""
    rows = [[line.question, line.truth, line.ours, line.others or NOTHING] for line in lines]
    table = markdown(["what", "truth", "Plancher", "other tools, same links"], rows)
    return f"{table}\n\nMeasured by `make bench-accuracy`, {_when(report.parts)}; {WHERE}."


def whole_markdown(report: Report) -> str:
    """The section of docs/methods.md."""
    return "\n\n".join(_part_markdown(part) for part in report.parts if part.result.tables)


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines)


def _part_markdown(part: Measured) -> str:
    effort = "the long run" if part.effort.full else "the short run"
    blocks = [
        f"**{part.question}** (`{part.name}`, {effort}, {part.date}, {part.machine}; {part.seconds:.0f} s.)"
    ]
    for table in part.result.tables:
        blocks.append(f"*{table.title}*")
        blocks.append(markdown(*cells(table)))
        blocks += [table.note] if table.note else []
    verdicts = [f"- {'met' if bar.met else '**missed**'}: {bar.text}" for bar in part.result.bars]
    return "\n\n".join([*blocks, "\n".join(verdicts)] if verdicts else blocks)


def _when(parts: Sequence[Measured]) -> str:
    dates = sorted({part.date for part in parts})
    return dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"


def _number(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
