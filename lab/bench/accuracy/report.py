"""Report: results of all parts with date and kind of machine, kept as JSON, shown as text or Markdown."""

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from lab.bench.accuracy.result import Bar, BenchEffort, Cell, PartResult, ResultTable, SampleSummary

NOTHING = "-"
OTHERS_LOAD = 0.3
WHERE = (
    "[docs/methods.md](docs/methods.md#beside-the-truth-and-beside-other-tools)"
    " has each case, the machine, and how busy it was"
)


class MeasuredPart(Struct, frozen=True):
    """Result of one part.

    ``date``: ISO 8601 day. ``machine``: its kind in words. ``seconds``: length of the run.
    """

    name: str
    question: str
    date: str
    machine: str
    effort: BenchEffort
    seconds: float
    result: PartResult


class Report(Struct, frozen=True):
    """Newest result of each part."""

    parts: tuple[MeasuredPart, ...] = ()

    def renewed(self, newer: Iterable[MeasuredPart], order: Sequence[str]) -> "Report":
        """Return this report with newer results in place of older ones, in ``order``."""
        found = {one.name: one for one in (*self.parts, *newer)}
        return Report(tuple(found[name] for name in order if name in found))


def load(path: Path) -> Report:
    """Read a report; an empty one when there is no file. Raises msgspec.DecodeError for an invalid file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except FileNotFoundError:
        return Report()


def save(report: Report, path: Path) -> None:
    """Write a report as indented JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")


def kind_of_machine(load: float) -> str:
    """Describe this machine without its name.

    ``load`` is the load average just before the benchmark (uptime(1)).
    """
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    kind = "a virtual machine" if "hypervisor" in flags else "a machine"
    release = ".".join(platform.release().split(".")[:2])
    busy = f", other jobs running (load {load:.1f})" if load >= OTHERS_LOAD else ""
    return f"{kind} with {os.cpu_count()} cores ({platform.machine()}), Linux {release}{busy}"


def cells(table: ResultTable) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of a table as text, without columns that no row fills."""
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
    """Return one cell as text; a figure as ``median (p10 to p90)`` with n."""
    match cell:
        case None:
            return NOTHING
        case SampleSummary(n=n, median=median):
            spread = f"{_number(cell.p10, decimals)} to {_number(cell.p90, decimals)}, n={n}"
            return f"{_number(median, decimals)} ({spread})"
        case float():
            return _number(cell, decimals)
        case _:
            return str(cell)


def missed(parts: Iterable[MeasuredPart]) -> list[str]:
    """List the bars that were not met, each with its part's name."""
    return [f"{part.name}: {bar.text}" for part in parts for bar in part.result.bars if not bar.met]


def failed(text: str) -> PartResult:
    """Return the result of a part that did not finish."""
    return PartResult(bars=(Bar(text, met=False),))


def short_markdown(report: Report) -> str:
    """Return the table of README.md."""
    lines = [line for part in report.parts for line in part.result.headlines]
    if not lines:
        return ""
    rows = [[line.question, line.truth, line.ours, line.others or NOTHING] for line in lines]
    table = markdown(["what", "truth", "Plancher", "other tools, same links"], rows)
    return f"{table}\n\nMeasured by `make bench-accuracy`, {_when(report.parts)}; {WHERE}."


def whole_markdown(report: Report) -> str:
    """Return the section of docs/methods.md."""
    return "\n\n".join(_part_markdown(part) for part in report.parts if part.result.tables)


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines)


def _part_markdown(part: MeasuredPart) -> str:
    effort = "long run" if part.effort.full else "short run"
    blocks = [
        f"**{part.question}** (`{part.name}`, {effort}, {part.date}, {part.machine}; {part.seconds:.0f} s.)"
    ]
    for table in part.result.tables:
        blocks.append(f"*{table.title}*")
        blocks.append(markdown(*cells(table)))
        blocks += [table.note] if table.note else []
    verdicts = [f"- {'met' if bar.met else '**missed**'}: {bar.text}" for bar in part.result.bars]
    return "\n\n".join([*blocks, "\n".join(verdicts)] if verdicts else blocks)


def _when(parts: Sequence[MeasuredPart]) -> str:
    dates = sorted({part.date for part in parts})
    return dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"


def _number(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
