"""``plancher-agent measure``: runs every task once, now, without broker and journal."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent import configuration
from agent.commands.searches import Searches
from agent.probes import PROBES
from agent.report import measurement as report
from agent.report.document import MeasureDocument
from agent.report.measurement import NO_IDENTITY, ReportLine, Tone
from agent.schedule.runner import Runner, quiet
from agent.service import wiring
from agent.settings.sections import AgentSettings, FloorSettings
from agent.task.task import Probe, Progress, Task
from host import log
from host.clock import Clock
from host.exits import Exit
from host.settings import SettingsError, belonging_to
from wire.records import Measurement, Purpose

_EXITS = {Tone.PASS: Exit.OK, Tone.MEASURED: Exit.OK, Tone.FAIL: Exit.FAIL, Tone.NEITHER: Exit.UNDECIDED}
# Without a terminal rich assumes 80 columns, which would fold the figures.
PIPED_WIDTH = 160

# Probes of ``--probe`` only: they fill the line, take a minute, need a right, or have no figures.
BY_NAME_ONLY = frozenset(name for name, probe in PROBES.items() if probe.by_name_only)


@dataclass(frozen=True, slots=True)
class Selection:
    """Selection of the command line; None and False leave a choice to the settings."""

    peer: str | None = None
    probe: str | None = None
    direction: str | None = None
    pre_drain: bool = False


def main(chosen: AgentSettings, path: Path, selection: Selection, *, json: bool) -> int:
    """Measure and print. ``path`` is the settings file.

    Raises SettingsError if nothing is left to measure or the key cannot be read.
    """
    log.start("error")
    chosen = _with_peer(chosen, selection.peer)
    if selection.pre_drain:
        chosen = _with_pre_drain(chosen)
    clock = Clock()
    with belonging_to(path):
        context = wiring.probe_context(chosen, clock.read)
    tasks = _selected(wiring.tasks(context), selection, chosen)
    runner = Runner(chosen.peer.name, clock.read)
    searches = None if json else Searches.among(tasks, context)
    if searches:
        print(searches.may_cost(), file=sys.stderr)  # noqa: T201 -- beside the result, for a person
    records = asyncio.run(_measure(runner, tasks, show_progress=sys.stderr.isatty()))
    lines = [report.line(record) for record in records]
    verdict = report.overall(lines)
    if json:
        document = MeasureDocument.of(chosen.site, chosen.peer.host, verdict, records)
        print(msgspec.json.encode(document).decode())  # noqa: T201 -- the command's result
    else:
        _print(chosen, verdict, lines, searches.did_cost(records) if searches else "")
    return _EXITS[verdict]


def _with_peer(chosen: AgentSettings, host: str | None) -> AgentSettings:
    if host is None:
        return chosen
    peer = msgspec.structs.replace(chosen.peer, host=host)
    changed = msgspec.structs.replace(chosen, peer=peer)
    problem = configuration.first_problem(changed)
    if problem:
        raise SettingsError(problem)
    return changed


def _with_pre_drain(chosen: AgentSettings) -> AgentSettings:
    """Settings under which every floor test empties a token bucket first."""
    size = chosen.floor.pre_drain or FloorSettings().pre_drain
    floor = msgspec.structs.replace(chosen.floor, pre_drain=size, pre_drain_every=1)
    return msgspec.structs.replace(chosen, floor=floor)


def _selected(tasks: dict[Task, Probe], selection: Selection, chosen: AgentSettings) -> dict[Task, Probe]:
    kept = {
        task: probe
        for task, probe in tasks.items()
        if _is_asked_for(task.probe, selection.probe) and selection.direction in (None, task.direction)
    }
    if not kept:
        if selection.probe is not None:
            raise SettingsError(f"nothing to measure: {_why_none(tasks, selection.probe, chosen)}")
        there = ", ".join(task.name for task in tasks) or "nothing"
        left_out = sorted({task.probe for task in tasks} & BY_NAME_ONLY)
        hint = f"; by --probe alone: {', '.join(left_out)}" if left_out else ""
        raise SettingsError(f"nothing to measure: the settings ask for {there}{hint}")
    return kept


def _why_none(tasks: dict[Task, Probe], probe: str, chosen: AgentSettings) -> str:
    """Reason why the named probe has no task in the requested direction, and what to set."""
    there = [task.name for task in tasks if task.probe == probe]
    if there and all(task.direction is None for task in tasks if task.probe == probe):
        return f"{probe} takes both directions at once: leave out --direction"
    if there or probe == "floor":
        return "the settings promise no floor in that direction: set floor.down or floor.up"
    if probe == "interface" and chosen.line_counters.source == "none":
        return "line_counters.source is none: say where the line's counters are (inline, directory or snmp)"
    if probe in ("stamp", "path") and not chosen.stamp.classes:
        return "stamp.classes is empty: name a class of service"
    return f"schedule.{probe} is null: set how often it is to run"


def _is_asked_for(probe: str, named: str | None) -> bool:
    return probe == named if named is not None else probe not in BY_NAME_ONLY


async def _measure(runner: Runner, tasks: dict[Task, Probe], *, show_progress: bool) -> list[Measurement]:
    records = []
    for number, (task, probe) in enumerate(tasks.items(), start=1):
        with _progress(f"{number}/{len(tasks)} {task.name}", show=show_progress) as progress:
            attempt = await runner.run(probe, task, Purpose.ON_DEMAND, progress=progress)
        records.append(attempt.measurement(*NO_IDENTITY))
    return records


def _progress(what: str, *, show: bool) -> AbstractContextManager[Progress]:
    return _Spinner(what) if show else nullcontext(quiet)


class _Spinner:
    """Line on the terminal with the present progress."""

    def __init__(self, what: str) -> None:
        from rich.console import Console

        self._what = what
        self._status = Console(stderr=True).status(what)

    def __enter__(self) -> Callable[[str], None]:
        self._status.start()
        return lambda text: self._status.update(f"{self._what}: {text}")

    def __exit__(self, *_: object) -> None:
        self._status.stop()


def _print(chosen: AgentSettings, verdict: Tone, lines: list[ReportLine], cost: str) -> None:
    """Print the table; ``cost`` is the sentence about searches, empty without any."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"site {chosen.site} against {chosen.peer.name} at {escape(chosen.peer.host)}")
    for heading in ("task", "verdict", "figures"):
        table.add_column(heading)
    for one in lines:
        shown = f"[{one.tone.style}]{one.verdict}[/]"
        figures = "\n".join(escape(part) for part in (one.figures, one.advice) if part)
        table.add_row(one.task, shown, figures)
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(table)
    if cost:
        console.print(cost, highlight=False, soft_wrap=True)
    console.print(f"[{verdict.style}]{verdict}[/]")
