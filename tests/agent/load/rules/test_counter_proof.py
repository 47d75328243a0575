"""Counters that count our load, and those that cannot have counted it."""

from dataclasses import dataclass
from random import Random

import pytest

from agent.line.readings import CounterReading, Unavailable
from agent.load.rules import counter_proof
from agent.load.rules.counter_proof import LaggingCounts
from agent.load.rules.own_traffic import CounterMark
from lab.links.line import LineSettings
from tests.agent.load import fixed_rate
from wire.udpstp.load import LoadReport, LoadSoFar

OWN_BPS, BEGIN_S, SECONDS = 8e6, 1.0, 2.0
FAST = fixed_rate.run(LineSettings(rate=20_000_000, queue=100_000))[0]
FULL = fixed_rate.run(LineSettings(rate=7_600_000, queue=100_000))[0]


@dataclass
class Site:
    """Traffic besides ours, bit/s, with a burst of ``burst_bps`` in a span of time; ``seen``: ours counts."""

    others_bps: float = 0.0
    burst_bps: float = 0.0
    burst_s: tuple[float, float] = (0.0, 0.0)
    seen: bool = True

    def mark(self, at_s: float) -> CounterMark:
        own = OWN_BPS / 8 * min(max(at_s - BEGIN_S, 0), SECONDS)
        burst = max(0.0, min(at_s, self.burst_s[1]) - self.burst_s[0])
        counted = self.others_bps / 8 * at_s + self.burst_bps / 8 * burst + own * self.seen
        return CounterMark(at_s, CounterReading(round(counted), 0, 0, 0), LoadSoFar(round(own)))

    def judged(self, report: LoadReport) -> bool | None:
        times = [tenth / 10 for tenth in range(int((BEGIN_S + SECONDS + 1) * 10))]
        marks = [self.mark(at_s) for at_s in times]
        loaded = [one for one in marks if BEGIN_S <= one.at_s <= BEGIN_S + SECONDS]
        # Looks know nothing of the load: outside it, that adds nothing.
        looks = [CounterMark(one.at_s, one.counters, LoadSoFar()) for one in marks]
        return counter_proof.steps_hold(looks, loaded, report, down=True)


@pytest.mark.parametrize(
    ("site", "holds"),
    [
        (Site(), True),
        (Site(others_bps=10e6), True),
        (Site(others_bps=0.5e6), True),
        (Site(seen=False), False),
        (Site(others_bps=10e6, seen=False), False),
        (Site(others_bps=0.5e6, burst_bps=6e6, burst_s=(0.9, 2.9)), False),
        (Site(burst_bps=6e6, burst_s=(1.0, 1.5)), None),
        (Site(burst_bps=6e6, burst_s=(1.7, 2.3)), True),
        (Site(burst_bps=6e6, burst_s=(3.0, 5.0)), None),
    ],
)
def test_counters_rise_and_fall_with_a_load_on_a_line_that_is_not_full(
    site: Site, holds: bool | None
) -> None:
    assert site.judged(FAST) is holds


@pytest.mark.parametrize("site", [Site(), Site(seen=False), Site(others_bps=10e6, seen=False)])
def test_no_step_is_asked_of_a_full_line_where_others_yield(site: Site) -> None:
    assert site.judged(FULL) is None


def test_without_marks_beside_the_load_nothing_is_said() -> None:
    site = Site(seen=False)
    loaded = [site.mark(1.0 + tenth / 10) for tenth in range(21)]
    assert counter_proof.steps_hold([], loaded, FAST, down=True) is None
    gone = [CounterMark(at / 10, Unavailable("gone"), LoadSoFar()) for at in range(40)]
    assert counter_proof.steps_hold(gone, loaded, FAST, down=True) is None


class CachingRouter:
    """Counts all traffic of the line, and copies its counts every ``refresh_s`` seconds.

    Others have ``others`` (bit/s) in each second of the time.
    """

    def __init__(self, refresh_s: float, phase_s: float, others: list[float]) -> None:
        self.refresh_s, self.phase_s, self.others = refresh_s, phase_s, others

    def others_until(self, at_s: float) -> float:
        whole = int(at_s)
        return sum(self.others[:whole]) / 8 + self.others[whole] / 8 * (at_s - whole)

    def reading(self, at_s: float) -> CounterReading:
        copied_s = at_s
        if self.refresh_s:
            copied_s = at_s - (at_s - self.phase_s) % self.refresh_s
        own = OWN_BPS / 8 * min(max(copied_s - 100, 0), SECONDS)
        counted = round(self.others_until(max(copied_s, 0)) + own)
        return CounterReading(counted, 0, 0, 0)


@pytest.mark.parametrize("refresh_s", [0.0, 3.0, 15.0, 30.0, 60.0])
@pytest.mark.parametrize("busy", [False, True])
def test_settled_counts_contain_the_load_and_all_others_beside_it(refresh_s: float, busy: bool) -> None:
    random, settled_count = Random(f"{refresh_s} {busy}"), 0
    for _ in range(100):
        # A line in use has some traffic in every second; now and then it is a download.
        others = [random.choice((0.0, 14e6)) * busy + random.uniform(2e3, 2e5) * busy for _ in range(300)]
        router = CachingRouter(refresh_s, random.uniform(0, 60), others)
        counts, at_s = LaggingCounts(5.0), 99 - random.random()
        counts.take(at_s, router.reading(at_s))
        settled = False
        while not settled and at_s < 180:
            at_s += 1.0
            counts.take(at_s, router.reading(at_s))
            settled = at_s > 102 and counts.is_settled(102.0, round(OWN_BPS / 8 * SECONDS), down=True)
        settled_count += settled
        if settled:
            added = counts.added()
            assert not isinstance(added, Unavailable)
            beside = router.others_until(102) - router.others_until(100)
            own = OWN_BPS / 8 * SECONDS
            assert own + beside - 1 <= added[0].received_bytes
            if not refresh_s:
                assert at_s <= 110
    # On an idle line a count that is renewed at most once while it moves looks like one that stands still.
    assert settled_count >= (100 if busy or not refresh_s else 0)


def test_counts_that_stand_still_or_lack_the_load_never_settle() -> None:
    counts = LaggingCounts(5.0)
    for second in range(80):
        counts.take(float(second), CounterReading(1000 + second, 0, 0, 0))
    assert not counts.is_settled(3.0, 2_000_000, down=True)
    still = LaggingCounts(5.0)
    for second in range(80):
        still.take(float(second), CounterReading(1000, 0, 0, 0))
    assert not still.is_settled(3.0, 2_000_000, down=True)


def test_counts_that_were_never_read_say_why() -> None:
    counts = LaggingCounts(5.0)
    counts.take(0.0, Unavailable("no answer"))
    assert counts.added() == Unavailable("no answer")
