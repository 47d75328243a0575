"""Round-trip time: how far each tool is from the link's own log of its packets, idle and on a busy machine.

A packet's error is the tool's round trip minus the time that this packet and its answer spent inside the
link, between the kernel's stamps at the router's two devices. What lies outside (a veth crossing at each end
each way, sockets, the far end's answer as far as the tool does not subtract it) is thereby counted as error,
for every tool alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from lab.bench.accuracy.result import Bar, Effort, Figure, Headline, Result, Row, Table, Tell, rank
from lab.bench.accuracy.tools import truth
from lab.bench.accuracy.tools.busy import busy
from lab.bench.accuracy.tools.round_trip_tools import Tool, ToolStand
from lab.bench.accuracy.tools.truth import Key
from lab.netns.settings import KernelLineSettings, KernelLinkSettings
from wire.stamp.statistics import percentile

DELAYS_MS = (0, 5, 20, 50)
BUSY = (0, 2)
PACKETS, INTERVAL_S = 100, 0.02
SHORT_RUNS, FULL_RUNS = 5, 40
BUDGET_US = {50: 50.0, 99: 250.0}
OURS = "Plancher"
TOOLS: dict[str, tuple[Tool, Key]] = {
    OURS: (ToolStand.stamp, truth.stamp_number),
    "ping": (ToolStand.ping, truth.ping_number),
    "irtt": (ToolStand.irtt, truth.irtt_number),
}
NOTE = (
    "What the link's log does not contain (veth crossings, sockets) counts as error; `ping` prints 0.1 ms "
    f"above 10 ms, 1 ms above 100. {PACKETS} packets a run, one every {INTERVAL_S * 1e3:g} ms."
)

Pairs = list[tuple[int, int]]
"""Of each packet that came back: the truth and what the tool said, ns."""


@dataclass(slots=True)
class Case:
    """One delay and load, and what each tool said there, run by run."""

    delay_ms: int
    busy: int
    runs: dict[str, list[Pairs]] = field(default_factory=lambda: {name: [] for name in TOOLS})

    @property
    def label(self) -> str:
        """For a person."""
        load = f"{self.busy} busy processes" if self.busy else "idle"
        return f"{self.delay_ms} ms each way, {load}"

    def errors_us(self, tool: str) -> list[float]:
        """Of every packet, without sign, sorted."""
        return sorted(abs(told - true) / 1e3 for pairs in self.runs[tool] for true, told in pairs)

    def error_us(self, tool: str, percent: int) -> float:
        """That percentile of the errors; infinite for a tool that measured nothing."""
        errors = self.errors_us(tool)
        return rank(errors, percent) if errors else math.inf

    def truths_ns(self) -> list[int]:
        """The true round trips of our own packets, sorted."""
        return sorted(true for pairs in self.runs[OURS] for true, _ in pairs)

    def figure_errors_us(self, tool: str, percent: int) -> list[float]:
        """Run by run: the tool's percentile minus the true percentile of the same packets."""
        return [
            (percentile(sorted(told), percent) - percentile(sorted(true), percent)) / 1e3
            for true, told in (zip(*pairs, strict=True) for pairs in self.runs[tool] if pairs)
        ]


def measure(effort: Effort, tell: Tell) -> Result:
    """The part ``rtt``."""
    cases = []
    for delay_ms in DELAYS_MS:
        line = KernelLineSettings(delay=delay_ms * 10**6)
        with ToolStand(KernelLinkSettings(line, line, logged=True)) as stand:
            for processes in BUSY:
                case = Case(delay_ms, processes)
                cases.append(case)
                with busy(processes):
                    _fill(case, stand, effort.times(SHORT_RUNS, FULL_RUNS))
                tell(f"{case.label}: {', '.join(_brief(case, tool) for tool in TOOLS)}")
    return judge(cases)


def _fill(case: Case, stand: ToolStand, runs: int) -> None:
    for _ in range(runs):
        for name, (tool, key) in TOOLS.items():
            stand.link.forget_log()
            told = tool(stand, PACKETS, INTERVAL_S)
            true = truth.round_trips(stand.link, key)
            case.runs[name].append([(true[number], told[number]) for number in true.keys() & told.keys()])


def _brief(case: Case, tool: str) -> str:
    return f"{tool} {case.error_us(tool, 50):.0f}/{case.error_us(tool, 99):.0f} us"


def judge(cases: Sequence[Case]) -> Result:
    """Tables, bars and headline of measured cases."""
    each = Table(
        title="Error of each packet's round trip, without sign, in microseconds",
        rows=tuple(_error_row(case, percent) for case in cases for percent in BUDGET_US),
        decimals=0,
        truth="true RTT, ms",
        ratio="ours / best other",
        note=NOTE,
    )
    told = Table(
        title="Error of the percentile that a train of 100 packets tells, in microseconds",
        rows=tuple(_figure_row(case, percent) for case in cases for percent in BUDGET_US),
        decimals=0,
        truth="true RTT, ms",
    )
    return Result((each, told), tuple(_bars(cases)), tuple(_headlines(cases)))


def _error_row(case: Case, percent: int) -> Row:
    errors = {tool: case.error_us(tool, percent) for tool in TOOLS}
    others = {tool: error for tool, error in errors.items() if tool != OURS}
    best = min(others.values())
    return Row(
        case=f"{case.label}, {_name(percent)}",
        truth=_true(case, percent),
        ours=errors[OURS],
        others=others,
        ratio=errors[OURS] / best if best else None,
        more={"packets": len(case.errors_us(OURS))},
    )


def _figure_row(case: Case, percent: int) -> Row:
    figures = {tool: Figure.of(case.figure_errors_us(tool, percent)) for tool in TOOLS}
    others = {tool: figure for tool, figure in figures.items() if tool != OURS}
    return Row(f"{case.label}, {_name(percent)}", _true(case, percent), figures[OURS], others)


def _true(case: Case, percent: int) -> str:
    truths = case.truths_ns()
    return f"{percentile(truths, percent) / 1e6:.3f}" if truths else "none"


def _bars(cases: Sequence[Case]) -> list[Bar]:
    found = []
    for percent, budget in BUDGET_US.items():
        worst = max(cases, key=lambda case: case.error_us(OURS, percent))
        error = worst.error_us(OURS, percent)
        text = f"{_name(percent)} of the error at most {budget:g} us: worst {error:.0f} us ({worst.label})"
        found.append(Bar(text, met=error <= budget))
    short = [
        case.label for case in cases if not all(case.runs[tool] and all(case.runs[tool]) for tool in TOOLS)
    ]
    return [
        *found,
        Bar("every tool measured every case" + "".join(f"; not {one}" for one in short), met=not short),
    ]


def _headlines(cases: Sequence[Case]) -> list[Headline]:
    """One line an idle machine, one a busy one: the median over the delays."""
    found = []
    for processes in BUSY:
        chosen = [case for case in cases if case.busy == processes]
        if not chosen:
            continue
        load = f"{processes} busy processes" if processes else "idle"
        told = {
            tool: " / ".join(
                f"{median(case.error_us(tool, percent) for case in chosen):.0f}" for percent in BUDGET_US
            )
            for tool in TOOLS
        }
        others = ", ".join(f"{tool} {text}" for tool, text in told.items() if tool != OURS)
        question = f"error of a packet's RTT, p50 / p99, µs, {load}"
        found.append(Headline(question, "the link's log of each packet", told[OURS], others))
    return found


def _name(percent: int) -> str:
    return f"p{percent}"
