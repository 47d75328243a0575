"""Part ``cross``: floor verdicts where a short test is easily misled.

The disturbances are cross traffic, losses, a token bucket and a policer. Cross traffic is iperf3's, through
the interface whose counters the agent reads. The same traffic is then measured with ``line_counters: none``,
as by an agent beside the router. There a fail by day would be wrong, and a bad line has to be condemned in
the quiet hours (``night``).
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lab.bench.accuracy.cases import night
from lab.bench.accuracy.cases.night import Night
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
from lab.netns import inside
from lab.netns.names import LinkNode
from lab.netns.settings import KernelLinkSettings
from lab.testbed.kernel_testbed import FLOOR_BPS
from lab.testbed.line_testbed import LineTestbed, policed, shaped
from wire.records import Direction, Finding, Standing, Verdict

RATES = (7.6, 8.4, 20)
CROSS_MBPS = (3, 6)
LOSSES = (0.01, 0.03, 0.05)
LOSSY_MBPS = 20
BUCKET_BYTES, BUCKET_MBPS = 2_000_000, 6
POLICED_MBPS = 7.6
CONDEMNED_MBPS = 7.6
SHORT_RUNS, FULL_RUNS = 2, 20
LINKS_AT_ONCE = 4


class LineDisturbance(StrEnum):
    """Disturbance of a line during the tests."""

    SEEN = "cross traffic, counted"
    UNSEEN = "cross traffic, not visible"
    LOSS = "random loss"
    BUCKET = "token bucket"
    POLICER = "policer"


@dataclass(slots=True)
class CrossTrafficCase:
    """One line, direction and disturbance. ``cross_mbps`` 0: none. ``contradicted``: wrong verdicts."""

    kind: LineDisturbance
    direction: Direction
    rate_mbps: float
    settings: KernelLinkSettings
    contradicted: frozenset[Verdict]
    cross_mbps: float = 0
    udp: bool = False
    words: str = ""
    verdicts: Verdicts = field(init=False)
    problem: str = ""

    def __post_init__(self) -> None:
        self.verdicts = Verdicts(self.contradicted)

    @property
    def label(self) -> str:
        """Name of the case in tables."""
        return f"{self.rate_mbps:g} Mbit/s {self.direction}, {self.words}"

    @property
    def pre_drain(self) -> bool:
        """True if the probe empties a token bucket before the test."""
        return self.kind is LineDisturbance.BUCKET

    @property
    def policed_seen(self) -> int:
        """Number of verdicts that name a policer."""
        return sum(
            any(test.finding is Finding.POLICED for test in values.tests) for values in self.verdicts.values()
        )


def cases() -> list[CrossTrafficCase]:
    """Return all cases."""
    return [
        *(_crossed(kind, direction, rate, cross, udp=udp)
          for kind in (LineDisturbance.SEEN, LineDisturbance.UNSEEN) for rate in RATES for cross in CROSS_MBPS
          for udp in (True, False) for direction in Direction),
        *(_lossy(direction, share) for share in LOSSES for direction in Direction),
        *(_bucket(direction) for direction in Direction),
        *(_policer(direction) for direction in Direction),
    ]  # fmt: skip


def _crossed(
    kind: LineDisturbance, direction: Direction, rate: float, cross: float, *, udp: bool
) -> CrossTrafficCase:
    slow = rate * 1e6 < FLOOR_BPS
    wrong = {Verdict.PASS if slow else Verdict.FAIL}
    if kind is LineDisturbance.UNSEEN:
        # Without counters the agent cannot tell cross traffic from a slow line: any fail by day is wrong.
        wrong.add(Verdict.FAIL)
    words = f"{cross:g} Mbit/s {'UDP' if udp else 'TCP'}"
    return CrossTrafficCase(kind, direction, rate, shaped(rate), frozenset(wrong), cross, udp, words)


def _lossy(direction: Direction, share: float) -> CrossTrafficCase:
    settings = shaped(LOSSY_MBPS, loss=share)
    return CrossTrafficCase(
        LineDisturbance.LOSS,
        direction,
        LOSSY_MBPS,
        settings,
        frozenset({Verdict.FAIL}),
        words=f"{share:.0%} loss",
    )


def _bucket(direction: Direction) -> CrossTrafficCase:
    settings = shaped(BUCKET_MBPS, burst=BUCKET_BYTES)
    words = f"behind a bucket of {BUCKET_BYTES / 1e6:g} MB"
    return CrossTrafficCase(
        LineDisturbance.BUCKET, direction, BUCKET_MBPS, settings, frozenset({Verdict.PASS}), words=words
    )


def _policer(direction: Direction) -> CrossTrafficCase:
    settings = policed(POLICED_MBPS)
    return CrossTrafficCase(
        LineDisturbance.POLICER, direction, POLICED_MBPS, settings, frozenset({Verdict.PASS}), words="policed"
    )


@dataclass(slots=True)
class NightCase:
    """One direction of a bad line, measured by an agent without counters until it is condemned."""

    direction: Direction
    night: Night = field(default_factory=Night)
    problem: str = ""

    @property
    def label(self) -> str:
        """Name of the case in tables."""
        return f"{CONDEMNED_MBPS:g} Mbit/s {self.direction}, not visible, at night"


def measure(effort: BenchEffort, tell: Tell) -> PartResult:
    """Run the part ``cross``."""
    found, nights = cases(), [NightCase(direction) for direction in Direction]
    runs = effort.times(SHORT_RUNS, FULL_RUNS)

    def fill(case: CrossTrafficCase | NightCase, turns: Turns) -> None:
        if isinstance(case, NightCase):
            _pass_nights(case)
        else:
            _fill(case, turns, runs)

    longest_first: list[CrossTrafficCase | NightCase] = [*nights, *found]
    measure_each(longest_first, LINKS_AT_ONCE, fill, teller(tell, _words))
    return judge(found, nights, runs)


def _fill(case: CrossTrafficCase, turns: Turns, runs: int) -> None:
    with LineTestbed(case.settings) as testbed, contextlib.ExitStack() as crossing:
        if case.cross_mbps:
            crossing.enter_context(testbed.cross(case.direction, case.cross_mbps * 1e6, udp=case.udp))
        for _ in turns(runs):
            reading = testbed.verdict(
                case.direction, visible=case.kind is not LineDisturbance.UNSEEN, pre_drain=case.pre_drain
            )
            case.verdicts.readings.append(reading)


def _pass_nights(case: NightCase) -> None:
    with LineTestbed(shaped(CONDEMNED_MBPS)) as testbed:
        site = testbed.link.namespace(LinkNode.SITE)
        case.night = inside.call(site, night.until_condemned, testbed.agent_file, case.direction)


def _words(case: CrossTrafficCase | NightCase) -> str:
    if isinstance(case, NightCase):
        return case.night.words
    seen = case.verdicts
    return (
        f"{seen.right} right, {seen.wrong} wrong, {seen.undecided} undecided, {seen.invalid} invalid "
        f"({seen.invalid_tests} tests)"
    )


def judge(found: Sequence[CrossTrafficCase], nights: Sequence[NightCase], runs: int) -> PartResult:
    """Build tables, bars and headlines from measured cases."""
    lines = ResultTable(
        title="Verdicts beside cross traffic, under loss, behind a bucket and a policer",
        rows=tuple(map(_row, found)),
        decimals=2,
        truth="at least 8 Mbit/s",
        note=(
            "Plancher: pass / fail / unconfirmed. Cross traffic is iperf3's, at the IP layer. An agent that "
            "cannot count it may not fail a line: a line that seems bad is unconfirmed until the quiet hours."
        ),
    )
    condemned = ResultTable(
        title="A bad line whose other traffic is not counted: verdicts until it is condemned",
        rows=tuple(map(_night_row, nights)),
        decimals=2,
        truth="at least 8 Mbit/s",
        note="The agent's own schedule; its clock skips the time between two verdicts.",
    )
    return PartResult((lines, condemned), tuple(_bars(found, nights, runs)), (_headline(found, nights),))


def _row(case: CrossTrafficCase) -> ResultRow:
    seen = case.verdicts
    return ResultRow(
        case=f"{case.label}{', not visible' if case.kind is LineDisturbance.UNSEEN else ''}",
        truth="yes" if case.rate_mbps * 1e6 >= FLOOR_BPS else "no",
        ours=" / ".join(
            str(seen.count(one)) for one in (Verdict.PASS, Verdict.FAIL, Verdict.UNCONFIRMED)
        ),
        more={
            "undetermined": seen.count(Verdict.UNDETERMINED),
            "invalid (single tests)": f"{seen.invalid} ({seen.invalid_tests})",
            "failed": seen.failed,
            "named a policer": case.policed_seen,
            "capacity reported, Mbit/s": SampleSummary.of(bps / 1e6 for bps in seen.capacities_bps()),
        },
    )  # fmt: skip


def _night_row(case: NightCase) -> ResultRow:
    seen = case.night
    return ResultRow(
        case=case.label,
        truth="no",
        ours=seen.standing or "nothing",
        more={
            "verdicts by day": seen.by_day,
            "at night, unconfirmed": seen.unconfirmed,
            "at night, fail": seen.fails,
            "hours": seen.hours,
            "search, Mbit/s": seen.search_bps / 1e6 if seen.search_bps else None,
        },
    )


def _bars(found: Sequence[CrossTrafficCase], nights: Sequence[NightCase], runs: int) -> list[Bar]:
    kinds = {kind: [case for case in found if case.kind is kind] for kind in LineDisturbance}
    hidden = [case for case in kinds[LineDisturbance.BUCKET] if case.verdicts.count(Verdict.FAIL) < runs]
    unnamed = [case for case in kinds[LineDisturbance.POLICER] if not _is_named(case, runs)]
    clear = [case for case in nights if case.night.standing != Standing.CONDEMNED]
    return [
        _never_wrong("cross traffic through the measured interface: 0 wrong", kinds[LineDisturbance.SEEN]),
        _never_wrong("cross traffic that is not visible: 0 fails by day, no bad line passed",
                     kinds[LineDisturbance.UNSEEN]),
        Bar("a bad line is condemned in the quiet hours" + _names(clear), met=not clear),
        _never_wrong(f"{LOSSY_MBPS} Mbit/s with random loss never fails", kinds[LineDisturbance.LOSS]),
        Bar(f"a bucket of {BUCKET_BYTES / 1e6:g} MB over {BUCKET_MBPS} Mbit/s is found every time"
            + _names(hidden), met=not hidden),
        Bar(f"a policer at {POLICED_MBPS:g} Mbit/s is found and named every time" + _names(unnamed),
            met=not unnamed),
        all_measured([*found, *nights]),
    ]  # fmt: skip


def _never_wrong(what: str, several: Sequence[CrossTrafficCase]) -> Bar:
    wrong = [case for case in several if case.verdicts.wrong]
    asked = sum(len(case.verdicts.readings) for case in several)
    return Bar(f"{what}, of {asked}" + _names(wrong), met=bool(asked) and not wrong)


def _is_named(case: CrossTrafficCase, runs: int) -> bool:
    return case.verdicts.count(Verdict.FAIL) == case.policed_seen == runs


def _names(several: Sequence[CrossTrafficCase | NightCase]) -> str:
    return f"; not {', '.join(case.label for case in several)}" if several else ""


def _headline(found: Sequence[CrossTrafficCase], nights: Sequence[NightCase]) -> Headline:
    seen = [case.verdicts for case in found]
    wrong, asked = sum(one.wrong for one in seen), sum(len(one.readings) for one in seen)
    condemned = sum(case.night.standing == Standing.CONDEMNED for case in nights)
    return Headline(
        "wrong verdicts beside other traffic, losses, token buckets, policers; bad lines condemned at night",
        f"0 of {asked}; {len(nights)} of {len(nights)}",
        f"{wrong} of {asked}; {condemned} of {len(nights)}",
    )  # fmt: skip
