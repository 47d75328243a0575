"""Part ``path``: the path probe on chains of routers, beside ``traceroute`` and ``tracepath`` where
installed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from lab.bench.accuracy.result import Bar, BenchEffort, Headline, PartResult, ResultRow, ResultTable, Tell
from lab.netns.links.chain import ChainRouter, ChainSettings
from lab.netns.requirements import KernelLinkError
from lab.testbed.path_testbed import PathRow, measure_path

DSCP, REWRITTEN, NARROW_MTU = 46, 8, 1400
PLAIN = ChainRouter()
CHAINS = {
    f"router 2 rewrites DSCP {DSCP} to {REWRITTEN}, MTU {NARROW_MTU} behind router 3": ChainSettings(
        (PLAIN, ChainRouter(sets_dscp=REWRITTEN), ChainRouter(mtu=NARROW_MTU))
    ),
    "unchanged path": ChainSettings((PLAIN, PLAIN, PLAIN)),
    f"router 2 is silent, router 3 drops packets above {NARROW_MTU} B silently": ChainSettings(
        (PLAIN, ChainRouter(silent=True), ChainRouter(mtu=NARROW_MTU, tells_mtu=False))
    ),
}
SHORT_RUNS, FULL_RUNS = 2, 20
TOOLS = ("traceroute", "tracepath")
NOTE = (
    "n of n: number of traces with this result. traceroute and tracepath show each hop, tracepath also the "
    "path MTU; a program that is not installed has no column."
)


@dataclass(slots=True)
class PathCase:
    """One chain, with the rows of each trace."""

    name: str
    traces: list[list[PathRow]] = field(default_factory=list)

    @property
    def whats(self) -> list[str]:
        """Questions, in order."""
        return list(dict.fromkeys(row.what for rows in self.traces for row in rows))

    def rows(self, what: str) -> list[PathRow]:
        """Return the answers to one question, one for each trace."""
        return [row for rows in self.traces for row in rows if row.what == what]


def measure(effort: BenchEffort, tell: Tell) -> PartResult:
    """Run the part ``path``."""
    cases = [PathCase(name) for name in CHAINS]
    for case in cases:
        for _ in range(effort.times(SHORT_RUNS, FULL_RUNS)):
            case.traces.append(_traced(CHAINS[case.name]))
        wrong = [row.what for rows in case.traces for row in rows if not row.right]
        tell(f"{case.name}: wrong: {', '.join(wrong) or '-'}")
    return judge(cases)


def _traced(chain: ChainSettings) -> list[PathRow]:
    try:
        return measure_path(chain, DSCP)
    except KernelLinkError as error:
        return [PathRow("a trace", "values", str(error))]


def judge(cases: Sequence[PathCase]) -> PartResult:
    """Build table, bars and headline from traced chains."""
    rows = tuple(_row(case, what) for case in cases for what in case.whats)
    table = ResultTable("Three routers: result of each trace", rows, note=NOTE)
    return PartResult((table,), tuple(_bar(case) for case in cases), tuple(map(_headline, cases[:1])))


def _row(case: PathCase, what: str) -> ResultRow:
    found = case.rows(what)
    others = {tool: _summary([getattr(row, tool) for row in found]) for tool in TOOLS}
    return ResultRow(
        case=f"{case.name}: {what}",
        truth=_summary([row.truth for row in found]),
        ours=_summary([row.ours for row in found]),
        others={tool: summary for tool, summary in others.items() if summary is not None},
    )


def _summary(answers: Sequence[str | None]) -> str | None:
    """Return the common answer, or each answer with its number; None without any."""
    counts = {answer: answers.count(answer) for answer in dict.fromkeys(answers) if answer is not None}
    if len(counts) == 1 and None not in answers:
        return next(iter(counts))
    return ", ".join(f"{answer} ({count} of {len(answers)})" for answer, count in counts.items()) or None


def _bar(case: PathCase) -> Bar:
    wrong = [what for what in case.whats if not all(row.right for row in case.rows(what))]
    detail = f"; wrong: {', '.join(wrong)}" if wrong else ""
    return Bar(f"{case.name}: everything found{detail}", met=bool(case.whats) and not wrong)


def _headline(case: PathCase) -> Headline:
    right = sum(all(row.right for row in rows) for rows in case.traces)
    others = [
        f"{tool} {sum(getattr(row, tool) == row.truth is not None for rows in case.traces for row in rows)}"
        f" of {sum(row.truth is not None for rows in case.traces for row in rows)} figures"
        for tool in TOOLS
        if any(getattr(row, tool) for rows in case.traces for row in rows)
    ]
    question = f"path: {case.name}; traces without an error"
    return Headline(question, f"{len(case.traces)}", f"{right} of {len(case.traces)}", ", ".join(others))
