"""Proof that the line's counters count our own load, and the refresh of counters that lag. Pure.

Counters may be those of another line, stand still, or be copied now and then from somewhere else. What they
do not show is then no absence of traffic. They prove themselves by bytes that we know: those of our tests.

| sign | asked of | holds if | otherwise unusable |
|---|---|---|---|
| share | every test | 98 % of the test's bytes were counted | in this test |
| step | tests on a line not full | they rise and fall by the load, within 5 % | until it holds again |
| refresh | counters that lag | a new count after the test was seen | in this test, after a wait |

On a full line other traffic yields to the load, so that no step can be asked there. A burst of the site at
one of the two moments spoils one step. Only two that fail together condemn the counters.

A count that is copied every so often is of the moment of its copying, or a little earlier (``lag_s``). The
first new count that was copied after the load's end has all of the test in it. What else it has may have
crossed the line at any time since the count before the test.
"""

from collections.abc import Sequence
from itertools import pairwise

from agent.line.readings import CounterReading, Unavailable
from agent.load.rules import series
from agent.load.rules.own_traffic import CounterMark, unproven
from wire.udpstp.load import LoadReport

STEP_TOLERANCE, STEP_SLACK_BPS = 0.05, 200e3  # drain probes and the trains beside a load take 0.15 Mbit/s
STEP_S, LEAST_STEP_S = 0.6, 0.25  # time on either side of a step, and the least of it that shows a rate
BEFORE_S, AFTER_S = 0.12, 0.3  # a mark may be so late behind the begin of a load; its end comes so late
FULL_US, FULL_LOSS = 10_000, 0.01  # growth of the queue, or loss, of a line that is full


def steps_hold(
    looks: Sequence[CounterMark], loaded: Sequence[CounterMark], report: LoadReport, *, down: bool
) -> bool | None:
    """Check if the counters rise and fall with our load; None where that cannot be told.

    ``looks`` are marks from before and after the load, ``loaded`` those of the load.
    """
    if len(loaded) < 2 or _is_full(report):
        return None
    begin_s, end_s = loaded[0].at_s, loaded[-1].at_s
    before = [one for one in looks if begin_s - BEFORE_S - STEP_S <= one.at_s <= begin_s - BEFORE_S]
    after = [one for one in looks if end_s + AFTER_S <= one.at_s <= end_s + AFTER_S + STEP_S]
    first = [one for one in loaded if one.at_s <= begin_s + STEP_S]
    last = [one for one in loaded if one.at_s >= end_s - STEP_S]
    allowed = STEP_TOLERANCE * report.sent_bps + STEP_SLACK_BPS
    found = [
        abs(under_load - idle) <= allowed
        for under_load, idle in (
            (_others_bps(first, down=down), _others_bps(before, down=down)),
            (_others_bps(last, down=down), _others_bps(after, down=down)),
        )
        if under_load is not None and idle is not None
    ]
    if found and all(found):
        return True
    return False if len(found) == 2 and not any(found) else None


def _is_full(report: LoadReport) -> bool:
    growth = series.queue_growth(report.intervals)
    return not growth.known or growth.gained_us >= FULL_US or report.lost > FULL_LOSS * report.sent_packets


def _others_bps(marks: Sequence[CounterMark], *, down: bool) -> float | None:
    """Rate that the counters show besides our own load; None where the marks show none."""
    if len(marks) < 2 or marks[-1].at_s - marks[0].at_s < LEAST_STEP_S:
        return None
    first, last = marks[0], marks[-1]
    if isinstance(first.counters, Unavailable) or isinstance(last.counters, Unavailable):
        return None
    added = last.counters.since(first.counters)
    if isinstance(added, Unavailable):
        return None
    line_bytes = added.received_ip_bytes if down else added.sent_ip_bytes
    own_bytes = last.so_far.line_bytes - first.so_far.line_bytes
    return (line_bytes - own_bytes) * 8 / (last.at_s - first.at_s)


class LaggingCounts:
    """Readings of counters that another machine refreshes, from before a test until they contain it.

    ``lag_s`` is the age of a count when it is new.
    """

    def __init__(self, lag_s: float) -> None:
        self._lag_s = lag_s
        self._first: CounterReading | None = None
        self._newest: CounterReading | None = None
        self._first_s = self._newest_s = 0.0
        self._changes: list[tuple[float, float]] = []  # when it was old still, and when it was seen new
        self.problem: Unavailable | None = None

    def take(self, at_s: float, reading: CounterReading | Unavailable) -> None:
        """Take a reading that was asked for at ``at_s``; one that failed is left out."""
        if isinstance(reading, Unavailable):
            self.problem = reading
            return
        if self._newest is None:
            self._first, self._first_s = reading, at_s
        elif _differs(reading, self._newest):
            self._changes.append((self._newest_s, at_s))
        self._newest, self._newest_s = reading, at_s

    def added(self) -> tuple[CounterReading, float] | Unavailable:
        """Growth from the first to the newest reading, and the seconds between the two."""
        if self._first is None or self._newest is None:
            return self.problem or Unavailable("the counters were not read")
        added = self._newest.since(self._first)
        return added if isinstance(added, Unavailable) else (added, self._newest_s - self._first_s)

    def is_settled(self, load_end_s: float, own_bytes: int, *, down: bool) -> bool:
        """Check if the newest count has all of a load in it that ended at ``load_end_s``."""
        added = self.added()
        if isinstance(added, Unavailable) or self._newest_s < load_end_s + self._lag_s:
            return False
        counted = added[0].received_ip_bytes if down else added[0].sent_ip_bytes
        if unproven(counted, own_bytes) is not None:
            return False
        if any(old_s >= load_end_s + self._lag_s for old_s, _ in self._changes):
            return True
        # Nothing new for longer than any refresh took before: nothing crosses the line.
        gaps = [after[1] - before[1] for before, after in pairwise(self._changes)]
        still_s = self._newest_s - self._changes[-1][1] if self._changes else 0.0
        return bool(gaps) and still_s >= max(self._lag_s, 2 * max(gaps))


def _differs(one: CounterReading, other: CounterReading) -> bool:
    return (one.received_bytes, one.sent_bytes) != (other.received_bytes, other.sent_bytes)
