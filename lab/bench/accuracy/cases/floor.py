"""Part ``floor``: floor verdicts beside iperf3's, on lines of known rate.

iperf3's TCP goodput is converted to the IP layer. It is compared with the floor, as its user would do.
iperf3 always decides; our verdict may be undetermined. The bytes of an answer are counted at the line
itself, for both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
from lab.bench.verdicts import Verdicts
from lab.testbed.kernel_testbed import FLOOR_BPS
from lab.testbed.line_testbed import TO_IP_LAYER, LineTestbed, shaped
from wire.records import Direction, Verdict

RATES = (7.2, 7.6, 7.8, 8.2, 8.4, 9, 20, 100)
CONTROLS = ("cubic", "bbr")
SECONDS = (3, 10)
SHORT_RUNS, FULL_RUNS = 20, 50
SHORT_IPERF, FULL_IPERF = 2, 10
# Lines of mostly 8 Mbit/s need less than half of two cores, and no test delays another.
LINKS_AT_ONCE = 8

NEAR, FAR = 0.025, 0.05
DECISIVE = {NEAR: 0.95, FAR: 0.99}
FIRST_TEST_BYTES = 2_200_000
VERDICT_NOTE = (
    "right / wrong. iperf3: TCP, received goodput x 1500/1448 compared with the floor, "
    "congestion control and length as named."
)
COST_NOTE = "IP-layer bytes that crossed the line both ways, counted at its queues."


@dataclass(slots=True)
class IperfAnswers:
    """Answers of iperf3, run by run: bit/s at the IP layer, and MB on the line."""

    rates_bps: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)


def _tools() -> dict[str, IperfAnswers]:
    return {f"iperf3 {control} {seconds} s": IperfAnswers() for control in CONTROLS for seconds in SECONDS}


@dataclass(slots=True)
class FloorCase:
    """One rate and direction. ``verdicts`` are ours; ``megabytes`` is the traffic of each."""

    rate_mbps: float
    direction: Direction
    verdicts: Verdicts = field(init=False)
    megabytes: list[float] = field(default_factory=list)
    others: dict[str, IperfAnswers] = field(default_factory=_tools)
    problem: str = ""

    def __post_init__(self) -> None:
        self.verdicts = Verdicts(frozenset({Verdict.FAIL if self.fulfils else Verdict.PASS}))

    @property
    def label(self) -> str:
        """Name of the case in tables."""
        return f"{self.rate_mbps:g} Mbit/s {self.direction}"

    @property
    def fulfils(self) -> bool:
        """True if the line's rate is at least the floor."""
        return self.rate_mbps * 1e6 >= FLOOR_BPS

    def wrong_of(self, tool: str) -> int:
        """Count the answers of a tool that the truth contradicts."""
        return sum((bps >= FLOOR_BPS) != self.fulfils for bps in self.others[tool].rates_bps)

    def is_from(self, distance: float) -> bool:
        """Return whether the rate differs from the floor by at least this share of the floor."""
        return abs(self.rate_mbps * 1e6 / FLOOR_BPS - 1) >= distance - 1e-9


def measure(effort: BenchEffort, tell: Tell) -> PartResult:
    """Run the part ``floor``."""
    cases = [FloorCase(rate, direction) for rate in RATES for direction in Direction]
    runs, answers = effort.times(SHORT_RUNS, FULL_RUNS), effort.times(SHORT_IPERF, FULL_IPERF)

    def fill(case: FloorCase, turns: Turns) -> None:
        with LineTestbed(shaped(case.rate_mbps)) as testbed:
            for _ in turns(runs):
                case.megabytes.append(_cost(testbed, lambda: _judge(case, testbed)))
            for _ in turns(answers):
                _ask_others(case, testbed)

    measure_each(cases, LINKS_AT_ONCE, fill, teller(tell, _words))
    return judge(cases, runs)


def _judge(case: FloorCase, testbed: LineTestbed) -> None:
    case.verdicts.readings.append(testbed.verdict(case.direction))


def _ask_others(case: FloorCase, testbed: LineTestbed) -> None:
    for control in CONTROLS:
        for seconds in SECONDS:
            answers = case.others[f"iperf3 {control} {seconds} s"]

            def ask(control: str = control, seconds: int = seconds, answers: IperfAnswers = answers) -> None:
                goodput = testbed.goodput_bps(case.direction, control, seconds)
                answers.rates_bps.append(goodput * TO_IP_LAYER)

            answers.megabytes.append(_cost(testbed, ask))


def _cost(testbed: LineTestbed, what: Callable[[], None]) -> float:
    """Return the MB that cross the line during ``what``."""
    before = testbed.delivered()
    what()
    return (testbed.delivered() - before) / 1e6


def _words(case: FloorCase) -> str:
    seen = case.verdicts
    return (
        f"{seen.right} right, {seen.wrong} wrong, {seen.undecided} undecided, {seen.invalid} invalid; "
        f"iperf3 wrong: {', '.join(str(case.wrong_of(tool)) for tool in case.others)}"
    )


def judge(cases: Sequence[FloorCase], runs: int) -> PartResult:
    """Build tables, bars and headlines from measured cases."""
    verdicts = ResultTable(
        title="Verdicts: is the line at least 8 Mbit/s (IP layer)?",
        rows=tuple(map(_verdict_row, cases)),
        decimals=3,
        note=VERDICT_NOTE,
    )
    costs = ResultTable(
        title="MB for one answer",
        rows=tuple(map(_cost_row, cases)),
        decimals=2,
        truth="rate, Mbit/s",
        ratio="ours / cheapest other",
        note=COST_NOTE,
    )
    return PartResult((verdicts, costs), tuple(_bars(cases, runs)), tuple(_headlines(cases)))


def _verdict_row(case: FloorCase) -> ResultRow:
    seen = case.verdicts
    return ResultRow(
        case=case.label,
        truth="yes" if case.fulfils else "no",
        ours=f"{seen.right} / {seen.wrong}",
        others={tool: _right_wrong(case, tool) for tool in case.others},
        more={
            "undetermined": seen.undecided,
            "invalid (single tests)": f"{seen.invalid} ({seen.invalid_tests})",
            "failed": seen.failed,
            "capacity found, Mbit/s": SampleSummary.of(bps / 1e6 for bps in seen.capacities_bps()),
        },
    )


def _right_wrong(case: FloorCase, tool: str) -> str:
    wrong = case.wrong_of(tool)
    return f"{len(case.others[tool].rates_bps) - wrong} / {wrong}"


def _cost_row(case: FloorCase) -> ResultRow:
    ours = SampleSummary.of(case.megabytes)
    others = {tool: SampleSummary.of(answers.megabytes) for tool, answers in case.others.items()}
    cheapest = min((figure.median for figure in others.values() if figure), default=0.0)
    ratio = ours.median / cheapest if ours and cheapest else None
    return ResultRow(case.label, case.rate_mbps, ours, others, ratio)


def _bars(cases: Sequence[FloorCase], runs: int) -> list[Bar]:
    wrong = sum(case.verdicts.wrong for case in cases if case.is_from(NEAR))
    first = max((case.verdicts.first_test_bytes for case in cases), default=0)
    short = [case.label for case in cases if len(case.verdicts.readings) < runs]
    return [
        Bar(f"0 wrong verdicts at 2.5 % or more from the floor: {wrong}", met=wrong == 0),
        _decisive_near(cases),
        _decisive_far(cases),
        Bar(f"a first test of at most 2.2 MB: {first / 1e6:.2f} MB", met=0 < first <= FIRST_TEST_BYTES),
        Bar("every verdict was measured" + "".join(f"; not {one}" for one in short), met=not short),
        all_measured(cases),
    ]


def _decisive_near(cases: Sequence[FloorCase]) -> Bar:
    # Rate by rate: a mean could hide a rate at which few verdicts are decisive.
    shares = {
        rate: _decisive_share([case for case in cases if case.rate_mbps == rate])
        for rate in sorted({case.rate_mbps for case in cases if case.is_from(NEAR)})
    }
    least = min(shares.values(), default=0.0)
    poor = [f"{rate:g} Mbit/s {share:.1%}" for rate, share in shares.items() if share < DECISIVE[NEAR]]
    detail = f": not {', '.join(poor)}" if poor else f": least {least:.1%}"
    return Bar(f"at least 95 % decisive at each rate 2.5 % or more from the floor{detail}", met=not poor)


def _decisive_far(cases: Sequence[FloorCase]) -> Bar:
    share = _decisive_share([case for case in cases if case.is_from(FAR)])
    return Bar(
        f"at least 99 % decisive at 5 % or more from the floor: {share:.1%}", met=share >= DECISIVE[FAR]
    )


def _decisive_share(cases: Sequence[FloorCase]) -> float:
    asked = sum(len(case.verdicts.readings) for case in cases)
    return sum(case.verdicts.decisive for case in cases) / asked if asked else 0.0


def _headlines(cases: Sequence[FloorCase]) -> list[Headline]:
    seen = [case.verdicts for case in cases]
    ours = f"{sum(one.right for one in seen)} / {sum(one.wrong for one in seen)}, {_open(seen)} undecided"
    tools = list(cases[0].others) if cases else []
    counts = {tool: sum(case.wrong_of(tool) for case in cases) for tool in tools}
    asked = {tool: sum(len(case.others[tool].rates_bps) for case in cases) for tool in tools}
    theirs = ", ".join(f"{tool} {asked[tool] - counts[tool]} / {counts[tool]}" for tool in tools)
    spans = {tool: _span([mb for case in cases for mb in case.others[tool].megabytes]) for tool in tools}
    costs = ", ".join(f"{tool} {span}" for tool, span in spans.items())
    lines = f"{min(RATES):g} to {max(RATES):g} Mbit/s, both directions"
    mine = _span([megabytes for case in cases for megabytes in case.megabytes])
    return [
        Headline(f'right / wrong answers to "at least 8 Mbit/s?", {lines}', "the line's rate", ours, theirs),
        Headline("MB sent for one answer, least to most", "-", mine, costs),
    ]


def _open(seen: Sequence[Verdicts]) -> int:
    return sum(len(one.readings) - one.decisive for one in seen)


def _span(megabytes: Sequence[float]) -> str:
    return f"{min(megabytes):.1f} to {max(megabytes):.1f}" if megabytes else "none"
