"""Part ``rtt``: error of round-trip times by three tools, on an idle and on a busy machine.

The error of a packet is the tool's round trip minus the time of packet and answer inside the link. That time
is taken between the kernel's stamps at the router's two devices. Time outside counts as error, for every tool
alike:

- a veth crossing at each end in each direction, and sockets;
- the far end's answer, as far as the tool does not subtract it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from lab.bench.accuracy.result import (
    Bar,
    BenchEffort,
    Headline,
    PartResult,
    ResultRow,
    ResultTable,
    SampleSummary,
    Tell,
    rank,
)
from lab.bench.accuracy.tools import truth
from lab.bench.accuracy.tools.busy import busy
from lab.bench.accuracy.tools.round_trip_tools import Tool, ToolTestbed
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
    OURS: (ToolTestbed.stamp, truth.stamp_number),
    "ping": (ToolTestbed.ping, truth.ping_number),
    "irtt": (ToolTestbed.irtt, truth.irtt_number),
}
NOTE = (
    "Time outside the link's log (veth crossings, sockets) counts as error; `ping` prints 0.1 ms steps "
    f"above 10 ms, 1 ms steps above 100. {PACKETS} packets a run, one every {INTERVAL_S * 1e3:g} ms."
)

# True round trip and the tool's, in ns, for each packet that returned.
Pairs = list[tuple[int, int]]


@dataclass(slots=True)
class RoundTripCase:
    """One delay and load, with the results of each tool, run by run."""

    delay_ms: int
    busy: int
    runs: dict[str, list[Pairs]] = field(default_factory=lambda: {name: [] for name in TOOLS})

    @property
    def label(self) -> str:
        """Name of the case in tables."""
        load = f"{self.busy} busy processes" if self.busy else "idle"
        return f"{self.delay_ms} ms each way, {load}"

    def errors_us(self, tool: str) -> list[float]:
        """Return the absolute errors of all packets, sorted."""
        return sorted(abs(measured - true) / 1e3 for pairs in self.runs[tool] for true, measured in pairs)

    def error_us(self, tool: str, percent: int) -> float:
        """Return a percentile of the errors; infinite for a tool that measured nothing."""
        errors = self.errors_us(tool)
        return rank(errors, percent) if errors else math.inf

    def truths_ns(self) -> list[int]:
        """Return the true round trips of our own packets, sorted."""
        return sorted(true for pairs in self.runs[OURS] for true, _ in pairs)

    def figure_errors_us(self, tool: str, percent: int) -> list[float]:
        """Return the tool's percentile minus the true percentile of the same packets, run by run."""
        return [
            (percentile(sorted(measured), percent) - percentile(sorted(true), percent)) / 1e3
            for true, measured in (zip(*pairs, strict=True) for pairs in self.runs[tool] if pairs)
        ]


def measure(effort: BenchEffort, tell: Tell) -> PartResult:
    """Run the part ``rtt``."""
    cases = []
    for delay_ms in DELAYS_MS:
        line = KernelLineSettings(delay=delay_ms * 10**6)
        with ToolTestbed(KernelLinkSettings(line, line, logged=True)) as testbed:
            for processes in BUSY:
                case = RoundTripCase(delay_ms, processes)
                cases.append(case)
                with busy(processes):
                    _fill(case, testbed, effort.times(SHORT_RUNS, FULL_RUNS))
                tell(f"{case.label}: {', '.join(_brief(case, tool) for tool in TOOLS)}")
    return judge(cases)


def _fill(case: RoundTripCase, testbed: ToolTestbed, runs: int) -> None:
    for _ in range(runs):
        for name, (tool, key) in TOOLS.items():
            testbed.link.forget_log()
            shown = tool(testbed, PACKETS, INTERVAL_S)
            true = truth.round_trips(testbed.link, key)
            case.runs[name].append([(true[number], shown[number]) for number in true.keys() & shown.keys()])


def _brief(case: RoundTripCase, tool: str) -> str:
    return f"{tool} {case.error_us(tool, 50):.0f}/{case.error_us(tool, 99):.0f} us"


def judge(cases: Sequence[RoundTripCase]) -> PartResult:
    """Build tables, bars and headline from measured cases."""
    each = ResultTable(
        title="Absolute error of each packet's round trip, in microseconds",
        rows=tuple(_error_row(case, percent) for case in cases for percent in BUDGET_US),
        decimals=0,
        truth="true RTT, ms",
        ratio="ours / best other",
        note=NOTE,
    )
    percentiles = ResultTable(
        title="Error of the percentile of a train of 100 packets, in microseconds",
        rows=tuple(_figure_row(case, percent) for case in cases for percent in BUDGET_US),
        decimals=0,
        truth="true RTT, ms",
    )
    return PartResult((each, percentiles), tuple(_bars(cases)), tuple(_headlines(cases)))


def _error_row(case: RoundTripCase, percent: int) -> ResultRow:
    errors = {tool: case.error_us(tool, percent) for tool in TOOLS}
    others = {tool: error for tool, error in errors.items() if tool != OURS}
    best = min(others.values())
    return ResultRow(
        case=f"{case.label}, {_name(percent)}",
        truth=_true(case, percent),
        ours=errors[OURS],
        others=others,
        ratio=errors[OURS] / best if best else None,
        more={"packets": len(case.errors_us(OURS))},
    )


def _figure_row(case: RoundTripCase, percent: int) -> ResultRow:
    figures = {tool: SampleSummary.of(case.figure_errors_us(tool, percent)) for tool in TOOLS}
    others = {tool: figure for tool, figure in figures.items() if tool != OURS}
    return ResultRow(f"{case.label}, {_name(percent)}", _true(case, percent), figures[OURS], others)


def _true(case: RoundTripCase, percent: int) -> str:
    truths = case.truths_ns()
    return f"{percentile(truths, percent) / 1e6:.3f}" if truths else "none"


def _bars(cases: Sequence[RoundTripCase]) -> list[Bar]:
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


def _headlines(cases: Sequence[RoundTripCase]) -> list[Headline]:
    """Return one line for an idle machine and one for a busy one: the median over the delays."""
    found = []
    for processes in BUSY:
        chosen = [case for case in cases if case.busy == processes]
        if not chosen:
            continue
        load = f"{processes} busy processes" if processes else "idle"
        errors = {
            tool: " / ".join(
                f"{median(case.error_us(tool, percent) for case in chosen):.0f}" for percent in BUDGET_US
            )
            for tool in TOOLS
        }
        others = ", ".join(f"{tool} {text}" for tool, text in errors.items() if tool != OURS)
        question = f"error of one RTT, median / 99th percentile, µs, {load}"
        found.append(Headline(question, "the link's log of each packet", errors[OURS], others))
    return found


def _name(percent: int) -> str:
    return f"p{percent}"
