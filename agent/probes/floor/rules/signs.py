"""Signs of one fixed-rate test: what its losses, delays and rates show of the line. Pure.

A sender of rate R in front of a FIFO of capacity C < R fills its queue, and one-way delay grows. Per second
of *receiving* it grows by g = 1 - C/R. Hence C = R (1 - g) x delivered ratio. With the slope per second of
*sending* this is R / (1 + slope) x delivered ratio. Only growth counts, and no clock needs to be
synchronised. Each interval of 50 ms is represented by its smallest delay, because jitter, interrupts and busy
hosts only ever add.

Delay also grows where the path itself changes: another route, a handover, a radio scheduler. A queue of ours
has a second property that no path has. It drains when the load stops, by 1 ms a ms. Probes that follow the
load in its own flow see the idle path just after that. If the idle path is as long as it was before, the
growth was a queue. If it is not, the path *moved*, and only the drain shows the depth of the queue.

| sign | from | proves | does not prove |
|---|---|---|---|
| delivered ratio | distinct packets received / sent | loss, from 1 % on | a slow line |
| received rate | bytes over the time they took | at least so much capacity | a limit |
| growth | least delay, end minus begin | a queue, if it is sustained | a queue, if the path moved |
| drain | delay at the load's end minus that of the probes after it | the queue's depth | a constant rate |
| median growth | over a third of a second, within the load | a queue, whatever one step of the path adds | |
| path shift | delay of these probes minus that at the begin | that the path moved | |
| steady | in each quarter of the load 40 % of its share of the growth | a constant rate | a queue |
| sustained | a quarter of the growth by half time | a queue throughout | a constant rate |
| hole | nothing arrives for 0.2 s (or 30 ms at an end), and what was sent is lost | an interruption | |
| cap | 25 % more offered, < 10 % more delivered, throughout | a policer | |
| all traffic (down) | line counters | capacity, since the test alone offers the floor | |
| busy window | every packet waited >= 10 ms for 0.8 s | capacity, also beside other traffic | |

The finding of a test is the first that applies:

| finding | condition |
|---|---|
| interrupted | a hole |
| invalid | the instrument spoilt the test, and neither its packets prove the floor nor a window its lack |
| clear | a faster test received the floor, however much the path moved |
| clear | all traffic of the line (down) is at least 99 % of the floor |
| moved | the path shifted by more than 12 ms, or varied by as much in the 0.7 s after the load |
| queue | after a pre-drain there was a queue throughout, so that what arrived is the capacity |
| clear | without loss, what surely was carried is at least 99 % of the floor, or of what was sent |
| queue | there is a busy window, hence a capacity |
| loss, between | the test gave way to the site, or was a slower one beside it: loss if there was any |
| unsteady | growth of 10 ms that the drain confirms and that would fail, but which is not steady |
| queue | sustained growth of 10 ms, which fails by itself or together with a cap |
| policed | loss, and a cap |
| loss | loss, or so little of it that only together with growth it fails |
| invalid | everything was delivered, but the sender did not send the floor |
| between | anything else |

What must never happen: a good line that fails. Hence loss alone condemns nothing, nor does growth that the
site's own traffic or the path can explain. One sign alone decides nothing: growth needs the drain, and a
drain beside a path that moved needs a second test (``decision``). A peer that takes no probes leaves growth
alone; it then has to show twice. A test is *among others* beside 5 % of the floor from the site, when it gave
way, and when its sender was late. Delays then show the others as much as the line, and a busy window, if
there is one, decides alone.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from agent.load.rules.busy_window import BusyWindow
from agent.load.rules.own_traffic import DELIVERED_SHARE, IN_USE_SHARE, OwnTraffic
from agent.load.rules.series import Growth, QueueDrain, is_interrupted, queue_drain, queue_growth, share_above
from agent.load.rules.validity import SENDERS, SENT_SHARE, slow_sender, stall_ratio, why_invalid
from wire.records import Failure, Finding, FloorTest
from wire.udpstp.load import LoadReport

PASS_SHARE = 0.99  # of the floor: from here up a line passes
FAIL_SHARE = 0.98  # of the floor: from here down it fails (decision 18); between the two it is grey
QUEUE_SIGN_US = 10_000  # no jitter looks like so much growth of the smallest delay
MOVED_US = 12_000  # jitter and the search for minima shift the idle path by less
CAP_RATIO = 1.1  # offered 25 % more, a capped line delivers the same, a lossy one 25 % more
LONG_US = 4_000_000  # a rate that swings each second shows its mean within it
UNCAPPED_SHARE = 0.25  # of the intervals: a rate that is exceeded so often is no cap, but loss in bursts


def judge(
    report: LoadReport,
    floor_bps: float,
    own: OwnTraffic | None,
    earlier: Sequence[FloorTest] = (),
    *,
    ended_early: bool = False,
    pre_drained: bool = False,
) -> FloorTest:
    """Record of one load test with its finding.

    ``own`` is the site's own traffic in the direction of the test, None where it is not known. ``earlier``
    are the tests before this one: a faster test is judged against the slower one that asked for it.
    ``ended_early``: the test gave way to the site's traffic. ``pre_drained``: it began behind a burst.
    """
    distinct = max(0, report.received_packets - report.duplicated)
    delivered = min(1.0, distinct / report.sent_packets) if report.sent_packets else 0.0
    growth = queue_growth(report.intervals)
    # Behind a pre-drain the load begins in a queue, so that its own depth is not known.
    drain = None if pre_drained else queue_drain(report)
    test = _JudgedTest(
        report, floor_bps, own or OwnTraffic(0.0), growth, drain, delivered, ended_early, pre_drained
    )
    finding, failure = _judged(test, earlier)
    shows_capacity = finding in (Finding.QUEUE, Finding.POLICED)
    beside = test.beside if own else None
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
        capacity_bps=test.carried if shows_capacity else None,
        other_traffic_bps=beside.bps if beside else None,
        other_most_bps=beside.most_bps if beside else None,
        rtt_min_us=report.rtt_min_us,
        failure=failure,
        path_shift_us=round(drain.path_shift_us) if drain else None,
        moved_capacity_bps=test.of_moved_path if finding is Finding.MOVED else None,
        ended_early=ended_early,
    )


class _JudgedTest(Struct, frozen=True):
    """One test, with the traffic beside it and what is derived from both."""

    report: LoadReport
    floor_bps: float
    own: OwnTraffic
    growth: Growth
    drain: QueueDrain | None
    delivered: float
    ended_early: bool = False
    pre_drained: bool = False

    @property
    def lost(self) -> bool:
        return self.delivered < DELIVERED_SHARE

    @property
    def among_others(self) -> bool:
        """True where delays show other traffic, or a sender's pauses, as much as the line."""
        in_use = self.own.bps >= IN_USE_SHARE * self.floor_bps
        return in_use or self.ended_early or self.slower or why_invalid(self.report) in SENDERS

    @property
    def slower(self) -> bool:
        """True where the test offered the floor only together with the site's own traffic."""
        return self.report.planned_bps < self.floor_bps

    @property
    def window(self) -> BusyWindow | None:
        """Busy window to judge by, among others."""
        return self.own.window if self.among_others else None

    @property
    def path_change_us(self) -> float:
        """Time by which the path became longer or shorter, or varied when idle; 0 where it is not known."""
        # A path that varies when idle can hide growth, or make it, and be back where it was at the end.
        return max(abs(self.drain.path_shift_us), self.drain.idle_range_us) if self.drain else 0.0

    @property
    def moved(self) -> bool:
        """True if the path itself became longer or shorter; among others the probes show their traffic."""
        if self.drain is None or self.among_others:
            return False
        # On a very slow line the delay of single packets differs by the time that one takes.
        packet_us = self.report.sent_ip_bytes / self.report.sent_packets * 8e6 / self.report.received_bps
        return self.path_change_us > MOVED_US + packet_us

    @property
    def of_moved_path(self) -> float | None:
        """Capacity of a line whose path moved, bit/s; None where it is not certain.

        A path that is still again has made one step, which the median growth of the load does not see.
        Otherwise the drain shows the queue. A path that jumps just after the load looks like a drain, or
        hides one: the least delays of longer times must not contradict it. With losses a part of the queue
        is missing.
        """
        if self.drain is None or self.lost:
            return None
        offered = self.floor_bps / self.report.sent_bps
        fails, passes = 1 - FAIL_SHARE * offered, 1 - PASS_SHARE * offered
        rate, envelope, median = self.drain.rate, self.drain.envelope_rate, self.drain.median_rate
        if self.drain.idle_range_us <= MOVED_US:
            rate, contradicting = median, rate
            # A path that grew little by little has median growth too, but no queue that drains.
            has_grown = abs(self.drain.depth_us) < QUEUE_SIGN_US and envelope <= passes
            if median >= fails and contradicting <= passes and has_grown:
                rate = contradicting
            elif (median >= fails and contradicting <= passes) or (
                median <= passes and contradicting >= fails
            ):
                return None
        elif (rate >= fails and envelope < passes) or (rate <= passes and envelope > (fails + passes) / 2):
            return None
        return self._surely(self.report.sent_bps * (1 - max(0.0, rate)))

    def _surely(self, capacity_bps: float) -> float | None:
        """Capacity, or None for a faster test near the floor, where the path's change is as much."""
        if self.report.planned_bps < CAP_RATIO * self.floor_bps:
            return capacity_bps
        change_bps = self.report.sent_bps * self.path_change_us / self.report.planned_duration_us
        passes = capacity_bps - change_bps >= PASS_SHARE * self.floor_bps
        fails = capacity_bps + change_bps <= FAIL_SHARE * self.floor_bps
        return capacity_bps if passes or fails else None

    @property
    def stood_in_queue(self) -> bool:
        """True if every packet behind a pre-drain waited: the line never idled."""
        waits = [one.delay_min_us for one in self.report.intervals if one.delay_min_us is not None]
        return self.pre_drained and bool(waits) and min(waits) >= QUEUE_SIGN_US

    @property
    def beside(self) -> OwnTraffic:
        """Site's own traffic, in the busy window where there is one."""
        window = self.window
        if window is None:
            return self.own
        is_span = window.most_other_bps > window.least_other_bps
        # Up, beside losses, it is anything from 0 on. The estimate is what it was if it shared the test's
        # fate.
        estimate = max(window.least_other_bps, min(self.own.bps, window.most_other_bps))
        return OwnTraffic(estimate, window.most_other_bps if is_span else None)

    @property
    def share(self) -> float:
        """Rate of the test that the line carried, bit/s."""
        if self.window is not None:
            return self.window.share_bps
        if self.stood_in_queue:
            return self.report.received_bps
        # An overflowing queue grows for a part of the test only; then growth shows less than the rate
        # received. Without known delays the received rate is all that is certain: a deep queue delivers
        # everything, late.
        if self.delivered < DELIVERED_SHARE or not self.growth.known:
            return self.report.received_bps
        # Without loss growth shows more, because no late packet at the end disturbs it.
        return self.report.sent_bps * (1 - self.growth.rate) * self.delivered

    @property
    def total(self) -> float | None:
        """All that the line delivered, where other traffic makes the test's share a poor guide to it.

        Beside bursts of others the delays show the bursts. But a FIFO always delivers the lesser of its
        capacity and of what it is offered, and the test alone offers the floor.
        """
        return self.own.total_bps if self.own.bps >= IN_USE_SHARE * self.floor_bps else None

    @property
    def carried(self) -> float:
        """Rate of all traffic that the line carried, as far as it is known, bit/s."""
        if self.window is not None or self.total is None:
            return self.share + self.beside.bps
        return self.total

    @property
    def surely_carried(self) -> float:
        """As ``carried``, with the low end where other traffic is known as a span."""
        return self.share if self.beside.most_bps is not None else self.carried

    @property
    def surely_enough(self) -> bool:
        """True where the test's own packets prove the floor, however unevenly they were sent."""
        received_bps = self.report.received_bps
        return not self.lost and min(self.share, received_bps) >= PASS_SHARE * self.floor_bps

    @property
    def faster_received(self) -> bool:
        """True if a test above the floor received the floor."""
        # A path that becomes shorter lets the same bytes arrive in less time.
        received_bps = self.report.received_bps
        if self.report.planned_bps <= self.floor_bps or not received_bps:
            return False
        taken_us = self.report.received_ip_bytes * 8e6 / received_bps
        change_us = max(self.path_change_us, self.drain.shortened_us) if self.drain else 0.0
        return received_bps * taken_us / (taken_us + change_us) >= self.floor_bps

    @property
    def all_traffic_suffices(self) -> bool:
        """True if the line delivered the floor, whoever's traffic it was."""
        return self.total is not None and self.total >= PASS_SHARE * self.floor_bps

    @property
    def carried_enough(self) -> bool:
        """True if nothing was lost, and what surely was carried suffices."""
        # A slower test with a queue was delayed by others: its share is less than the line could carry.
        tells = not self.slower or self.growth.gained_us < QUEUE_SIGN_US / 2 or self.window is not None
        return not self.lost and tells and self.surely_carried >= self.needed_bps

    @property
    def is_partial(self) -> bool:
        """True for a test that was too short, or offered too little, to show a limit of the line."""
        return self.ended_early or self.slower

    @property
    def has_queue(self) -> bool:
        """True for sustained growth of delay that the drain, if there are probes, confirms."""
        if self.drain and not self.among_others and self.drain.depth_us < QUEUE_SIGN_US:
            return False
        return self.growth.gained_us >= QUEUE_SIGN_US and self.growth.sustained

    @property
    def unsteady(self) -> bool:
        """True for a queue that the drain confirms, that would fail, and that came and went."""
        if self.drain is None or self.lost or self.growth.steady or self._all_rates_fail:
            return False
        fails = self.carried <= FAIL_SHARE * self.floor_bps
        return fails and min(self.growth.gained_us, self.drain.depth_us) >= QUEUE_SIGN_US

    @property
    def _all_rates_fail(self) -> bool:
        """True if a long test shows the same queue in three ways: the path varies beside it, not the rate."""
        if self.drain is None or self.report.planned_duration_us < LONG_US:
            return False
        least = min(self.drain.rate, self.drain.envelope_rate, self.drain.median_rate)
        return self.report.sent_bps * (1 - least) <= FAIL_SHARE * self.floor_bps

    @property
    def fails_by_loss(self) -> bool:
        """True for a queue that fails only together with the losses beside it."""
        limit = FAIL_SHARE * self.floor_bps
        return self.has_queue and self.share <= limit < self.report.sent_bps * (1 - self.growth.rate)

    @property
    def needed_bps(self) -> float:
        """Rate that the line has to carry to pass; a sender that was less than 1 % slow is forgiven."""
        sent_bps = self.report.sent_bps
        slow = self.slower or sent_bps < SENT_SHARE * self.floor_bps
        return PASS_SHARE * (self.floor_bps if slow else min(self.floor_bps, sent_bps))


def _judged(test: _JudgedTest, earlier: Sequence[FloorTest]) -> tuple[Finding, Failure | None]:
    if is_interrupted(test.report):
        return Finding.INTERRUPTED, None
    failure = why_invalid(test.report)
    if failure in SENDERS and (test.surely_enough or test.window is not None):
        failure = None  # a late sender spoils a test only where it matters (decision 9)
    if failure:
        return Finding.INVALID, failure
    finding = _finding(test, earlier)
    too_little = test.report.sent_bps < SENT_SHARE * min(test.floor_bps, test.report.planned_bps)
    if finding is Finding.BETWEEN and too_little:
        return Finding.INVALID, slow_sender(test.report)
    return finding, None


def _finding(test: _JudgedTest, earlier: Sequence[FloorTest]) -> Finding:
    """Finding by the table of this module, for a test that the instrument did not spoil."""
    return next((finding for finding, applies in _ROWS if applies(test, earlier)), Finding.BETWEEN)


def _is_queue(test: _JudgedTest, earlier: Sequence[FloorTest]) -> bool:
    """True for sustained growth, unless only its losses make it fail: these need the faster test first."""
    if not test.has_queue:
        return False
    limit = FAIL_SHARE * test.floor_bps
    return test.share > limit or not test.fails_by_loss or _capped(test, earlier)


def _capped(test: _JudgedTest, earlier: Sequence[FloorTest]) -> bool:
    """True if a slower test delivered as much already, and the rate is exceeded in few intervals only."""
    planned = test.report.planned_bps
    slower = [one for one in earlier if one.finding is Finding.LOSS and one.planned_bps < planned]
    if not any(test.carried < CAP_RATIO * _delivered_bps(one) for one in slower):
        return False
    whole = (test.report.received_bps + planned) / 2
    return share_above(test.report.intervals, whole) < UNCAPPED_SHARE


def _delivered_bps(test: FloorTest) -> float:
    return test.sent_bps * (1 - test.loss_ratio) + (test.other_traffic_bps or 0.0)


# The table of this module, from the fourth row on; a test for which none applies is *between*.
_ROWS: tuple[tuple[Finding, Callable[[_JudgedTest, Sequence[FloorTest]], bool]], ...] = (
    (Finding.CLEAR, lambda test, _: test.faster_received),
    (Finding.CLEAR, lambda test, _: test.all_traffic_suffices),
    (Finding.MOVED, lambda test, _: test.moved),
    (Finding.QUEUE, lambda test, _: test.stood_in_queue and not test.ended_early),
    (Finding.CLEAR, lambda test, _: test.carried_enough),
    (Finding.QUEUE, lambda test, _: test.window is not None),
    (Finding.LOSS, lambda test, _: test.is_partial and test.lost),
    (Finding.BETWEEN, lambda test, _: test.is_partial),
    (Finding.UNSTEADY, lambda test, _: test.unsteady),
    (Finding.QUEUE, _is_queue),
    (Finding.POLICED, lambda test, earlier: test.lost and not test.has_queue and _capped(test, earlier)),
    (Finding.LOSS, lambda test, _: test.lost or test.fails_by_loss),
)
