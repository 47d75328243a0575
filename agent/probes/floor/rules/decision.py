"""Floor decision: the next test to run, or the verdict of one measurement. Pure.

The first test offers the floor for 2 s, which costs 2 MB at 8 Mbit/s. Each finding (``signs``) leads to the
next step, the first row that applies:

| after a test that | next |
|---|---|
| gave way to the site's traffic, and passes or fails | that verdict |
| gave way, up | a test of 2 s that offers 1, then 1.1, then 1.2 times the floor together with the site |
| gave way, and none of these is left | unconfirmed if only the site's traffic may explain it, else invalid |
| is invalid | the same again; three in all, then invalid |
| is *interrupted* | undetermined |
| is *moved*, as another one whose drain said the same, and none said otherwise | that verdict of the drain |
| is *moved*, the first time | a test at 1.25 times the floor: does more than the floor arrive? |
| is *moved*, the third time | a test of 6 s at 1.25 times the floor |
| is *moved* | a test of 5 s at the floor; five tests in all, then undetermined |
| is *unsteady* | a test of 6 s at 1.25 times the floor; after a second one undetermined |
| fails by growth alone, because the peer takes no probes | the same again; twice is a fail |
| is *loss* at less than 1.25 times the floor | a test at 1.25 times the floor: is the line slow, or lossy? |
| passes, fails, or is unconfirmed | that verdict |
| is grey | a test of 5 s; after two of them undetermined |

The verdict of a test with a capacity goes by the share of the floor that the line carried. Where the site's
own traffic is known as a span only, *least* and *most* are its two ends:

| least | most | verdict |
|---|---|---|
| >= 99 % | | pass |
| > 98 % | | grey |
| <= 98 % | <= 98 % | fail |
| <= 98 % | > 98 % | unconfirmed; grey if the test gave way and *most* may pass |

A test without a capacity passes if it is *clear*, and is grey otherwise: loss alone says nothing of capacity.
"""

from collections.abc import Sequence

from msgspec import Struct

from agent.probes.floor.rules.judged_test import FAIL_SHARE, PASS_SHARE
from wire.records import Direction, Failure, Finding, FloorTest, Verdict

FASTER, FASTEST_BPS = 1.25, 1e9  # floors end at 1 Gbit/s (agent.settings.rules)
FIRST_S, REPEAT_S, UNSTEADY_S = 2, 5, 6
REPEATS, INVALID_TRIES, MOVED_TRIES = 2, 3, 5
GROWTH_ALONE = 2
BESIDE_RATES = (1.0, 1.1, 1.2)  # of the floor, together with the site's traffic
MARGIN, MARGIN_FROM_BPS = (
    1.03,
    33e6,
)  # above a floor of many rows: a busy host is late by up to 3 % (decision 9)
# Tests after the first, the second … whose path moved: offered share of the floor, seconds, reason. More than
# the floor arrives whatever the path does, the more surely the longer it takes.
_AGAIN = (
    (FASTER, FIRST_S, "does a faster test receive the floor?"),
    (1.0, REPEAT_S, "a longer test"),
    (FASTER, UNSTEADY_S, "a longer and faster test"),
    (1.0, REPEAT_S, "another long test"),
)
_LONG_US = FIRST_S * 1.5e6


class Step(Struct, frozen=True):
    """Next test: offered rate in bit/s at the IP layer, whole seconds, and its reason for a person.

    ``beside_site``: the rate includes the site's own traffic, which is to be subtracted before sending.
    """

    rate_bps: float
    seconds: int
    why: str
    beside_site: bool = False


class Conclusion(Struct, frozen=True):
    """Verdict of the measurement. ``failure`` says why it is invalid, where it is."""

    verdict: Verdict
    failure: Failure | None = None


def next_step(
    tests: Sequence[FloorTest], floor_bps: float, direction: Direction = Direction.DOWN
) -> Step | Conclusion:
    """Next test after ``tests``, or the verdict, by the table of this module."""
    if not tests:
        return Step(_first_bps(floor_bps), FIRST_S, "first test at the floor")
    if any(test.ended_early for test in tests):
        return _after_giving_way(tests, floor_bps, direction)
    return _AFTER.get(tests[-1].finding, _after_verdict)(tests, floor_bps)


def _after_verdict(tests: Sequence[FloorTest], floor_bps: float) -> Step | Conclusion:
    last = tests[-1]
    verdict = verdict_of(last, floor_bps)
    is_growth_alone = last.finding is Finding.QUEUE and last.path_shift_us is None and not last.predrain_bytes
    if verdict is Verdict.FAIL and is_growth_alone:
        # It may be a path that became longer, but hardly twice.
        fails = sum(verdict_of(test, floor_bps) is Verdict.FAIL for test in tests)
        if fails < GROWTH_ALONE:
            return Step(last.planned_bps, FIRST_S, "growth of delay alone: is it a queue?")
    if verdict is not Verdict.GREY:
        return Conclusion(verdict)
    if sum(test.duration_us > _LONG_US for test in tests) >= REPEATS:
        return Conclusion(Verdict.UNDETERMINED)
    return Step(_first_bps(floor_bps), REPEAT_S, "too near the floor: a longer test")


def _after_loss(tests: Sequence[FloorTest], floor_bps: float) -> Step | Conclusion:
    faster = _faster_bps(tests, floor_bps)
    if tests[-1].planned_bps < faster:
        return Step(faster, FIRST_S, "loss without a queue: is the line slow, or lossy?")
    return _after_verdict(tests, floor_bps)


def _after_interruption(_tests: Sequence[FloorTest], _floor_bps: float) -> Conclusion:
    """No repeat takes the place of an interruption: a line that goes away now and then would pass."""
    return Conclusion(Verdict.UNDETERMINED)


def _after_unsteady(tests: Sequence[FloorTest], floor_bps: float) -> Step | Conclusion:
    if sum(test.finding is Finding.UNSTEADY for test in tests) > 1:
        return Conclusion(Verdict.UNDETERMINED)
    # Offered more than the floor, a line whose mean suffices shows it, whatever its path does meanwhile.
    return Step(_faster_bps(tests, floor_bps), UNSTEADY_S, "the rate varies: a longer and faster test")


def _faster_bps(tests: Sequence[FloorTest], floor_bps: float) -> float:
    # Rows of the table are whole Mbit/s: the first test of a floor between two of them was above the floor.
    return min(FASTER * max(floor_bps, tests[0].planned_bps), FASTEST_BPS)


def _first_bps(floor_bps: float) -> float:
    return min(MARGIN * floor_bps, FASTEST_BPS) if floor_bps >= MARGIN_FROM_BPS else floor_bps


def _after_giving_way(
    tests: Sequence[FloorTest], floor_bps: float, direction: Direction
) -> Step | Conclusion:
    verdict = verdict_of(tests[-1], floor_bps)
    if verdict in (Verdict.PASS, Verdict.FAIL):
        return Conclusion(verdict)
    first = next(index for index, test in enumerate(tests) if test.ended_early)
    tried = len(tests) - first - 1
    # Up, the interface counts what was offered; how much of it a full queue delivered is not known. A
    # test that offers the floor together with the site's traffic fills no queue of a line that is fast
    # enough, and that of a slow one so slowly that nothing is lost meanwhile.
    if direction is Direction.UP and tried < len(BESIDE_RATES):
        why = "the site is using the line: a slower test beside its traffic"
        return Step(min(BESIDE_RATES[tried] * floor_bps, FASTEST_BPS), FIRST_S, why, beside_site=True)
    if verdict is Verdict.UNCONFIRMED:
        return Conclusion(verdict)
    return Conclusion(Verdict.INVALID, Failure.SITE_IN_USE)


def _after_moved(tests: Sequence[FloorTest], floor_bps: float) -> Step | Conclusion:
    """Verdict of the drains if two say the same and none says otherwise, or another test."""
    words = [_by_drain(test, floor_bps) for test in tests if test.finding is Finding.MOVED]
    decisive = [word for word in words if word in (Verdict.PASS, Verdict.FAIL)]
    if len(decisive) > 1 and len(set(decisive)) == 1:
        return Conclusion(decisive[0])
    if len(tests) >= MOVED_TRIES:
        return Conclusion(Verdict.UNDETERMINED)
    share, seconds, why = _AGAIN[sum(test.finding is Finding.MOVED for test in tests) - 1]
    rate_bps = _faster_bps(tests, floor_bps) if share > 1 else _first_bps(floor_bps)
    return Step(rate_bps, seconds, f"the path's delay changed: {why}")


def _by_drain(test: FloorTest, floor_bps: float) -> Verdict:
    if test.moved_capacity_bps is None:
        return Verdict.GREY
    if test.moved_capacity_bps >= PASS_SHARE * floor_bps:
        return Verdict.PASS
    return Verdict.FAIL if test.moved_capacity_bps <= FAIL_SHARE * floor_bps else Verdict.GREY


def _after_invalid(tests: Sequence[FloorTest], floor_bps: float) -> Step | Conclusion:
    if sum(test.finding is Finding.INVALID for test in tests) >= INVALID_TRIES:
        return Conclusion(Verdict.INVALID, tests[-1].failure)
    rate_bps = max(tests[-1].planned_bps, floor_bps)
    seconds = REPEAT_S if tests[-1].duration_us > _LONG_US else FIRST_S
    return Step(rate_bps, seconds, f"the last test is invalid ({tests[-1].failure})")


_AFTER = {
    Finding.INVALID: _after_invalid,
    Finding.INTERRUPTED: _after_interruption,
    Finding.MOVED: _after_moved,
    Finding.UNSTEADY: _after_unsteady,
    Finding.LOSS: _after_loss,
}


def verdict_of(test: FloorTest, floor_bps: float) -> Verdict:
    """Verdict of one test alone, by the second table of this module."""
    if test.finding is Finding.INVALID:
        return Verdict.INVALID
    if test.finding is Finding.CLEAR:
        return Verdict.PASS
    if test.capacity_bps is None:
        return Verdict.GREY
    least, most = _span(test, test.capacity_bps)
    if least >= PASS_SHARE * floor_bps:
        return Verdict.PASS
    if least > FAIL_SHARE * floor_bps:
        return Verdict.GREY
    if most <= FAIL_SHARE * floor_bps:
        return Verdict.FAIL
    says_nothing = test.ended_early and most >= PASS_SHARE * floor_bps
    return Verdict.GREY if says_nothing else Verdict.UNCONFIRMED


def _span(test: FloorTest, capacity_bps: float) -> tuple[float, float]:
    if test.other_most_bps is None:
        return capacity_bps, capacity_bps
    share = capacity_bps - (test.other_traffic_bps or 0.0)
    return share, share + test.other_most_bps
