"""The floor decision: does a line carry at least the floor? A function of fixed-rate tests, with no I/O.

A sender at rate R into a FIFO of capacity C < R makes the one-way delay grow. Per second of *receiving* it
grows by g = 1 - C/R, so C = R (1 - g) x delivered ratio, which is R / (1 + slope) x delivered ratio with the
slope per second of *sending*. No clock synchronisation is needed: only the growth counts. Each 50 ms interval
is represented by its smallest delay, because jitter, interrupts and busy hosts only ever add to a delay.
"""

from collections.abc import Sequence

from msgspec import Struct

from agent.load.rules.busy_window import Window
from agent.load.rules.own_traffic import DELIVERED_SHARE, IN_USE_SHARE, OwnTraffic
from agent.load.rules.series import Growth, queue_growth, share_above
from agent.load.rules.validity import SENDERS, SENT_SHARE, slow_sender, stall_ratio, why_invalid
from agent.load.rules.validity import failure_of as failure_of
from wire.records import Direction, Failure, Finding, FloorTest, Verdict
from wire.udpstp.load import LoadReport

PASS_SHARE = 0.99  # of the floor: from here up a line passes
FAIL_SHARE = 0.98  # of the floor: from here down a line fails; between the two it is grey
QUEUE_SIGN_US = 10_000
CAP_RATIO = 1.1  # offered 25 % more, a capped line delivers the same, a lossy one 25 % more
FASTER, FASTEST_BPS = 1.25, 1e9
FIRST_S, REPEAT_S = 2, 5
UNCAPPED_SHARE = 0.25  # of the intervals: a rate so often exceeded is no cap
REPEATS, INVALID_TRIES = 2, 3
BESIDE_RATES = (1.0, 1.1, 1.2)  # of the floor, together with the site's traffic
MARGIN, MARGIN_FROM_BPS = 1.03, 33e6  # sent above a floor of many rows, where a busy host is late by more


class Step(Struct, frozen=True):
    """The next test to run: offered rate in bit/s at the IP layer, and whole seconds.

    ``beside_site``: the rate is for what is sent in all, so that the site's own traffic is to be taken off.
    """

    rate_bps: float
    seconds: int
    why: str
    beside_site: bool = False


class Conclusion(Struct, frozen=True):
    """No further test is needed. ``failure`` says why there is no verdict, where there is none."""

    verdict: Verdict
    failure: Failure | None = None


def next_step(
    tests: Sequence[FloorTest], floor_bps: float, direction: Direction = Direction.DOWN
) -> Step | Conclusion:
    """What to do after ``tests``: the ladder first test, faster test for loss, longer repeats for grey.

    A test that was given up because the site needs the line is not repeated as it was.
    """
    if not tests:
        return Step(_first_bps(floor_bps), FIRST_S, "first test at the floor")
    last = tests[-1]
    if any(test.ended_early for test in tests):
        return _after_giving_way(tests, floor_bps, direction)
    verdict = verdict_of(last, floor_bps)
    if last.finding is Finding.INVALID:
        return _after_invalid(tests, floor_bps)
    # The table's rows are whole Mbit/s: a test of a floor between two of them is planned above the floor.
    faster = min(FASTER * max(floor_bps, tests[0].planned_bps), FASTEST_BPS)
    if last.finding is Finding.LOSS and last.planned_bps < faster:
        return Step(faster, FIRST_S, "loss without a queue: is the line slow, or lossy?")
    if verdict is not Verdict.GREY:
        return Conclusion(verdict)
    if sum(test.duration_us > FIRST_S * 1.5e6 for test in tests) >= REPEATS:
        return Conclusion(Verdict.UNDETERMINED)
    return Step(_first_bps(floor_bps), REPEAT_S, "too near the floor to tell: a longer test")


def _first_bps(floor_bps: float) -> float:
    return min(MARGIN * floor_bps, FASTEST_BPS) if floor_bps >= MARGIN_FROM_BPS else floor_bps


def _after_giving_way(
    tests: Sequence[FloorTest], floor_bps: float, direction: Direction
) -> Step | Conclusion:
    """Upstream the interface counts what was offered, of which a full queue delivers nobody knows how much.

    A test that offers the floor together with the site's own traffic fills no queue of a line that is fast
    enough, and that of a slow one so slowly that nothing is lost meanwhile.
    """
    verdict = verdict_of(tests[-1], floor_bps)
    if verdict in (Verdict.PASS, Verdict.FAIL):
        return Conclusion(verdict)
    first = next(index for index, test in enumerate(tests) if test.ended_early)
    tried = len(tests) - first - 1
    if direction is Direction.UP and tried < len(BESIDE_RATES):
        why = "the site is using the line: a slower test beside its traffic"
        return Step(min(BESIDE_RATES[tried] * floor_bps, FASTEST_BPS), FIRST_S, why, beside_site=True)
    if verdict is Verdict.UNCONFIRMED:
        return Conclusion(verdict)
    return Conclusion(Verdict.INVALID, Failure.SITE_IN_USE)


def _after_invalid(tests: Sequence[FloorTest], floor_bps: float) -> Step | Conclusion:
    if sum(test.finding is Finding.INVALID for test in tests) >= INVALID_TRIES:
        return Conclusion(Verdict.INVALID, tests[-1].failure)
    again = max(tests[-1].planned_bps, floor_bps)
    seconds = REPEAT_S if tests[-1].duration_us > FIRST_S * 1.5e6 else FIRST_S
    return Step(again, seconds, f"the last test had to be thrown away ({tests[-1].failure})")


def verdict_of(test: FloorTest, floor_bps: float) -> Verdict:
    """What one test alone says. Loss alone says nothing of capacity, so it is grey.

    Where the site's own traffic is known as a span only, a pass needs its low end and a fail its high end; a
    fail that the site's own traffic may explain is unconfirmed. Of a test that was given up a span that
    leaves room for a pass says nothing.
    """
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


def judge(
    report: LoadReport,
    floor_bps: float,
    own: OwnTraffic | None,
    earlier: Sequence[FloorTest] = (),
    *,
    ended_early: bool = False,
) -> FloorTest:
    """One load test as a record, with what it shows.

    ``own`` is the site's own traffic during the test in the same direction, None if it is not known.
    ``earlier`` are the tests before it: a faster one is judged against the slower one that asked for it.
    ``ended_early``: it was given up because the site needs the line.
    """
    distinct = max(0, report.received_packets - report.duplicated)
    delivered = min(1.0, distinct / report.sent_packets) if report.sent_packets else 0.0
    growth = queue_growth(report.intervals)
    seen = _Seen(report, floor_bps, own or OwnTraffic(0.0), growth, delivered, ended_early)
    finding, failure = _judged(seen, earlier)
    capped = finding in (Finding.QUEUE, Finding.POLICED)
    beside = seen.beside if own else None
    return FloorTest(
        session=report.session,
        planned_bps=float(report.planned_bps),
        finding=finding,
        sent_bps=report.sent_bps,
        received_bps=report.received_bps,
        duration_us=report.planned_duration_us,
        sent_packets=report.sent_packets,
        received_packets=distinct,
        loss_ratio=1 - delivered,
        slope=growth.rate / (1 - growth.rate),
        queue_growth_us=round(growth.gained_us),
        stall_ratio=stall_ratio(report),
        capacity_bps=seen.carried if capped else None,
        other_traffic_bps=beside.bps if beside else None,
        other_most_bps=beside.most_bps if beside else None,
        rtt_min_us=report.rtt_min_us,
        failure=failure,
        ended_early=ended_early,
    )


class _Seen(Struct, frozen=True):
    """One test with the traffic beside it."""

    report: LoadReport
    floor_bps: float
    own: OwnTraffic
    growth: Growth
    delivered: float
    ended_early: bool = False

    @property
    def lost(self) -> bool:
        """Whether more was lost than a line that is fast enough may lose."""
        return self.delivered < DELIVERED_SHARE

    @property
    def among_others(self) -> bool:
        """Whether the delays tell of other traffic, or of a sender's pauses, as much as of the line."""
        in_use = self.own.bps >= IN_USE_SHARE * self.floor_bps
        return in_use or self.ended_early or self.slower or why_invalid(self.report) in SENDERS

    @property
    def slower(self) -> bool:
        """Whether only together with the site's own traffic it offered the floor."""
        return self.report.planned_bps < self.floor_bps

    @property
    def window(self) -> Window | None:
        """The part of the test to go by, among others."""
        return self.own.window if self.among_others else None

    @property
    def beside(self) -> OwnTraffic:
        """The site's own traffic, in the window where there is one."""
        window = self.window
        if window is None:
            return self.own
        span = window.most_other_bps > window.least_other_bps
        # Upstream beside losses it is anything from nothing on: what it was if it shared the test's fate.
        estimate = max(window.least_other_bps, min(self.own.bps, window.most_other_bps))
        return OwnTraffic(estimate, window.most_other_bps if span else None)

    @property
    def share(self) -> float:
        """What the line carried of the test, bit/s.

        A queue that overflowed grew for a part of the test only, so that its growth tells less than the rate
        received; while nothing is lost the growth tells more, since no late packet at the end disturbs it.
        Where the delays say nothing, only what was received is certain: a deep queue delivers everything,
        late.
        """
        if self.window is not None:
            return self.window.share_bps
        if self.delivered < DELIVERED_SHARE or not self.growth.known:
            return self.report.received_bps
        return self.report.sent_bps * (1 - self.growth.rate) * self.delivered

    @property
    def total(self) -> float | None:
        """All that the line delivered, where other traffic makes the test's own share a poor guide to it.

        Beside bursts of others the delays tell of the bursts. But whatever the queue does, a FIFO delivers
        the lesser of its capacity and of what it is offered, and the test alone offers the floor.
        """
        return self.own.total_bps if self.own.bps >= IN_USE_SHARE * self.floor_bps else None

    @property
    def carried(self) -> float:
        """What the line carried of all traffic, as far as it is known."""
        if self.window is not None or self.total is None:
            return self.share + self.beside.bps
        return self.total

    @property
    def surely_carried(self) -> float:
        """As ``carried``, with the low end where other traffic is known as a span."""
        return self.share if self.beside.most_bps is not None else self.carried

    @property
    def surely_enough(self) -> bool:
        """Whether the test's own packets prove the floor, however unevenly they were sent."""
        received_bps = self.report.received_bps
        return not self.lost and min(self.share, received_bps) >= PASS_SHARE * self.floor_bps

    @property
    def needed_bps(self) -> float:
        """What the line has to carry to pass; a sender that was a little slow is forgiven."""
        sent_bps = self.report.sent_bps
        slow = self.slower or sent_bps < SENT_SHARE * self.floor_bps
        return PASS_SHARE * (self.floor_bps if slow else min(self.floor_bps, sent_bps))


def _judged(seen: _Seen, earlier: Sequence[FloorTest]) -> tuple[Finding, Failure | None]:
    failure = why_invalid(seen.report)
    if failure in SENDERS and (seen.surely_enough or seen.window is not None):
        failure = None
    if failure:
        return Finding.INVALID, failure
    finding = _finding(seen, earlier)
    too_little = seen.report.sent_bps < SENT_SHARE * min(seen.floor_bps, seen.report.planned_bps)
    if finding is Finding.BETWEEN and too_little:  # all was delivered, but it was not enough
        return Finding.INVALID, slow_sender(seen.report)
    return finding, None


def _finding(seen: _Seen, earlier: Sequence[FloorTest]) -> Finding:
    report, floor_bps, lost = seen.report, seen.floor_bps, seen.lost
    if report.planned_bps > floor_bps and report.received_bps >= floor_bps:
        return Finding.CLEAR
    if seen.total is not None and seen.total >= PASS_SHARE * floor_bps:
        return Finding.CLEAR
    told = not seen.slower or seen.growth.gained_us < QUEUE_SIGN_US / 2 or seen.window is not None
    if not lost and told and seen.surely_carried >= seen.needed_bps:
        return Finding.CLEAR
    if seen.window is not None:
        return Finding.QUEUE
    if seen.ended_early or seen.slower:
        return Finding.LOSS if lost else Finding.BETWEEN
    if seen.growth.gained_us >= QUEUE_SIGN_US and seen.growth.sustained:
        return _queue_or_loss(seen, earlier)
    if lost:
        return Finding.POLICED if _capped(seen, earlier) else Finding.LOSS
    return Finding.BETWEEN


def _queue_or_loss(seen: _Seen, earlier: Sequence[FloorTest]) -> Finding:
    """A queue condemns by itself only if the growth alone does; else the losses need the faster test."""
    limit = FAIL_SHARE * seen.floor_bps
    alone = seen.report.sent_bps * (1 - seen.growth.rate)
    if seen.share > limit or alone <= limit:
        return Finding.QUEUE
    return Finding.QUEUE if _capped(seen, earlier) else Finding.LOSS


def _capped(seen: _Seen, earlier: Sequence[FloorTest]) -> bool:
    """Whether a slower test already delivered as much as this one: a rate that no offer raises is a cap.

    And one that holds all along: losses in bursts leave most intervals whole.
    """
    planned = seen.report.planned_bps
    slower = [test for test in earlier if test.finding is Finding.LOSS and test.planned_bps < planned]
    if not any(seen.carried < CAP_RATIO * _delivered_bps(test) for test in slower):
        return False
    whole = (seen.report.received_bps + planned) / 2
    return share_above(seen.report.intervals, whole) < UNCAPPED_SHARE


def _delivered_bps(test: FloorTest) -> float:
    return test.sent_bps * (1 - test.loss_ratio) + (test.other_traffic_bps or 0.0)
