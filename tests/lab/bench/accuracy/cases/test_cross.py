"""Verdicts beside cross traffic and at night: the counting by value, short real runs."""

import pytest

from agent.settings.hours import parse
from agent.task.retest import Again
from lab.bench.accuracy.cases import cross, night
from lab.bench.accuracy.cases.cross import Case, Kind, NightCase
from lab.bench.accuracy.cases.night import LeapingClock, Night
from lab.netns import inside
from lab.netns.names import End
from lab.testbed.line_testbed import LineStand, shaped
from tests.lab.bench.accuracy.readings import reading
from tests.servers import require
from wire.records import Direction, Finding, Standing, Verdict

CONDEMNED = Night(standing=Standing.CONDEMNED, by_day=5, fails=13, search_bps=7.6e6)


def some(kind: Kind, rate: float, *verdicts: Verdict, finding: Finding | None = None) -> list[Case]:
    chosen = [case for case in cross.cases() if case.kind is kind and case.rate_mbps == rate]
    for case in chosen:
        case.verdicts.readings += [reading(verdict, finding=finding) for verdict in verdicts]
    return chosen


def missed(found: list[Case], *nights: Night) -> list[str]:
    shown = [NightCase(Direction.DOWN, one) for one in nights or (CONDEMNED,)]
    wanted = {kind.value: kind for kind in Kind}
    result = cross.judge([*found, *rest({case.kind for case in found}, wanted.values())], shown, 2)
    return [bar.text.partition(";")[0] for bar in result.bars if not bar.met]


def rest(present: set[Kind], wanted: object) -> list[Case]:
    """The kinds that a test is not about, all right."""
    right = {
        Kind.SEEN: (20, Verdict.PASS, None),
        Kind.UNSEEN: (20, Verdict.PASS, None),
        Kind.LOSS: (20, Verdict.PASS, None),
        Kind.BUCKET: (6, Verdict.FAIL, None),
        Kind.POLICER: (7.6, Verdict.FAIL, Finding.POLICED),
    }
    return [
        case
        for kind, (rate, verdict, finding) in right.items()
        if kind not in present
        for case in some(kind, rate, verdict, verdict, finding=finding)
    ]


def test_every_disturbance_is_there_in_both_directions() -> None:
    counts = {kind: sum(case.kind is kind for case in cross.cases()) for kind in Kind}
    assert counts == {Kind.SEEN: 24, Kind.UNSEEN: 24, Kind.LOSS: 6, Kind.BUCKET: 2, Kind.POLICER: 2}


def test_what_is_right_everywhere_misses_nothing() -> None:
    assert missed([]) == []


@pytest.mark.parametrize(
    ("kind", "rate", "verdict", "bar"),
    [
        (Kind.SEEN, 7.6, Verdict.PASS, "cross traffic through the measured interface: 0 wrong, of 16"),
        (Kind.UNSEEN, 7.6, Verdict.FAIL, "cross traffic that is not visible: 0 fails by day"),
        (Kind.UNSEEN, 20, Verdict.FAIL, "cross traffic that is not visible: 0 fails by day"),
        (Kind.LOSS, 20, Verdict.FAIL, "20 Mbit/s with random loss never fails, of 12"),
        (Kind.BUCKET, 6, Verdict.UNDETERMINED, "a bucket of 2 MB over 6 Mbit/s is found every time"),
        (Kind.POLICER, 7.6, Verdict.FAIL, "a policer at 7.6 Mbit/s is found and named every time"),
    ],
)
def test_a_wrong_verdict_misses_the_bar_of_its_kind(
    kind: Kind, rate: float, verdict: Verdict, bar: str
) -> None:
    [text] = missed(some(kind, rate, verdict, verdict))
    assert text.startswith(bar)


def test_a_bad_line_that_stays_suspect_misses_its_bar() -> None:
    assert missed([], Night(standing=Standing.SUSPECT)) == ["a bad line is condemned in the quiet window"]


def test_a_leap_goes_to_the_wish_within_its_hours_but_never_beyond_the_schedule() -> None:
    clock = LeapingClock()
    clock.leap_to(20 * 3600)
    before = clock.ahead_s
    clock.leap(Again(300.0), 3600.0)
    assert clock.ahead_s - before == 300
    clock.leap(Again(300.0, parse("01:00-05:00")), 3600.0)
    assert clock.ahead_s - before == 3900
    clock.leap_to(3600 - 120)
    clock.leap(Again(30.0, parse("01:00-05:00")), 3600.0)
    assert parse("01:00-05:00").contains(clock.second())
    assert clock.second() % 86_400 < 3600 + 120
    clock.leap(None, 1800.0)
    assert clock.second() % 86_400 >= 5400


@pytest.mark.usefixtures("kernel")
def test_cross_traffic_flows_while_a_verdict_is_asked_for() -> None:
    require("iperf3")
    with LineStand(shaped(20)) as stand, stand.cross(Direction.UP, 3e6, udp=True):
        before = stand.delivered(Direction.UP)
        found = stand.verdict(Direction.DOWN, visible=False)
        assert found.values is not None
        assert stand.delivered(Direction.UP) > before + 250_000


@pytest.mark.usefixtures("kernel")
def test_an_evening_on_a_good_line_condemns_nothing() -> None:
    require("iperf3")
    with LineStand(shaped(20)) as stand:
        site = stand.link.namespace(End.SITE)
        found = inside.call(site, night.until_condemned, stand.agent_file, Direction.DOWN, 2)
    assert (found.standing, found.by_day, found.fails, found.hours) == (Standing.CLEAR, 2, 0, 1.0)
