"""Part ``capacity``: searches on lines of known rate, and processor time for a gigabyte beside iperf3's.

The searches are the capacity probe's own, wired as in an agent, up to 1 Gbit/s. Processor time is measured by
fixed-rate loads over a line without a limit (``lab.bench.load``).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import structs

from agent import configuration
from agent.probes.capacity.probe import CapacityProbe
from agent.probes.capacity.settings import CapacitySettings
from agent.service import wiring
from agent.task.task import Reading
from host.clock import Clock
from host.units import ByteSize
from lab.bench import load as bench_load
from lab.bench.accuracy.result import (
    Bar,
    BenchEffort,
    Headline,
    PartResult,
    ResultRow,
    ResultTable,
    SampleSummary,
    Tell,
)
from lab.bench.accuracy.tools.side_by_side import Turns, all_measured, measure_each, teller
from lab.bench.load_tools import Cost
from lab.netns import inside
from lab.netns.links.joining import join_arrivals
from lab.netns.names import LinkNode
from lab.testbed.line_testbed import LineTestbed, shaped
from wire.records import Bound, CapacityValues, Direction, Outcome

SLOW_MBPS, MIDDLE_MBPS, FAST_MBPS = (4, 8, 20), (100,), (500, 1000)
SLOW_AT_ONCE, MIDDLE_AT_ONCE = 6, 2
SHORT_LOADS_MBPS, FULL_LOADS_MBPS = (1000,), (100, 500, 1000)
LOAD_S = 3
SHORT_RUNS, FULL_RUNS = 3, 10
SHORT_ROUNDS, FULL_ROUNDS = 2, 5
# Extra searches in place of invalid ones, which are counted and say nothing of the line.
SPARE = 2

WITHIN = 0.01
# Bounds of a search that found the line's rate. One that reached the highest requested rate found it too.
OF_THE_LINE = (None, Bound.REQUESTED_RATE)

# A monthly byte budget that no benchmark spends.
UNLIMITED = ByteSize(10**13)

SEARCH_NOTE = (
    "The best second of a search of 10 s up to 1 Gbit/s (RFC 9097 algorithm B). Error: the largest "
    "of all searches; a lower bound counts only where it is too high. Lines of 4 to 20 Mbit/s are "
    "measured beside each other; at 500 and 1000 Mbit/s the ends join packets (GRO), as network cards do."
)
COST_NOTE = (
    f"User and system time of both ends together; loads of {LOAD_S} s, UDP packets of the same size at the "
    "same rate, and one TCP connection. Packets cross the line one by one; with GRO the receiving device "
    "joins them, as network cards do."
)


@dataclass(slots=True)
class CapacityCase:
    """One rate and direction, with the readings of its searches."""

    rate_mbps: float
    direction: Direction
    readings: list[Reading] = field(default_factory=list)
    problem: str = ""

    @property
    def label(self) -> str:
        """Name of the case in tables."""
        return f"{self.rate_mbps:g} Mbit/s {self.direction}"

    def found(self) -> list[CapacityValues]:
        """Return the values of the searches that count."""
        values = (one.values for one in self.readings if one.outcome is Outcome.OK)
        return [one for one in values if isinstance(one, CapacityValues)]

    def maxima_mbps(self) -> list[float]:
        """Return the maxima of the searches that count."""
        return [one.maximum_bps / 1e6 for one in self.found()]

    @property
    def bounds(self) -> str:
        """Bounds other than the line that the searches reported, with their numbers."""
        values = (one.values for one in self.readings)
        said = [one.bound for one in values if isinstance(one, CapacityValues) and one.bound]
        return ", ".join(f"{bound} ({said.count(bound)})" for bound in dict.fromkeys(said))

    @property
    def error(self) -> float | None:
        """Largest error of a search that claims the line's rate, as a share of it.

        A search limited otherwise (RFC 9097 section 6.5) gives a lower bound, which is wrong only where it is
        too high.
        """
        errors = [one.maximum_bps / 1e6 / self.rate_mbps - 1 for one in self.found()]
        bounds = [one.bound not in OF_THE_LINE for one in self.found()]
        claims = (
            max(error, 0.0) if bound else abs(error) for error, bound in zip(errors, bounds, strict=True)
        )
        return max(claims, default=None)

    @property
    def median_error(self) -> float | None:
        """Error of the median of all searches that count, lower bounds included."""
        figure = SampleSummary.of(self.maxima_mbps())
        return None if figure is None else abs(figure.median / self.rate_mbps - 1)


def measure(effort: BenchEffort, tell: Tell) -> PartResult:
    """Run the part ``capacity``."""
    runs = effort.times(SHORT_RUNS, FULL_RUNS)

    def fill(case: CapacityCase, turns: Turns) -> None:
        with LineTestbed(shaped(case.rate_mbps)) as testbed:
            if case.rate_mbps in FAST_MBPS:
                join_arrivals(testbed.link)
            site = testbed.link.namespace(LinkNode.SITE)
            for _ in turns(runs + SPARE):
                if len(case.found()) == runs:
                    break
                case.readings.append(inside.call(site, search, testbed.agent_file, case.direction))

    found: list[CapacityCase] = []
    for rates, at_once in ((SLOW_MBPS, SLOW_AT_ONCE), (MIDDLE_MBPS, MIDDLE_AT_ONCE), (FAST_MBPS, 1)):
        cases = [CapacityCase(rate, direction) for rate in rates for direction in Direction]
        measure_each(cases, at_once, fill, teller(tell, _words))
        found += cases
    rounds = effort.times(SHORT_ROUNDS, FULL_ROUNDS)
    rates_mbps = FULL_LOADS_MBPS if effort.full else SHORT_LOADS_MBPS
    loads = [
        row
        for enter in (bench_load.kernel_link, bench_load.joining_link)
        for row in bench_load.measure(enter, rates_mbps, rounds, LOAD_S, tell)
    ]
    return judge(found, loads, runs)


def search(agent_file: Path, direction: Direction) -> Reading:
    """Run one search by the probe; called inside the site's namespace."""
    chosen = configuration.load(agent_file)
    capacity = structs.replace(chosen.section(CapacitySettings), day_budget=UNLIMITED, month_budget=UNLIMITED)
    probe = CapacityProbe.of(wiring.probe_context(structs.replace(chosen, capacity=capacity), Clock().read))
    task = next(task for task in probe.tasks() if task.direction is direction)
    return asyncio.run(probe.run(task, lambda _: None))  # fmt: skip


def _words(case: CapacityCase) -> str:
    maxima = ", ".join(f"{found:.3f}" for found in case.maxima_mbps())
    return f"{maxima or 'nothing'} {case.bounds}".rstrip()


def judge(cases: Sequence[CapacityCase], loads: Sequence[bench_load.LoadRow], runs: int) -> PartResult:
    """Build tables, bars and headlines from searches and loads."""
    searches = ResultTable(
        title="Maximum IP-layer capacity found, Mbit/s",
        rows=tuple(map(_search_row, cases)),
        decimals=3,
        truth="shaped IP rate, Mbit/s",
        note=SEARCH_NOTE,
    )
    costs = ResultTable(
        title="Processor seconds for a gigabyte (10^9 bytes)",
        rows=tuple(map(_cost_row, loads)),
        decimals=2,
        truth="rate asked for, Mbit/s",
        ratio="ours / iperf3 UDP",
        note=COST_NOTE,
    )
    return PartResult((searches, costs), tuple(_bars(cases, loads, runs)), tuple(_headlines(cases, loads)))


def _search_row(case: CapacityCase) -> ResultRow:
    return ResultRow(
        case=case.label,
        truth=float(case.rate_mbps),
        ours=SampleSummary.of(case.maxima_mbps()),
        more={
            "error, %": None if case.error is None else 100 * case.error,
            "of the median, %": None if case.median_error is None else 100 * case.median_error,
            "invalid or failed": sum(one.outcome is not Outcome.OK for one in case.readings),
            "limited by": case.bounds or None,
        },
    )


def _cost_row(row: bench_load.LoadRow) -> ResultRow:
    others = {"iperf3 UDP": _per_gb(row.udp), "iperf3 TCP": _per_gb(row.tcp)}
    ours, theirs = _per_gb(row.ours), others["iperf3 UDP"]
    return ResultRow(
        case=row.name,
        truth=row.rate_mbps,
        ours=ours,
        others=others,
        ratio=ours.median / theirs.median if ours and theirs else None,
        more={
            "received, Mbit/s": _figure(row.ours, lambda cost: cost.received_bps / 1e6),
            "iperf3 UDP received": _figure(row.udp, lambda cost: cost.received_bps / 1e6),
            "iperf3 TCP received": _figure(row.tcp, lambda cost: cost.received_bps / 1e6),
        },
    )


def _per_gb(costs: Sequence[Cost]) -> SampleSummary | None:
    return _figure(costs, lambda cost: cost.per_gb)


def _figure(costs: Iterable[Cost], figure: Callable[[Cost], float]) -> SampleSummary | None:
    return SampleSummary.of(figure(cost) for cost in costs)


def _bars(cases: Sequence[CapacityCase], loads: Sequence[bench_load.LoadRow], runs: int) -> list[Bar]:
    astray = [case.label for case in cases if case.error is not None and case.error > WITHIN]
    off = [case.label for case in cases if case.median_error is not None and case.median_error > WITHIN]
    lacking = [case.label for case in cases if len(case.maxima_mbps()) < runs]
    problems = [f"{row.name}: {problem}" for row in loads for problem in row.problems]
    dear = [row.name for row in loads if row.place == bench_load.JOINED and _is_dearer(row)]
    return [
        Bar("every search is within 1 % of the shaped IP rate, or names another limit" + _names(astray),
            met=not astray),
        Bar("the median of the searches is within 1 % at each rate and direction" + _names(off), met=not off),
        Bar(f"{runs} searches that count at each rate and direction" + _names(lacking), met=not lacking),
        Bar("with GRO, a gigabyte costs no more processor time than with iperf3's UDP"
            + _names(dear), met=not dear),
        Bar("every load was measured" + _names(problems), met=bool(loads) and not problems),
        all_measured(cases),
    ]  # fmt: skip


def _is_dearer(row: bench_load.LoadRow) -> bool:
    ours, theirs = _per_gb(row.ours), _per_gb(row.udp)
    return ours is not None and theirs is not None and ours.median > theirs.median


def _names(labels: Sequence[str]) -> str:
    return f"; not {', '.join(labels)}" if labels else ""


def _headlines(cases: Sequence[CapacityCase], loads: Sequence[bench_load.LoadRow]) -> list[Headline]:
    errors = [case.median_error for case in cases if case.median_error is not None]
    worst = f"{max(errors):.2%}" if errors else "none"
    rates = sorted({case.rate_mbps for case in cases})
    span = f"{rates[0]:g} Mbit/s to {rates[-1]:g} Mbit/s" if rates else "no line"
    question = f"capacity, {span}, both directions: error of the median capacity at the worst rate"
    return [Headline(question, "0 %", worst), *_costs(loads)]


def _costs(loads: Sequence[bench_load.LoadRow]) -> Iterator[Headline]:
    """Yield a line for each kind of link at the highest rate, both directions; the table has each."""
    fastest = max((row.rate_mbps for row in loads), default=0)
    fastest_rows = [row for row in loads if row.rate_mbps == fastest]
    for place in dict.fromkeys(row.place for row in fastest_rows):
        rows = [row for row in fastest_rows if row.place == place]
        ours, udp, tcp = (
            _span(_per_gb(costs) for costs in each)
            for each in zip(*((row.ours, row.udp, row.tcp) for row in rows), strict=True)
        )
        question = f"processor seconds to move a gigabyte at {fastest} Mbit/s, both ends, {place}"
        yield Headline(question, "-", ours, f"iperf3 UDP {udp}, TCP {tcp}")


def _span(figures: Iterable[SampleSummary | None]) -> str:
    medians = sorted(figure.median for figure in figures if figure is not None)
    return f"{medians[0]:.2f} to {medians[-1]:.2f}" if medians else "none"
