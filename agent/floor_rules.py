"""The floor decision: does a line carry at least the floor? A function of fixed-rate tests, with no I/O.

A sender at rate R into a FIFO of capacity C < R makes the one-way delay grow. Per second of *receiving* it
grows by g = 1 - C/R, so C = R (1 - g) x delivered ratio, which is R / (1 + slope) x delivered ratio with the
slope per second of *sending*. No clock synchronisation is needed: only the growth counts. Each 50 ms interval
is represented by its smallest delay, because jitter, interrupts and busy hosts only ever add to a delay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from wire.records import Direction, Failure, Finding, FloorTest, Verdict
from wire.udpstp.load import Ending, LoadInterval, LoadReport

PASS_SHARE = 0.99  # of the floor: from here up a line passes
FAIL_SHARE = 0.975  # of the floor: from here down a line fails; between the two it is grey
DELIVERED_SHARE = 0.99
SENT_SHARE = 0.99
STALL_SHARE = 0.02
REFUSED_SHARE = 0.005  # packets that this host's own sockets refused or dropped
CLOCK_STEP_US = 5_000  # a tenth of what the smallest failing deficit gains in two seconds
QUEUE_SIGN_US = 10_000
CAP_RATIO = 1.1  # offered 25 % more, a capped line delivers the same, a lossy one 25 % more
FASTER, FASTEST_BPS = 1.25, 1e9
FIRST_S, REPEAT_S = 2, 5
_END = 5  # intervals of 50 ms that stand for one end of a test
REPEATS, INVALID_TRIES = 2, 3
BUSY = (10, 13)  # Setup cmdResponse: no bandwidth, or no connection, left just now (RFC 9946 §12.3.5)


@dataclass(frozen=True, slots=True)
class Step:
    """The next test to run: offered rate in bit/s at the IP layer, and whole seconds."""

    rate_bps: float
    seconds: int
    why: str


@dataclass(frozen=True, slots=True)
class Conclusion:
    """No further test is needed. ``failure`` says why there is no verdict, where there is none."""

    verdict: Verdict
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """What the delays say of a queue: microseconds gained, per microsecond of receiving, and throughout?

    Where it is not ``known``, the delays say nothing.
    """

    gained_us: float = 0.0
    rate: float = 0.0
    sustained: bool = False
    known: bool = False


def next_step(tests: Sequence[FloorTest], floor_bps: float) -> Step | Conclusion:
    """What to do after ``tests``: the ladder first test, faster test for loss, longer repeats for grey."""
    if not tests:
        return Step(floor_bps, FIRST_S, "first test at the floor")
    last = tests[-1]
    if last.finding is Finding.INVALID:
        return _after_invalid(tests, floor_bps)
    faster = min(FASTER * floor_bps, FASTEST_BPS)
    if last.finding is Finding.LOSS and last.planned_bps < faster:
        return Step(faster, FIRST_S, "loss without a queue: is the line slow, or lossy?")
    verdict = verdict_of(last, floor_bps)
    if verdict is not Verdict.GREY:
        return Conclusion(verdict)
    if sum(test.duration_us > FIRST_S * 1.5e6 for test in tests) >= REPEATS:
        return Conclusion(Verdict.UNDETERMINED)
    return Step(floor_bps, REPEAT_S, "too near the floor to tell: a longer test")


def _after_invalid(tests: Sequence[FloorTest], floor_bps: float) -> Step | Conclusion:
    if sum(test.finding is Finding.INVALID for test in tests) >= INVALID_TRIES:
        return Conclusion(Verdict.INVALID, tests[-1].failure)
    again = max(tests[-1].planned_bps, floor_bps)
    seconds = REPEAT_S if tests[-1].duration_us > FIRST_S * 1.5e6 else FIRST_S
    return Step(again, seconds, f"the last test had to be thrown away ({tests[-1].failure})")


def verdict_of(test: FloorTest, floor_bps: float) -> Verdict:
    """What one test alone says. Loss alone says nothing of capacity, so it is grey."""
    if test.finding is Finding.INVALID:
        return Verdict.INVALID
    if test.finding is Finding.CLEAR:
        return Verdict.PASS
    if test.capacity_bps is None:
        return Verdict.GREY
    if test.capacity_bps >= PASS_SHARE * floor_bps:
        return Verdict.PASS
    return Verdict.FAIL if test.capacity_bps <= FAIL_SHARE * floor_bps else Verdict.GREY


def judge(
    report: LoadReport, floor_bps: float, other_bps: float | None, earlier: Sequence[FloorTest] = ()
) -> FloorTest:
    """One completed load test as a record, with what it shows.

    ``other_bps`` is the site's own traffic during the test in the same direction, None if it is not known.
    ``earlier`` are the tests before it: a faster one is judged against the slower one that asked for it.
    """
    distinct = max(0, report.received_packets - report.duplicated)
    delivered = min(1.0, distinct / report.sent_packets) if report.sent_packets else 0.0
    growth = queue_growth(report.intervals)
    share = _share(report, growth, delivered)
    failure = why_invalid(report)
    finding = Finding.INVALID if failure else _finding(report, growth, share, delivered, floor_bps, earlier)
    capped = finding in (Finding.QUEUE, Finding.POLICED)
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
        stall_ratio=_stall_ratio(report),
        capacity_bps=share + (other_bps or 0.0) if capped else None,
        other_traffic_bps=other_bps,
        rtt_min_us=report.rtt_min_us,
        failure=failure,
    )


def _share(report: LoadReport, growth: Growth, delivered: float) -> float:
    """What the line carried of the test, bit/s.

    A queue that overflowed grew for a part of the test only, so that its growth tells less than the rate
    received; while nothing is lost the growth tells more, since no late packet at the end disturbs it. Where
    the delays say nothing, only what was received is certain: a deep queue delivers everything, late.
    """
    if delivered < DELIVERED_SHARE or not growth.known:
        return report.received_bps
    return report.sent_bps * (1 - growth.rate) * delivered


def _finding(
    report: LoadReport,
    growth: Growth,
    share: float,
    delivered: float,
    floor_bps: float,
    earlier: Sequence[FloorTest],
) -> Finding:
    if report.planned_bps > floor_bps and report.received_bps >= floor_bps:
        return Finding.CLEAR
    if delivered >= DELIVERED_SHARE and share >= PASS_SHARE * min(floor_bps, report.sent_bps):
        return Finding.CLEAR
    if growth.gained_us >= QUEUE_SIGN_US and growth.sustained:
        return _queue_or_loss(report, growth, floor_bps, share, earlier)
    if delivered < DELIVERED_SHARE:
        return Finding.POLICED if _capped(share, earlier, report.planned_bps) else Finding.LOSS
    return Finding.BETWEEN


def _queue_or_loss(
    report: LoadReport, growth: Growth, floor_bps: float, share: float, earlier: Sequence[FloorTest]
) -> Finding:
    """A queue condemns by itself only if the growth alone does; else the losses need the faster test."""
    alone = report.sent_bps * (1 - growth.rate)
    if share > FAIL_SHARE * floor_bps or alone <= FAIL_SHARE * floor_bps:
        return Finding.QUEUE
    return Finding.QUEUE if _capped(share, earlier, report.planned_bps) else Finding.LOSS


def _capped(share: float, earlier: Sequence[FloorTest], planned_bps: float) -> bool:
    """Whether a slower test already delivered as much as this one: a rate that no offer raises is a cap."""
    slower = [test for test in earlier if test.finding is Finding.LOSS and test.planned_bps < planned_bps]
    return any(share < CAP_RATIO * test.sent_bps * (1 - test.loss_ratio) for test in slower)


def why_invalid(report: LoadReport) -> Failure | None:
    """Why a completed test must not be judged by: the instrument, not the line, was the limit."""
    if abs(report.wall_step_us) > CLOCK_STEP_US:
        return Failure.CLOCK_STEPPED
    if report.blocked_sends > REFUSED_SHARE * report.planned_packets:
        return Failure.SEND_BLOCKED
    if report.receiver_drops > REFUSED_SHARE * report.planned_packets:
        return Failure.RECEIVER_SLOW
    if _stall_ratio(report) > STALL_SHARE:
        return Failure.SENDER_STALLED
    if report.sent_bps < SENT_SHARE * report.planned_bps:
        if report.backoff_steps:  # it had to slow down, because the peer's feedback did not come through
            return Failure.CONNECTION_LOST
        return Failure.SENDER_SLOW if report.direction is Direction.UP else Failure.PEER_SLOW
    return None


def _stall_ratio(report: LoadReport) -> float:
    return min(1.0, report.stall_us / report.planned_duration_us)


def queue_growth(intervals: Sequence[LoadInterval]) -> Growth:
    """How one-way delay grew over the test; nothing where too little arrived to say.

    In a growing queue an interval's smallest delay is its first packet's, hence the interval's beginning
    is its time. The end stands with the median of the last five intervals, so that one late stall says
    nothing, carried on to the last arrival by the trend from the five before: a full queue grows no further.
    """
    heard = [one for one in intervals if one.delay_min_us is not None]
    series = [(one.offset_us, one.delay_min_us or 0.0) for one in heard]
    if len(series) < 2 * _END or not _in_order(series):
        return Growth()
    begin_us, low = series[0][0], min(delay for _, delay in series[:3])
    (at_before, before), (at_last, last) = _median(series[-2 * _END : -_END]), _median(series[-_END:])
    over_us = heard[-1].offset_us + heard[-1].duration_us
    trend = max(0.0, (last - before) / (at_last - at_before))
    gained = last - low + trend * (over_us - at_last)
    if gained <= 0:
        return Growth(known=True)
    rate = min(0.99, gained / (over_us - begin_us))
    return Growth(gained, rate, _sustained(series, low, gained), known=True)


def _in_order(series: Sequence[tuple[int, float]]) -> bool:
    """Upstream the peer's wall clock says when an interval was: one that was set back makes no sense."""
    return all(earlier[0] < later[0] for earlier, later in pairwise(series))


def _sustained(series: Sequence[tuple[int, float]], low: float, gained: float) -> bool:
    """Whether the queue stood all along: a burst of other traffic near the end leaves the first half flat."""
    half = (len(series) - _END) // 2
    return _median(series[half : half + _END])[1] - low >= gained / 4


def _median(series: Sequence[tuple[int, float]]) -> tuple[int, float]:
    """Median time and median delay of an odd number of intervals.

    Not ``statistics.median``: that module keeps a quarter of a megabyte in the resident agent.
    """
    middle = len(series) // 2
    return sorted(at for at, _ in series)[middle], sorted(delay for _, delay in series)[middle]


def failure_of(report: LoadReport) -> Failure:
    """What a test that was not completed goes down as."""
    if report.ending is Ending.REFUSED and report.refusal in BUSY:
        return Failure.PEER_BUSY
    return FAILURES[report.ending]


FAILURES = {
    Ending.STOPPED: Failure.CANCELLED,
    Ending.STOPPED_BY_PEER: Failure.PEER_PROTOCOL,
    Ending.WATCHDOG: Failure.CONNECTION_LOST,
    Ending.REFUSED: Failure.PEER_REFUSED,
    Ending.COERCED: Failure.PEER_PROTOCOL,
    Ending.NO_ANSWER: Failure.NO_ANSWER,
    Ending.BAD_AUTHENTICATION: Failure.CONFIGURATION,
    Ending.BAD_RESPONSE: Failure.PEER_PROTOCOL,
    Ending.NAME_UNKNOWN: Failure.NAME_UNKNOWN,
    Ending.NOT_LISTENING: Failure.PEER_REFUSED,
    Ending.UNREACHABLE: Failure.UNREACHABLE,
    Ending.FORBIDDEN: Failure.CONFIGURATION,
    Ending.LOCAL_ERROR: Failure.INTERNAL,
}
