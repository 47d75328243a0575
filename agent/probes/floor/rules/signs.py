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
| growth | least delay, end minus begin | a queue, if it is sustained | a queue if the path moved |
| drain | delay at the load's end minus that of the probes after it | the queue's depth | a constant rate |
| median growth | over a third of a second, within the load | a queue, whatever one step of the path adds | |
| path shift | delay of these probes minus that at the begin | that the path moved | |
| steady | in each quarter of the load 40 % of its share of the growth | a constant rate | a queue |
| sustained | a quarter of the growth by half time | a queue throughout | a constant rate |
| hole | nothing arrives for 0.2 s (or 30 ms at an end), and what was sent is lost | an interruption | |
| cap | 25 % more offered, < 10 % more delivered, throughout | a policer | |
| all traffic (down) | line counters | capacity, since the test alone offers the floor | |
| busy window | every packet waited >= 10 ms for 0.8 s | capacity, beside others | a queue if the path moved |

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

from agent.load.rules.own_traffic import OwnTraffic
from agent.load.rules.series import is_interrupted, queue_drain, queue_growth, share_above
from agent.load.rules.validity import SENDERS, SENT_SHARE, slow_sender, stall_ratio, why_invalid
from agent.probes.floor.rules.judged_test import CAP_RATIO, FAIL_SHARE, JudgedTest
from wire.records import Failure, Finding, FloorTest
from wire.udpstp.load import LoadReport

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
    test = JudgedTest(
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


def _judged(test: JudgedTest, earlier: Sequence[FloorTest]) -> tuple[Finding, Failure | None]:
    if is_interrupted(test.report):
        return Finding.INTERRUPTED, None
    failure = why_invalid(test.report)
    if failure in SENDERS and (test.surely_enough or test.has_certain_window):
        failure = None  # a late sender spoils a test only where it matters (decision 9)
    if failure:
        return Finding.INVALID, failure
    finding = _finding(test, earlier)
    too_little = test.report.sent_bps < SENT_SHARE * min(test.floor_bps, test.report.planned_bps)
    if finding is Finding.BETWEEN and too_little:
        return Finding.INVALID, slow_sender(test.report)
    return finding, None


def _finding(test: JudgedTest, earlier: Sequence[FloorTest]) -> Finding:
    """Finding by the table of this module, for a test that the instrument did not spoil."""
    return next((finding for finding, applies in _ROWS if applies(test, earlier)), Finding.BETWEEN)


def _is_queue(test: JudgedTest, earlier: Sequence[FloorTest]) -> bool:
    """True for sustained growth, unless only its losses make it fail: these need the faster test first."""
    if not test.has_queue:
        return False
    limit = FAIL_SHARE * test.floor_bps
    return test.share > limit or not test.fails_by_loss or _capped(test, earlier)


def _capped(test: JudgedTest, earlier: Sequence[FloorTest]) -> bool:
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
_ROWS: tuple[tuple[Finding, Callable[[JudgedTest, Sequence[FloorTest]], bool]], ...] = (
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
