"""What the path probe says of a chain of routers, beside ``traceroute`` and ``tracepath`` where they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from lab.bench.accuracy.result import Bar, Effort, Headline, Result, Row, Table, Tell
from lab.netns.links.chain import ChainRouter, ChainSettings
from lab.netns.requirements import KernelLinkError
from lab.testbed.path_testbed import PathRow, measure_path

DSCP, REWRITTEN, NARROW_MTU = 46, 8, 1400
PLAIN = ChainRouter()
CHAINS = {
    f"DSCP {DSCP} becomes {REWRITTEN} at the second, MTU {NARROW_MTU} behind the third": ChainSettings(
        (PLAIN, ChainRouter(sets_dscp=REWRITTEN), ChainRouter(mtu=NARROW_MTU))
    ),
    "nothing is done": ChainSettings((PLAIN, PLAIN, PLAIN)),
    f"the second is silent, the third swallows what exceeds {NARROW_MTU} B": ChainSettings(
        (PLAIN, ChainRouter(silent=True), ChainRouter(mtu=NARROW_MTU, tells_mtu=False))
    ),
}
SHORT_RUNS, FULL_RUNS = 2, 20
TOOLS = ("traceroute", "tracepath")
NOTE = (
    "n of n: so many traces said so. The others are asked for each hop and, tracepath, for the path MTU; "
    "a program that is not installed has no column."
)


@dataclass(slots=True)
class Case:
    """One chain, and what was said of it, trace by trace."""

    name: str
    traces: list[list[PathRow]] = field(default_factory=list)

    @property
    def whats(self) -> list[str]:
        """The questions, in order."""
        return list(dict.fromkeys(row.what for rows in self.traces for row in rows))

    def rows(self, what: str) -> list[PathRow]:
        """The answers to one question, a trace each."""
        return [row for rows in self.traces for row in rows if row.what == what]


def measure(effort: Effort, tell: Tell) -> Result:
    """The part ``path``."""
    cases = [Case(name) for name in CHAINS]
    for case in cases:
        for _ in range(effort.times(SHORT_RUNS, FULL_RUNS)):
            case.traces.append(_traced(CHAINS[case.name]))
        wrong = [row.what for rows in case.traces for row in rows if not row.right]
        tell(f"{case.name}: wrong: {', '.join(wrong) or 'nothing'}")
    return judge(cases)


def _traced(chain: ChainSettings) -> list[PathRow]:
    try:
        return measure_path(chain, DSCP)
    except KernelLinkError as error:
        return [PathRow("a trace", "values", str(error))]


def judge(cases: Sequence[Case]) -> Result:
    """Table, bars and headline of traced chains."""
    rows = tuple(_row(case, what) for case in cases for what in case.whats)
    table = Table("Three routers: what each trace says", rows, note=NOTE)
    return Result((table,), tuple(_bar(case) for case in cases), tuple(map(_headline, cases[:1])))


def _row(case: Case, what: str) -> Row:
    found = case.rows(what)
    others = {tool: _said([getattr(row, tool) for row in found]) for tool in TOOLS}
    return Row(
        case=f"{case.name}: {what}",
        truth=_said([row.truth for row in found]),
        ours=_said([row.ours for row in found]),
        others={tool: said for tool, said in others.items() if said is not None},
    )


def _said(answers: Sequence[str | None]) -> str | None:
    """What all said, or how often what was said; None where nothing was."""
    counts = {answer: answers.count(answer) for answer in dict.fromkeys(answers) if answer is not None}
    if len(counts) == 1 and None not in answers:
        return next(iter(counts))
    return ", ".join(f"{answer} ({count} of {len(answers)})" for answer, count in counts.items()) or None


def _bar(case: Case) -> Bar:
    wrong = [what for what in case.whats if not all(row.right for row in case.rows(what))]
    told = f"; wrong: {', '.join(wrong)}" if wrong else ""
    return Bar(f"{case.name}: named rightly{told}", met=bool(case.whats) and not wrong)


def _headline(case: Case) -> Headline:
    right = sum(all(row.right for row in rows) for rows in case.traces)
    others = [
        f"{tool} {sum(getattr(row, tool) == row.truth is not None for rows in case.traces for row in rows)}"
        f" of {sum(row.truth is not None for rows in case.traces for row in rows)} figures"
        for tool in TOOLS
        if any(getattr(row, tool) for rows in case.traces for row in rows)
    ]
    question = f"path: {case.name}; traces right in all"
    return Headline(question, f"{len(case.traces)}", f"{right} of {len(case.traces)}", ", ".join(others))
