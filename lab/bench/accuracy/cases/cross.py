"""Floor verdicts where a short test is easily misled: cross traffic, losses, a token bucket, a policer.

Cross traffic is iperf3's, through the interface whose counters the agent reads. The same traffic is then
measured with ``line_counters: none``, as by an agent beside the router: no fail may be told there, and a bad
line still has to be condemned in the quiet window (``night``).
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lab.bench.accuracy.cases import night
from lab.bench.accuracy.cases.night import Night
from lab.bench.accuracy.result import Bar, Effort, Figure, Headline, Result, Row, Table, Tell
from lab.bench.accuracy.tools.side_by_side import Turns, all_measured, measure_each, teller
from lab.bench.verdicts import Verdicts
from lab.netns import inside
from lab.netns.names import End
from lab.netns.settings import KernelLinkSettings
from lab.testbed.kernel_testbed import FLOOR_BPS
from lab.testbed.line_testbed import LineStand, policed, shaped
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


class Kind(StrEnum):
    """What is on the line beside the test, or what the line does to it."""

    SEEN = "cross traffic, counted"
    UNSEEN = "cross traffic, not visible"
    LOSS = "random loss"
    BUCKET = "token bucket"
    POLICER = "policer"


@dataclass(slots=True)
class Case:
    """One line, direction and disturbance. ``cross_mbps`` 0: none; ``contradicted``: what would be wrong."""

    kind: Kind
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
        """For a person."""
        return f"{self.rate_mbps:g} Mbit/s {self.direction}, {self.words}"

    @property
    def pre_drain(self) -> bool:
        """Whether the probe empties a bucket first: now and then it does, on every line."""
        return self.kind is Kind.BUCKET

    @property
    def policed_seen(self) -> int:
        """Verdicts that name a policer."""
        return sum(
            any(test.finding is Finding.POLICED for test in values.tests) for values in self.verdicts.values()
        )


def cases() -> list[Case]:
    """All of them."""
    return [
        *(_crossed(kind, direction, rate, cross, udp=udp)
          for kind in (Kind.SEEN, Kind.UNSEEN) for rate in RATES for cross in CROSS_MBPS
          for udp in (True, False) for direction in Direction),
        *(_lossy(direction, share) for share in LOSSES for direction in Direction),
        *(_bucket(direction) for direction in Direction),
        *(_policer(direction) for direction in Direction),
    ]  # fmt: skip


def _crossed(kind: Kind, direction: Direction, rate: float, cross: float, *, udp: bool) -> Case:
    slow = rate * 1e6 < FLOOR_BPS
    wrong = {Verdict.PASS if slow else Verdict.FAIL}
    if kind is Kind.UNSEEN:
        # Who does not see the traffic must not condemn for it, be the line good or bad.
        wrong.add(Verdict.FAIL)
    words = f"{cross:g} Mbit/s {'UDP' if udp else 'TCP'}"
    return Case(kind, direction, rate, shaped(rate), frozenset(wrong), cross, udp, words)


def _lossy(direction: Direction, share: float) -> Case:
    settings = shaped(LOSSY_MBPS, loss=share)
    return Case(
        Kind.LOSS, direction, LOSSY_MBPS, settings, frozenset({Verdict.FAIL}), words=f"{share:.0%} loss"
    )


def _bucket(direction: Direction) -> Case:
    settings = shaped(BUCKET_MBPS, burst=BUCKET_BYTES)
    words = f"behind a bucket of {BUCKET_BYTES / 1e6:g} MB"
    return Case(Kind.BUCKET, direction, BUCKET_MBPS, settings, frozenset({Verdict.PASS}), words=words)


def _policer(direction: Direction) -> Case:
    settings = policed(POLICED_MBPS)
    return Case(Kind.POLICER, direction, POLICED_MBPS, settings, frozenset({Verdict.PASS}), words="policed")


@dataclass(slots=True)
class NightCase:
    """One direction of a bad line, seen by an agent without counters until it is condemned."""

    direction: Direction
    night: Night = field(default_factory=Night)
    problem: str = ""

    @property
    def label(self) -> str:
        """For a person."""
        return f"{CONDEMNED_MBPS:g} Mbit/s {self.direction}, not visible, at night"


def measure(effort: Effort, tell: Tell) -> Result:
    """The part ``cross``."""
    found, nights = cases(), [NightCase(direction) for direction in Direction]
    runs = effort.times(SHORT_RUNS, FULL_RUNS)

    def fill(case: Case | NightCase, turns: Turns) -> None:
        if isinstance(case, NightCase):
            _pass_nights(case)
        else:
            _fill(case, turns, runs)

    longest_first: list[Case | NightCase] = [*nights, *found]
    measure_each(longest_first, LINKS_AT_ONCE, fill, teller(tell, _words))
    return judge(found, nights, runs)


def _fill(case: Case, turns: Turns, runs: int) -> None:
    with LineStand(case.settings) as stand, contextlib.ExitStack() as crossing:
        if case.cross_mbps:
            crossing.enter_context(stand.cross(case.direction, case.cross_mbps * 1e6, udp=case.udp))
        for _ in turns(runs):
            reading = stand.verdict(
                case.direction, visible=case.kind is not Kind.UNSEEN, pre_drain=case.pre_drain
            )
            case.verdicts.readings.append(reading)


def _pass_nights(case: NightCase) -> None:
    with LineStand(shaped(CONDEMNED_MBPS)) as stand:
        site = stand.link.namespace(End.SITE)
        case.night = inside.call(site, night.until_condemned, stand.agent_file, case.direction)


def _words(case: Case | NightCase) -> str:
    if isinstance(case, NightCase):
        return case.night.words
    seen = case.verdicts
    return (
        f"{seen.right} right, {seen.wrong} wrong, {seen.undecided} undecided, {seen.invalid} invalid "
        f"({seen.thrown_away} tests)"
    )


def judge(found: Sequence[Case], nights: Sequence[NightCase], runs: int) -> Result:
    """Tables, bars and headlines of measured cases."""
    lines = Table(
        title="Verdicts beside cross traffic, under loss, behind a bucket and a policer",
        rows=tuple(map(_row, found)),
        decimals=2,
        truth="at least 8 Mbit/s",
        note=(
            "ours: pass / fail / unconfirmed. Cross traffic is iperf3's, at the IP layer. An agent that does "
            "not see it may fail no line beside it: a line that seems bad is unconfirmed until the night."
        ),
    )
    condemned = Table(
        title="A bad line that nobody sees the traffic of: verdicts until it is condemned",
        rows=tuple(map(_night_row, nights)),
        decimals=2,
        truth="at least 8 Mbit/s",
        note="The agent's own clock and schedule, the time between two verdicts skipped.",
    )
    return Result((lines, condemned), tuple(_bars(found, nights, runs)), (_headline(found, nights),))


def _row(case: Case) -> Row:
    seen = case.verdicts
    return Row(
        case=f"{case.label}{', not visible' if case.kind is Kind.UNSEEN else ''}",
        truth="yes" if case.rate_mbps * 1e6 >= FLOOR_BPS else "no",
        ours=" / ".join(
            str(seen.count(one)) for one in (Verdict.PASS, Verdict.FAIL, Verdict.UNCONFIRMED)
        ),
        more={
            "undetermined": seen.count(Verdict.UNDETERMINED),
            "invalid (single tests)": f"{seen.invalid} ({seen.thrown_away})",
            "failed": seen.failed,
            "named a policer": case.policed_seen,
            "capacity told, Mbit/s": Figure.of(bps / 1e6 for bps in seen.capacities_bps()),
        },
    )  # fmt: skip


def _night_row(case: NightCase) -> Row:
    seen = case.night
    return Row(
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


def _bars(found: Sequence[Case], nights: Sequence[NightCase], runs: int) -> list[Bar]:
    kinds = {kind: [case for case in found if case.kind is kind] for kind in Kind}
    hidden = [case for case in kinds[Kind.BUCKET] if case.verdicts.count(Verdict.FAIL) < runs]
    unnamed = [case for case in kinds[Kind.POLICER] if not _is_named(case, runs)]
    clear = [case for case in nights if case.night.standing != Standing.CONDEMNED]
    return [
        _never_wrong("cross traffic through the measured interface: 0 wrong", kinds[Kind.SEEN]),
        _never_wrong("cross traffic that is not visible: 0 fails by day, no bad line passed",
                     kinds[Kind.UNSEEN]),
        Bar("a bad line is condemned in the quiet window" + _names(clear), met=not clear),
        _never_wrong(f"{LOSSY_MBPS} Mbit/s with random loss never fails", kinds[Kind.LOSS]),
        Bar(f"a bucket of {BUCKET_BYTES / 1e6:g} MB over {BUCKET_MBPS} Mbit/s is found every time"
            + _names(hidden), met=not hidden),
        Bar(f"a policer at {POLICED_MBPS:g} Mbit/s is found and named every time" + _names(unnamed),
            met=not unnamed),
        all_measured([*found, *nights]),
    ]  # fmt: skip


def _never_wrong(what: str, several: Sequence[Case]) -> Bar:
    wrong = [case for case in several if case.verdicts.wrong]
    asked = sum(len(case.verdicts.readings) for case in several)
    return Bar(f"{what}, of {asked}" + _names(wrong), met=bool(asked) and not wrong)


def _is_named(case: Case, runs: int) -> bool:
    return case.verdicts.count(Verdict.FAIL) == case.policed_seen == runs


def _names(several: Sequence[Case | NightCase]) -> str:
    return f"; not {', '.join(case.label for case in several)}" if several else ""


def _headline(found: Sequence[Case], nights: Sequence[NightCase]) -> Headline:
    seen = [case.verdicts for case in found]
    wrong, asked = sum(one.wrong for one in seen), sum(len(one.readings) for one in seen)
    condemned = sum(case.night.standing == Standing.CONDEMNED for case in nights)
    return Headline(
        "wrong verdicts beside cross traffic, losses, buckets, policers; bad lines condemned at night",
        f"0 of {asked}; {len(nights)} of {len(nights)}",
        f"{wrong} of {asked}; {condemned} of {len(nights)}",
    )  # fmt: skip
