"""``plancher-agent status``: state of the agent on this machine, on one screen."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from agent.probes.floor.rules.sequential_test import CHOSEN
from agent.report import measurement as report
from agent.report import remedies
from agent.report.measurement import OPEN_OUTAGE, ReportLine, Tone
from agent.service import status_file
from agent.service.status_file import AgentStatus
from agent.settings.sections import AgentSettings
from host.clock import Clock
from host.exits import Exit
from host.lock import is_held
from host.units import counted
from outbox.journal import file as journal_file
from outbox.journal import heartbeat
from outbox.journal import store as journal_store
from outbox.rows import Counts
from wire.messages import envelope as messages
from wire.messages.envelope import Fault
from wire.records import ClockReading, Direction, FloorMeasurement, ReachabilityValues, Record, Standing

# More than four hours at the default cadence, hence no mere delay.
MANY_WAITING = 500
UNSEEN = "rule out the site's own traffic, which is not counted (line_counters), then tell the supplier"
FORGOTTEN_AFTER = 3  # intervals without a new one while others continue: the settings no longer ask for it


@dataclass(frozen=True, slots=True)
class NewestResult:
    """Newest measurement of a task, and the time since its begin."""

    line: ReportLine
    age_s: float


@dataclass(frozen=True, slots=True)
class DirectionStanding:
    """Standing of a direction's floor, and the time since the begin of its newest measurement."""

    direction: Direction
    standing: Standing
    evidence: float
    age_s: float

    @property
    def words(self) -> str:
        """Standing in words, of a suspect with its share of the evidence for a condemnation."""
        share = max(0.0, self.evidence / CHOSEN.condemns_at)
        return (
            f"suspect ({share:.0%} of the evidence)" if self.standing is Standing.SUSPECT else self.standing
        )


@dataclass(frozen=True, slots=True)
class StatusView:
    """Content of the screen."""

    settings: AgentSettings
    now: ClockReading
    running: bool
    has_journal: bool  # a running agent has it open, with or without a status file
    status: AgentStatus | None
    counts: Counts | None
    journal_problem: str
    results: tuple[NewestResult, ...]
    standings: tuple[DirectionStanding, ...]

    def problems(self) -> list[str]:
        """Problems, each with its remedy, most basic first."""
        found = [_not_running(self), self.journal_problem, *_uplink_problems(self)]
        found += [_result_problem(one.line) for one in self.results if self._has_problem(one.line)]
        found += [f"outage, {remedies.outage_advice(one)}" for one in _open_outages(self)]
        found += self.status.findings if self.running and self.status else ()
        seen = self.settings.line_counters.source != "none"
        advice = "tell the supplier" if seen else UNSEEN
        found += [
            f"floor {one.direction}: condemned: test after test is below the floor, and a search agreed:"
            f" {advice}"
            for one in self.standings
            if one.standing is Standing.CONDEMNED
        ]
        return [text for text in found if text]

    def _has_problem(self, line: ReportLine) -> bool:
        """True for a result that is a problem, and that no other line of problems is about."""
        if line.verdict == OPEN_OUTAGE and self.running:
            return False
        condemned = {f"floor {one.direction}" for one in self.standings if one.standing is Standing.CONDEMNED}
        return line.tone is Tone.NEITHER or (line.tone is Tone.FAIL and line.task not in condemned)


def main(chosen: AgentSettings, *, json: bool) -> int:
    """Print the status; exit 0 if the agent is running without a problem, else 1."""
    view = look(chosen, Clock().read())
    if json:
        print(_json(view))  # noqa: T201 -- the command's result
    else:
        _print(view)
    return Exit.FAIL if view.problems() else Exit.OK


def look(chosen: AgentSettings, now: ClockReading) -> StatusView:
    """Read status file and journal without changing them."""
    status = status_file.read(Path(chosen.runtime_directory))
    counts, records, standing, problem = _read_journal(journal_file.place(Path(chosen.journal.path)))
    return StatusView(
        settings=chosen,
        now=now,
        running=status_file.is_running(status, now),
        has_journal=is_held(Path(chosen.journal.path)),
        status=status,
        counts=counts,
        journal_problem=problem,
        results=_newest(records, now),
        standings=tuple(_stand(record, now) for record in standing if _is_asked_for(chosen, record)),
    )


def _is_asked_for(chosen: AgentSettings, record: FloorMeasurement) -> bool:
    promised = chosen.floor.up if record.direction is Direction.UP else chosen.floor.down
    return promised is not None


def _stand(record: FloorMeasurement, now: ClockReading) -> DirectionStanding:
    direction, values = record.direction or Direction.DOWN, record.values
    standing = values.standing if values else None
    evidence = values.evidence if values else None
    return DirectionStanding(
        direction, standing or Standing.CLEAR, evidence or 0.0, _age_s(record.start, now)
    )


def _read_journal(path: Path) -> tuple[Counts | None, list[Record], list[FloorMeasurement], str]:
    try:
        path.stat()
    except FileNotFoundError:
        return None, [], [], ""
    except OSError as error:
        return None, [], [], f"journal: cannot read {path} ({error.strerror}): are you the agent's user?"
    try:
        with closing(journal_file.read_only(path)) as connection:
            counts = journal_store.counts(connection)
            decoded = [messages.decode_measurement(raw) for raw in journal_store.newest_records(connection)]
            floors = [journal_store.resumable(connection, f"floor-{direction}") for direction in Direction]
    except sqlite3.Error as error:
        hint = "" if os.access(path, os.R_OK) else ": are you the agent's user?"
        return None, [], [], f"journal: cannot read {path} ({error}){hint}"
    standing = [messages.decode_measurement(raw) for raw in floors if raw is not None]
    return (
        counts,
        [record for record in decoded if not isinstance(record, Fault)],
        [record for record in standing if isinstance(record, FloorMeasurement)],
        "",
    )


def _newest(records: list[Record], now: ClockReading) -> tuple[NewestResult, ...]:
    newest: dict[str, NewestResult] = {}
    ages = [_age_s(record.start, now) for record in records]
    for record, age_s in zip(records, ages, strict=True):
        # Relative to the newest record: a stopped agent must still show its last results.
        if age_s - min(ages) <= FORGOTTEN_AFTER * (record.interval_us or 0) / 1e6:
            one = NewestResult(report.line(record), age_s)
            newest.setdefault(one.line.task, one)
    return tuple(newest[task] for task in sorted(newest))


def _age_s(then: ClockReading, now: ClockReading) -> float:
    # The boot clock does not step, but two boots have none in common.
    if then.boot_id == now.boot_id:
        return (now.boot_us - then.boot_us) / 1e6
    return (now.wall_us - then.wall_us) / 1e6


def _not_running(view: StatusView) -> str:
    if view.running:
        return ""
    if view.has_journal:
        place = view.settings.runtime_directory
        return (
            "the agent is running, but writes no status file:"
            f" may its user write {place}, and is it not full? See its log"
        )
    start = "start its service, or `plancher-agent run`"
    if view.counts is None and not view.journal_problem:
        journal = Path(view.settings.journal.path)
        if heartbeat.path_beside(journal).exists():
            # It lies beside the journal from the first start on.
            return f"the agent is not running, and its journal {journal} is gone: {start}; it begins another"
        return f"the agent never ran: no journal at {journal}: {start}"
    return f"the agent is not running: {start}; see its log for why it ended"


def _result_problem(line: ReportLine) -> str:
    parts = (line.task, line.verdict, line.advice or line.figures)
    return ": ".join(part for part in parts if part)


def _open_outages(view: StatusView) -> tuple[ReachabilityValues, ...]:
    return view.status.outages if view.running and view.status else ()


def _outage(one: ReachabilityValues, now: ClockReading) -> str:
    """Cause and duration of an outage, and the targets that answer."""
    asked = (
        ("gateway", one.gateway),
        ("first hop", one.first_hop),
        ("peer", one.peer),
        ("broker", one.broker),
        ("collector", one.collector),
    )
    parts = [f"{one.cause}, since {_span(max(0.0, _age_s(one.begin, now)))}"]
    for wanted, words in ((True, "answering"), (False, "silent")):
        names = [name for name, answers in asked if answers is wanted]
        parts += [f"{words}: {', '.join(names)}"] if names else []
    parts += [f"not asked: {', '.join(one.unasked)}"] if one.unasked else []
    parts += ["something answers in the broker's place"] if one.impostor else []
    return "; ".join(parts)


def _uplink_problems(view: StatusView) -> list[str]:
    counts, found = view.counts, []
    if view.running and view.status and view.status.broker_problem:
        found.append(view.status.broker_problem)
    if view.running and view.status and view.status.journal_problem:
        found.append(
            f"journal: {view.status.journal_problem}: measurements are kept in memory, eight hours of them:"
            " free the disk or repair it"
        )
    if counts and counts.waiting > MANY_WAITING:
        found.append(
            f"{counts.waiting} measurements are not received by the collector: check broker and collector"
        )
    if counts and counts.rejected:
        found.append(
            f"the collector rejected {counted(counts.rejected, 'measurement')}: kept, and sent again"
            " daily; see its log"
        )
    if counts and counts.conflict:
        found.append(
            f"{counted(counts.conflict, 'measurement')} in conflict with those of the collector: was a disk"
            " cloned?"
        )
    if counts and counts.gaps:
        found.append(
            f"{counted(counts.gaps, 'measurement')} lost: disk or journal.size full, or a damaged file"
        )
    return found


def _json(view: StatusView) -> str:
    results: list[dict[str, Any]] = [
        {**msgspec.to_builtins(one.line), "age_s": round(one.age_s, 3)} for one in view.results
    ]
    document = {
        "site": view.settings.site,
        "peer": {"name": view.settings.peer.name, "host": view.settings.peer.host},
        "running": view.running,
        "status": view.status if view.running else None,
        "clock": view.now,
        "journal": view.counts,
        "results": results,
        "standings": view.standings,
        "problems": view.problems(),
    }
    return msgspec.json.encode(document).decode()


def _print(view: StatusView) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    for name, text in _facts(view):
        console.print(f"[bold]{name:<9}[/] {escape(text)}")
    for one in view.results:
        verdict = f"[{one.line.tone.style}]{one.line.verdict:<11}[/]"  # unconfirmed is the longest
        console.print(f"[bold]{one.line.task:<14}[/] {verdict} {escape(one.line.figures)}  {_ago(one.age_s)}")
    problems = view.problems()
    console.print("[green]nothing is wrong[/]" if not problems else "[bold yellow]what is wrong[/]")
    for problem in problems:
        console.print(f"  {escape(problem)}")


def _facts(view: StatusView) -> list[tuple[str, str]]:
    settings, status, counts = view.settings, view.status, view.counts
    facts = [("site", settings.site)]
    if view.running and status:
        since = _ago((view.now.boot_us - status.started.boot_us) / 1e6)
        facts.append(("agent", f"{status.version}, process {status.process}, started {since}"))
    else:
        facts.append(("agent", "running, but silent" if view.has_journal else "not running"))
    peer = settings.peer
    facts.append(("peer", f"{peer.name} at {peer.host}, UDPSTP {peer.udpstp_port}, STAMP {peer.stamp_port}"))
    facts.append(("broker", _broker(view)))
    facts.append(("clock", _clock(view.now)))
    if counts:
        facts.append(
            ("journal", f"{counts.waiting} waiting, {counts.committed} committed, {counts.used / 1e6:.1f} MB")
        )
    facts += [("outage", _outage(one, view.now)) for one in _open_outages(view)]
    if view.standings:
        text = ", ".join(f"{one.direction} {one.words}, {_ago(one.age_s)}" for one in view.standings)
        facts.append(("standing", text))
    if view.running and status:
        facts.append(("next", _next(status, view.now)))
    return facts


def _broker(view: StatusView) -> str:
    place = f"{view.settings.broker.host}:{view.settings.broker.port}"
    if not view.running or view.status is None:
        return place
    if view.status.broker_problem:
        return f"{place}, not connected"
    receipt = view.status.last_receipt
    text = "no receipt yet" if receipt is None else f"last receipt {_ago(_age_s(receipt, view.now))}"
    return f"{place}, connected, {text}"


def _clock(now: ClockReading) -> str:
    if not now.synchronised:
        return "not synchronised: one-way delays are not measured; let NTP through at the site"
    error = "" if now.max_error_us is None else f", at most {now.max_error_us / 1000:.1f} ms off"
    return f"synchronised{error}"


def _next(status: AgentStatus, now: ClockReading) -> str:
    starts = sorted(status.next_starts.items(), key=lambda item: item[1])
    text = [f"{name} in {_span(max(0, wall_us - now.wall_us) / 1e6)}" for name, wall_us in starts]
    return ", ".join([f"{name} now" for name in status.running] + text) or "nothing is scheduled"


def _ago(seconds: float) -> str:
    return f"{_span(max(0.0, seconds))} ago"


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
