"""Models of measuring errors on good and bad lines, for ``make simulate-floor``.

The agent's own sequential test (``agent.probes.floor.rules.sequential_test``) gets verdicts drawn from these
models:

- independent false fails of a good line: computed exactly, over all states with their probabilities;
- common disturbances (a point of presence or a peer, a backup at night that the agent cannot see): simulated;
- bad lines: simulated.

The random seed is fixed.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from statistics import NormalDist, mean, median, quantiles, stdev

from agent.probes.floor.rules.sequential_test import SequentialState, SequentialTest
from wire.records import Standing, Verdict

SEED = 946
SITES, DIRECTIONS, DAYS = 6_000, 2, 30
SERIES = SITES * DIRECTIONS
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0
RETEST_S = 5 * MINUTE_S + 15  # the interval and the retest itself
SPACING_S = 5 * MINUTE_S
SCHEDULED_BYTES, RETEST_BYTES = 2.0e6, 4.5e6  # a retest sends its pre-drain first

# Independent false fails of a good line: none in 480 verdicts in two runs of bench-floor, hence at most this
# with 95 % confidence (rule of three). The share while the site is in use is a guess on the safe side.
FALSE_FAIL = 3 / 480
BUSY_FALSE_FAIL = 0.03
BUSY_SHARE = 12 / 24 * 5 / 7
DISTURBANCES = 1.0  # a month, of each point of presence, and of each peer
SERIES_SAMPLED = 20
DISTURBED_MEDIAN_S, DISTURBED_SPREAD = 5 * MINUTE_S, 0.6  # log-normal: 5 % last longer than 13 minutes
LONGER = 3.0  # disturbances three times as long
WIDER = 1.0  # spread of a longer tail: 5 % last longer than 26 minutes, one in two hundred longer than 65
DISTURBED_FAIL = (0.3, 1.0)  # the probability of a fail during a disturbance is uniform between these
BLIND_SHARE = 0.2  # of all sites have no counters and rely on the quiet window
BACKUP_NIGHTS, BACKUP_S = 0.05, 7200.0
# Share of the tests during a backup that start although the backup fills the line: the idle round-trip time
# looked fine.
BACKUP_UNSEEN = 0.1

# Probability that a test fails, by time.
Fails = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class FailurePeriod:
    """Time from ``begin`` to ``end``, in seconds, in which a test fails with probability ``fails``."""

    begin: float
    end: float
    fails: float


@dataclass(slots=True)
class SimulatedSeries:
    """One direction followed for a while: times of condemnation and clearing, and the number of retests."""

    condemned: list[float]
    cleared: list[float]
    first_fail: float | None = None
    retests: int = 0
    standing: Standing = Standing.CLEAR


def follow(
    fails: Fails,
    chance: random.Random,
    *,
    begin: float,
    end: float,
    test: SequentialTest,
    decisive: float = 1.0,
    half_life_s: float = math.inf,
    until_clear: bool = False,
) -> SimulatedSeries:
    """Simulate hourly tests and their retests. A search fails as often as a test."""
    seen, state, now, again, last = SimulatedSeries([], []), SequentialState(), begin, math.inf, begin
    slots = (math.floor(begin / HOUR_S) * HOUR_S + HOUR_S * number for number in count(1))
    slot = begin if until_clear else next(slots) + chance.uniform(0, HOUR_S)
    while (now := min(slot, again)) < end:
        seen.retests += now == again
        if now == slot:
            slot = next(slots) + chance.uniform(0, HOUR_S)
        verdict = _verdict(fails(now), decisive, chance)
        if until_clear and now == begin:
            verdict = Verdict.FAIL
        if verdict is Verdict.FAIL and seen.first_fail is None:
            seen.first_fail = now
        state = _decayed(state, now - last, half_life_s)
        state, last = _step(state, verdict, fails(now), now, test, chance), now
        again = now + RETEST_S if state.wants_retest(verdict, test) else math.inf
        _note(seen, state.standing, now)
        if until_clear and state.standing is not Standing.SUSPECT:
            break
    return seen


def _verdict(fails: float, decisive: float, chance: random.Random) -> Verdict:
    if chance.random() >= decisive:
        return Verdict.UNDETERMINED
    return Verdict.FAIL if chance.random() < fails else Verdict.PASS


def _step(
    state: SequentialState,
    verdict: Verdict,
    fails: float,
    now: float,
    test: SequentialTest,
    chance: random.Random,
) -> SequentialState:
    state = state.after(verdict, round(now * 1e6), round(SPACING_S * 1e6), test)
    if verdict is Verdict.FAIL and state.awaits_search(test):
        return state.after_search(0.0 if chance.random() < fails else math.inf, 1.0)
    return state


def _decayed(state: SequentialState, passed_s: float, half_life_s: float) -> SequentialState:
    if math.isinf(half_life_s) or state.standing is Standing.CLEAR:
        return state
    kept = state.evidence * 0.5 ** (passed_s / half_life_s)
    return SequentialState(state.standing, kept, state.counted_us, state.verdicts, state.indecisive)


def _note(seen: SimulatedSeries, standing: Standing, now: float) -> None:
    if standing is Standing.CONDEMNED and seen.standing is not Standing.CONDEMNED:
        seen.condemned.append(now)
    elif seen.standing is Standing.CONDEMNED and standing is not Standing.CONDEMNED:
        seen.cleared.append(now)
    seen.standing = standing


@dataclass(frozen=True, slots=True)
class FalseFailEffect:
    """Effect of one false fail: probability of a condemnation, and mean number of retests."""

    condemned: float
    retests: float


def false_fail_effect(fails: float, test: SequentialTest) -> FalseFailEffect:
    """Compute the effect of one false fail exactly.

    It follows every state with its probability, until the rest is below 1e-15.
    """
    spacing_us = round(SPACING_S * 1e6)
    states = {SequentialState().after(Verdict.FAIL, 0, spacing_us, test): 1.0}
    condemned = retests = 0.0
    for step in count(1):
        if sum(states.values()) < 1e-15:
            return FalseFailEffect(condemned, retests)
        following: dict[SequentialState, float] = {}
        for state, weight in states.items():
            retests += weight
            for verdict, share in ((Verdict.FAIL, fails), (Verdict.PASS, 1 - fails)):
                found = state.after(verdict, step * spacing_us, spacing_us, test)
                if found.awaits_search(test):
                    condemned += weight * share * fails  # the search is as wrong as a test
                elif found.standing is Standing.SUSPECT:
                    following[found] = following.get(found, 0.0) + weight * share
        states = following
    raise AssertionError  # count() does not end


def drawn_length(
    chance: random.Random, longer: float, least_s: float, spread: float = DISTURBED_SPREAD
) -> tuple[float, float]:
    """Draw the length of a disturbance of at least ``least_s``; return it with the share of such
    disturbances.
    """
    normal, median_s = NormalDist(), longer * DISTURBED_MEDIAN_S
    beyond = normal.cdf(-math.log(max(least_s, 1e-9) / median_s) / spread)
    deviation = -normal.inv_cdf(min(beyond * (1 - chance.random()), 1 - 1e-16))
    return median_s * math.exp(spread * deviation), beyond


def first_fails(period: FailurePeriod, series: int, chance: random.Random) -> Iterator[float]:
    """Yield the time of the first fail of each series that has a failed hourly test in the period."""
    for _ in range(series):
        at = period.begin + chance.uniform(0, HOUR_S)
        while at < period.end:
            if chance.random() < period.fails:
                yield at
                break
            at = period.begin + (at - period.begin) // HOUR_S * HOUR_S + HOUR_S + chance.uniform(0, HOUR_S)


@dataclass(frozen=True, slots=True)
class DisturbanceEffect:
    """Effect of disturbances in a month: condemnations, half width of their 95 % interval, and retests."""

    condemned: float
    margin: float
    retests: float


def disturbance_effect(
    test: SequentialTest,
    sampled: int,
    *,
    half_life_s: float = math.inf,
    longer: float = 1.0,
    spread: float = DISTURBED_SPREAD,
    all_of_them: bool = False,
) -> DisturbanceEffect:
    """Sample disturbances long enough to condemn (or all of them), and some of the series in each.

    Shorter disturbances have too few retests to condemn; leaving them out makes the sample of the others
    larger. The interval is the variation between disturbances: series in one disturbance are not independent.
    """
    chance, condemned, retests = random.Random(SEED), [], []
    fails = math.ceil(test.condemns_at / test.of_fail)
    least_s = 0.0 if all_of_them else 0.92 * RETEST_S * (fails - 1)  # a scheduled test may save some seconds
    for _ in range(sampled):
        length, share = drawn_length(chance, longer, least_s, spread)
        period = FailurePeriod(0.0, length, chance.uniform(*DISTURBED_FAIL))
        seen = [
            _episode(period, at, chance, test, half_life_s)
            for at in first_fails(period, SERIES_SAMPLED, chance)
        ]
        weight = share * DISTURBANCES * 2 * SERIES / SERIES_SAMPLED  # all of the fleet hangs on both kinds
        condemned.append(weight * sum(bool(one.condemned) for one in seen))
        retests.append(weight * sum(one.retests for one in seen))
    return DisturbanceEffect(mean(condemned), 1.96 * stdev(condemned) / math.sqrt(sampled), mean(retests))


def _episode(
    period: FailurePeriod,
    at: float,
    chance: random.Random,
    test: SequentialTest,
    half_life_s: float = math.inf,
) -> SimulatedSeries:
    def fails(now: float) -> float:
        return period.fails if period.begin <= now < period.end else FALSE_FAIL

    end = at + 7 * DAY_S
    return follow(fails, chance, begin=at, end=end, test=test, half_life_s=half_life_s, until_clear=True)


@dataclass(frozen=True, slots=True)
class FleetForecast:
    """Month of a fleet of good lines: condemnations by cause, and bytes of retests for each site and day.

    ``quiet_bytes_a_day`` leaves out the guess for the hours in which the site is in use.
    """

    alone: float
    together: DisturbanceEffect
    longer: DisturbanceEffect
    wider: DisturbanceEffect
    bytes_a_day: float
    quiet_bytes_a_day: float


def fleet_forecast(test: SequentialTest, sampled: int, half_life_s: float = math.inf) -> FleetForecast:
    """Compute a month of 6,000 good sites."""
    tests = SERIES * DAYS * 24
    idle, busy, unseen = (
        false_fail_effect(share, test) for share in (FALSE_FAIL, BUSY_FALSE_FAIL, BACKUP_UNSEEN)
    )
    fails = (tests * (1 - BUSY_SHARE) * FALSE_FAIL, tests * BUSY_SHARE * BUSY_FALSE_FAIL)
    backups = SERIES * BLIND_SHARE * DAYS * BACKUP_NIGHTS * BACKUP_S / HOUR_S * BACKUP_UNSEEN
    rare = disturbance_effect(test, sampled, half_life_s=half_life_s)
    extra = disturbance_effect(test, sampled // 10, all_of_them=True).retests + backups * unseen.retests
    a_day = RETEST_BYTES / SITES / DAYS
    return FleetForecast(
        fails[0] * idle.condemned + fails[1] * busy.condemned + backups * unseen.condemned,
        rare,
        disturbance_effect(test, sampled, half_life_s=half_life_s, longer=LONGER),
        disturbance_effect(test, sampled, half_life_s=half_life_s, spread=WIDER),
        a_day * (fails[0] * idle.retests + fails[1] * busy.retests + extra),
        a_day * (tests * FALSE_FAIL * idle.retests + extra),
    )


@dataclass(frozen=True, slots=True)
class BadLine:
    """Kind of bad line."""

    name: str
    fails: Fails
    decisive: float = 1.0


def _evening(now: float) -> float:
    return 0.98 if 18 * HOUR_S <= now % DAY_S < 23 * HOUR_S else FALSE_FAIL


BAD_LINES = (
    BadLine("always below the floor", lambda _: 0.99, decisive=0.98),
    BadLine("below the floor from 18:00 to 23:00", _evening),
    BadLine("at the failing boundary: half fail, half undetermined", lambda _: 1.0, decisive=0.5),
    BadLine("half fail, half pass", lambda _: 0.5),
    BadLine("one in three fails", lambda _: 1 / 3),
    BadLine("one in ten fails", lambda _: 0.1),
)


@dataclass(frozen=True, slots=True)
class BadLineEffect:
    """Result of many lines of one kind: share condemned, time from the first fail, changes, cost."""

    share: float
    median_s: float
    p95_s: float
    condemnations: float
    bytes_a_day: float


def bad_line_effect(
    kind: BadLine, test: SequentialTest, lines: int, half_life_s: float = math.inf
) -> BadLineEffect:
    """Simulate ``lines`` lines for a month after they became bad."""
    chance = random.Random(SEED)
    followed = [
        follow(
            kind.fails,
            chance,
            begin=chance.uniform(0, DAY_S),
            end=DAYS * DAY_S,
            test=test,
            decisive=kind.decisive,
            half_life_s=half_life_s,
        )
        for _ in range(lines)
    ]
    took = [one.condemned[0] - one.first_fail for one in followed if one.condemned and one.first_fail]
    late = quantiles(took, n=20)[-1] if len(took) > 1 else math.nan
    cost = sum(one.retests for one in followed) / lines * RETEST_BYTES / DAYS
    changes = sum(len(one.condemned) for one in followed) / lines
    return BadLineEffect(len(took) / lines, median(took) if took else math.nan, late, changes, cost)


def repair_times(test: SequentialTest, lines: int) -> list[float]:
    """Return the times for which repaired lines stay condemned."""
    chance, mended = random.Random(SEED), 3 * HOUR_S
    seen = [
        follow(lambda now: 1.0 if now < mended else FALSE_FAIL, chance, begin=0, end=DAYS * DAY_S, test=test)
        for _ in range(lines)
    ]
    return [one.cleared[0] - mended for one in seen if one.cleared]


def condemned_share(minutes: float, test: SequentialTest, series: int = 2000) -> float:
    """Return the share of series that a disturbance of this length condemns if every test in it fails."""
    chance, period = random.Random(SEED), FailurePeriod(0.0, minutes * MINUTE_S, 1.0)
    seen = [_episode(period, at, chance, test) for at in first_fails(period, series, chance)]
    return sum(bool(one.condemned) for one in seen) / series
