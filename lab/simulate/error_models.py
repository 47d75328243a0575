"""Models of what goes wrong on lines, good and bad, for ``make simulate-floor``.

The real core (``agent.probes.floor.rules.sequential_test``) is given verdicts drawn from stated models of
error. What happens to a good line whose tests fail independently is computed exactly, by following every
course of the core with its probability; what fails together (a point of presence or a peer disturbed for
minutes, a backup at night that the agent cannot see) is simulated, as are lines that are really bad. The seed
is fixed.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from statistics import NormalDist, mean, median, quantiles, stdev

from agent.probes.floor.rules.sequential_test import Course, Sequential
from wire.records import Standing, Verdict

SEED = 946
SITES, DIRECTIONS, DAYS = 6_000, 2, 30
SERIES = SITES * DIRECTIONS
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0
RETEST_S = 5 * MINUTE_S + 15  # what a retest itself takes included
SPACING_S = 5 * MINUTE_S
SCHEDULED_BYTES, RETEST_BYTES = 2.0e6, 4.5e6  # a retest sends its pre-drain first

# A good line. Independent false fails: none in 480 verdicts of good lines in two runs of bench-floor, hence
# at most this with 95 % confidence (the rule of three); while the site is in use, a guess on the safe side.
FALSE_FAIL = 3 / 480
BUSY_FALSE_FAIL = 0.03
BUSY_SHARE = 12 / 24 * 5 / 7
DISTURBANCES = 1.0  # a month, of each point of presence, and of each peer
SERIES_SAMPLED = 20
DISTURBED_MEDIAN_S, DISTURBED_SPREAD = 5 * MINUTE_S, 0.6  # log-normal: 5 % last longer than 13 minutes
LONGER = 3.0  # and once more with disturbances that last three times as long,
WIDER = 1.0  # and with a longer tail: 5 % last longer than 26 minutes, one in two hundred longer than 65
DISTURBED_FAIL = (0.3, 1.0)  # the probability that a test fails is uniform between these
BLIND_SHARE = 0.2  # of all sites have no counters and rely on the quiet window
BACKUP_NIGHTS, BACKUP_S = 0.05, 7200.0
BACKUP_UNSEEN = (
    0.1  # of the tests during a backup that fills the line although the idle round-trip time looked fine
)

Fails = Callable[[float], float]
"""The probability that a test at a time fails."""


@dataclass(frozen=True, slots=True)
class Spell:
    """From ``begin`` to ``end``, in seconds, a test fails with probability ``fails``."""

    begin: float
    end: float
    fails: float


@dataclass(slots=True)
class Followed:
    """One direction followed for a while: when it was condemned and cleared, and what retests cost."""

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
    test: Sequential,
    decisive: float = 1.0,
    half_life_s: float = math.inf,
    until_clear: bool = False,
) -> Followed:
    """Hourly tests and the retests that they ask for. A search agrees as often as a test would fail."""
    seen, course, now, again, last = Followed([], []), Course(), begin, math.inf, begin
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
        course = _decayed(course, now - last, half_life_s)
        course, last = _step(course, verdict, fails(now), now, test, chance), now
        again = now + RETEST_S if course.asks_again(verdict, test) else math.inf
        _note(seen, course.standing, now)
        if until_clear and course.standing is not Standing.SUSPECT:
            break
    return seen


def _verdict(fails: float, decisive: float, chance: random.Random) -> Verdict:
    if chance.random() >= decisive:
        return Verdict.UNDETERMINED
    return Verdict.FAIL if chance.random() < fails else Verdict.PASS


def _step(
    course: Course, verdict: Verdict, fails: float, now: float, test: Sequential, chance: random.Random
) -> Course:
    course = course.after(verdict, round(now * 1e6), round(SPACING_S * 1e6), test)
    if verdict is Verdict.FAIL and course.awaits_search(test):
        return course.searched(0.0 if chance.random() < fails else math.inf, 1.0)
    return course


def _decayed(course: Course, passed_s: float, half_life_s: float) -> Course:
    if math.isinf(half_life_s) or course.standing is Standing.CLEAR:
        return course
    kept = course.evidence * 0.5 ** (passed_s / half_life_s)
    return Course(course.standing, kept, course.counted_us, course.verdicts, course.doubtful)


def _note(seen: Followed, standing: Standing, now: float) -> None:
    if standing is Standing.CONDEMNED and seen.standing is not Standing.CONDEMNED:
        seen.condemned.append(now)
    elif seen.standing is Standing.CONDEMNED and standing is not Standing.CONDEMNED:
        seen.cleared.append(now)
    seen.standing = standing


@dataclass(frozen=True, slots=True)
class Exactly:
    """What follows one false fail: the probability of a condemnation, and the mean number of retests."""

    condemned: float
    retests: float


def exactly(fails: float, test: Sequential) -> Exactly:
    """Follow every course after a first fail, each with its probability, until next to nothing is left."""
    spacing_us = round(SPACING_S * 1e6)
    courses = {Course().after(Verdict.FAIL, 0, spacing_us, test): 1.0}
    condemned = retests = 0.0
    for step in count(1):
        if sum(courses.values()) < 1e-15:
            return Exactly(condemned, retests)
        following: dict[Course, float] = {}
        for course, weight in courses.items():
            retests += weight
            for verdict, share in ((Verdict.FAIL, fails), (Verdict.PASS, 1 - fails)):
                found = course.after(verdict, step * spacing_us, spacing_us, test)
                if found.awaits_search(test):
                    condemned += weight * share * fails  # the search is as wrong as a test
                elif found.standing is Standing.SUSPECT:
                    following[found] = following.get(found, 0.0) + weight * share
        courses = following
    raise AssertionError  # count() does not end


def lengths(
    chance: random.Random, longer: float, least_s: float, spread: float = DISTURBED_SPREAD
) -> tuple[float, float]:
    """A disturbance's length among those of ``least_s`` and more, and which share of all these are."""
    normal, median_s = NormalDist(), longer * DISTURBED_MEDIAN_S
    beyond = normal.cdf(-math.log(max(least_s, 1e-9) / median_s) / spread)
    deviation = -normal.inv_cdf(min(beyond * (1 - chance.random()), 1 - 1e-16))
    return median_s * math.exp(spread * deviation), beyond


def touched(spell: Spell, series: int, chance: random.Random) -> Iterator[float]:
    """When the first fail comes of each series whose hourly test falls into a spell and fails."""
    for _ in range(series):
        at = spell.begin + chance.uniform(0, HOUR_S)
        while at < spell.end:
            if chance.random() < spell.fails:
                yield at
                break
            at = spell.begin + (at - spell.begin) // HOUR_S * HOUR_S + HOUR_S + chance.uniform(0, HOUR_S)


@dataclass(frozen=True, slots=True)
class Together:
    """What disturbances do in a month: condemnations with the half width of their 95 % interval, retests."""

    condemned: float
    margin: float
    retests: float


def together(
    test: Sequential,
    sampled: int,
    *,
    half_life_s: float = math.inf,
    longer: float = 1.0,
    spread: float = DISTURBED_SPREAD,
    all_of_them: bool = False,
) -> Together:
    """Sample disturbances long enough to condemn (or all of them) and, in each, some of the series touched.

    Where too few retests fit in, none is condemned: leaving these out loses nothing and makes the rest many.
    The interval is of what differs between disturbances: series in the same one are not independent.
    """
    chance, condemned, retests = random.Random(SEED), [], []
    fails = math.ceil(test.condemns_at / test.of_fail)
    least_s = 0.0 if all_of_them else 0.92 * RETEST_S * (fails - 1)  # a scheduled test may save some seconds
    for _ in range(sampled):
        length, share = lengths(chance, longer, least_s, spread)
        spell = Spell(0.0, length, chance.uniform(*DISTURBED_FAIL))
        seen = [
            _episode(spell, at, chance, test, half_life_s) for at in touched(spell, SERIES_SAMPLED, chance)
        ]
        weight = share * DISTURBANCES * 2 * SERIES / SERIES_SAMPLED  # all of the fleet hangs on both kinds
        condemned.append(weight * sum(bool(one.condemned) for one in seen))
        retests.append(weight * sum(one.retests for one in seen))
    return Together(mean(condemned), 1.96 * stdev(condemned) / math.sqrt(sampled), mean(retests))


def _episode(
    spell: Spell, at: float, chance: random.Random, test: Sequential, half_life_s: float = math.inf
) -> Followed:
    def fails(now: float) -> float:
        return spell.fails if spell.begin <= now < spell.end else FALSE_FAIL

    end = at + 7 * DAY_S
    return follow(fails, chance, begin=at, end=end, test=test, half_life_s=half_life_s, until_clear=True)


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet of good lines in a month: condemnations by cause, and bytes of retests a site and day.

    ``quiet_bytes_a_day`` is that cost without the guess for the hours in which the site is in use.
    """

    alone: float
    together: Together
    longer: Together
    wider: Together
    bytes_a_day: float
    quiet_bytes_a_day: float


def fleet(test: Sequential, sampled: int, half_life_s: float = math.inf) -> Fleet:
    """What the models do to 6,000 good sites in a month."""
    tests = SERIES * DAYS * 24
    idle, busy, unseen = (exactly(share, test) for share in (FALSE_FAIL, BUSY_FALSE_FAIL, BACKUP_UNSEEN))
    fails = (tests * (1 - BUSY_SHARE) * FALSE_FAIL, tests * BUSY_SHARE * BUSY_FALSE_FAIL)
    backups = SERIES * BLIND_SHARE * DAYS * BACKUP_NIGHTS * BACKUP_S / HOUR_S * BACKUP_UNSEEN
    rare = together(test, sampled, half_life_s=half_life_s)
    extra = together(test, sampled // 10, all_of_them=True).retests + backups * unseen.retests
    a_day = RETEST_BYTES / SITES / DAYS
    return Fleet(
        fails[0] * idle.condemned + fails[1] * busy.condemned + backups * unseen.condemned,
        rare,
        together(test, sampled, half_life_s=half_life_s, longer=LONGER),
        together(test, sampled, half_life_s=half_life_s, spread=WIDER),
        a_day * (fails[0] * idle.retests + fails[1] * busy.retests + extra),
        a_day * (tests * FALSE_FAIL * idle.retests + extra),
    )


@dataclass(frozen=True, slots=True)
class Bad:
    """A kind of line that is really bad."""

    name: str
    fails: Fails
    decisive: float = 1.0


def _evening(now: float) -> float:
    return 0.98 if 18 * HOUR_S <= now % DAY_S < 23 * HOUR_S else FALSE_FAIL


BAD = (
    Bad("always below the floor", lambda _: 0.99, decisive=0.98),
    Bad("below the floor from 18:00 to 23:00", _evening),
    Bad("at the failing boundary: half fail, half undetermined", lambda _: 1.0, decisive=0.5),
    Bad("half fail, half pass", lambda _: 0.5),
    Bad("one in three fails", lambda _: 1 / 3),
    Bad("one in ten fails", lambda _: 0.1),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What became of many lines of one kind: share condemned, time from the first fail, cost, changes."""

    share: float
    median_s: float
    p95_s: float
    condemnations: float
    bytes_a_day: float


def found(kind: Bad, test: Sequential, lines: int, half_life_s: float = math.inf) -> Found:
    """Follow ``lines`` lines for a month from the moment they became bad."""
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
    return Found(len(took) / lines, median(took) if took else math.nan, late, changes, cost)


def repaired(test: Sequential, lines: int) -> list[float]:
    """How long a condemned line that is good again stays condemned."""
    chance, mended = random.Random(SEED), 3 * HOUR_S
    seen = [
        follow(lambda now: 1.0 if now < mended else FALSE_FAIL, chance, begin=0, end=DAYS * DAY_S, test=test)
        for _ in range(lines)
    ]
    return [one.cleared[0] - mended for one in seen if one.cleared]


def lasting(minutes: float, test: Sequential, series: int = 2000) -> float:
    """The share of all series that a disturbance of this length condemns, if every test in it fails."""
    chance, spell = random.Random(SEED), Spell(0.0, minutes * MINUTE_S, 1.0)
    seen = [_episode(spell, at, chance, test) for at in touched(spell, series, chance)]
    return sum(bool(one.condemned) for one in seen) / series
