"""Judgement of verdicts beside cross traffic and at night, and short real runs."""

import pytest

from agent.settings.hours import parse
from agent.task.retest import RetestRequest
from lab.bench.accuracy.cases import cross, night
from lab.bench.accuracy.cases.cross import CrossTrafficCase, LineDisturbance, NightCase
from lab.bench.accuracy.cases.night import LeapingClock, Night
from lab.netns import inside
from lab.netns.names import LinkNode
from lab.testbed.line_testbed import LineTestbed, shaped
from tests.lab.bench.accuracy.readings import reading
from tests.servers import require
from wire.records import Direction, Finding, Standing, Verdict

CONDEMNED = Night(standing=Standing.CONDEMNED, by_day=5, fails=13, search_bps=7.6e6)


def some(
    kind: LineDisturbance, rate: float, *verdicts: Verdict, finding: Finding | None = None
) -> list[CrossTrafficCase]:
    chosen = [case for case in cross.cases() if case.kind is kind and case.rate_mbps == rate]
    for case in chosen:
        case.verdicts.readings += [reading(verdict, finding=finding) for verdict in verdicts]
    return chosen


def missed(found: list[CrossTrafficCase], *nights: Night) -> list[str]:
    shown = [NightCase(Direction.DOWN, one) for one in nights or (CONDEMNED,)]
    wanted = {kind.value: kind for kind in LineDisturbance}
    result = cross.judge([*found, *rest({case.kind for case in found}, wanted.values())], shown, 2)
    return [bar.text.partition(";")[0] for bar in result.bars if not bar.met]


def rest(present: set[LineDisturbance], wanted: object) -> list[CrossTrafficCase]:
    """Return right cases of the other disturbances."""
    right = {
        LineDisturbance.SEEN: (20, Verdict.PASS, None),
        LineDisturbance.UNSEEN: (20, Verdict.PASS, None),
        LineDisturbance.LOSS: (20, Verdict.PASS, None),
        LineDisturbance.BUCKET: (6, Verdict.FAIL, None),
        LineDisturbance.POLICER: (7.6, Verdict.FAIL, Finding.POLICED),
    }
    return [
        case
        for kind, (rate, verdict, finding) in right.items()
        if kind not in present
        for case in some(kind, rate, verdict, verdict, finding=finding)
    ]


def test_right_verdicts_miss_nothing() -> None:
    assert missed([]) == []


@pytest.mark.parametrize(("kind", "rate", "verdict", "bar"), [
    (LineDisturbance.SEEN, 7.6, Verdict.PASS, "cross traffic through the measured interface: 0 wrong, of 16"),
    (LineDisturbance.UNSEEN, 7.6, Verdict.FAIL, "cross traffic that is not visible: 0 fails by day"),
    (LineDisturbance.UNSEEN, 20, Verdict.FAIL, "cross traffic that is not visible: 0 fails by day"),
    (LineDisturbance.LOSS, 20, Verdict.FAIL, "20 Mbit/s with random loss never fails, of 12"),
    (LineDisturbance.BUCKET, 6, Verdict.UNDETERMINED, "a bucket of 2 MB over 6 Mbit/s is found every time"),
    (LineDisturbance.POLICER, 7.6, Verdict.FAIL, "a policer at 7.6 Mbit/s is found and named every time"),
])  # fmt: skip
def test_a_wrong_verdict_misses_the_bar_of_its_kind(
    kind: LineDisturbance, rate: float, verdict: Verdict, bar: str
) -> None:
    [text] = missed(some(kind, rate, verdict, verdict))
    assert text.startswith(bar)


def test_a_bad_line_that_stays_suspect_misses_its_bar() -> None:
    assert missed([], Night(standing=Standing.SUSPECT)) == ["a bad line is condemned in the quiet hours"]


def test_the_clock_skips_to_the_retest_within_its_hours_and_the_schedule() -> None:
    clock = LeapingClock()
    clock.leap_to(20 * 3600)
    before = clock.ahead_s
    clock.leap(RetestRequest(300.0), 3600.0)
    assert clock.ahead_s - before == 300
    clock.leap(RetestRequest(300.0, parse("01:00-05:00")), 3600.0)
    assert clock.ahead_s - before == 3900
    clock.leap_to(3600 - 120)
    clock.leap(RetestRequest(30.0, parse("01:00-05:00")), 3600.0)
    assert parse("01:00-05:00").contains(clock.second())
    assert clock.second() % 86_400 < 3600 + 120
    clock.leap(None, 1800.0)
    assert clock.second() % 86_400 >= 5400


@pytest.mark.usefixtures("kernel")
def test_cross_traffic_flows_during_a_verdict() -> None:
    require("iperf3")
    with LineTestbed(shaped(20)) as testbed, testbed.cross(Direction.UP, 3e6, udp=True):
        before = testbed.delivered(Direction.UP)
        found = testbed.verdict(Direction.DOWN, visible=False)
        assert found.values is not None
        assert testbed.delivered(Direction.UP) > before + 250_000


@pytest.mark.usefixtures("kernel")
def test_an_evening_does_not_condemn_a_good_line() -> None:
    require("iperf3")
    with LineTestbed(shaped(20)) as testbed:
        site = testbed.link.namespace(LinkNode.SITE)
        found = inside.call(site, night.until_condemned, testbed.agent_file, Direction.DOWN, 2)
    assert (found.standing, found.by_day, found.fails, found.hours) == (Standing.CLEAR, 2, 0, 1.0)
