"""The floor decision: does a line carry at least the floor? A function of fixed-rate tests, with no I/O.

A sender at rate R into a FIFO of capacity C < R makes the one-way delay grow. Per second of *receiving* it
grows by g = 1 - C/R, so C = R (1 - g) x delivered ratio, which is R / (1 + slope) x delivered ratio with the
slope per second of *sending*. No clock synchronisation is needed: only the growth counts. Each 50 ms interval
is represented by its smallest delay, because jitter, interrupts and busy hosts only ever add to a delay.
"""

from collections.abc import Sequence

from msgspec import Struct

from agent.floor_series import Growth, queue_growth, share_above
from wire.records import Direction, Failure, Finding, FloorTest, Verdict
from wire.udpstp.load import Ending, LoadReport

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
IN_USE_SHARE = 0.05  # of the floor: so much traffic of the site's own shapes what a test sees
UNCAPPED_SHARE = 0.25  # of the intervals: a rate so often exceeded is no cap
REPEATS, INVALID_TRIES = 2, 3
BUSY = (10, 13)  # Setup cmdResponse: no bandwidth, or no connection, left just now (RFC 9946 §12.3.5)


class Step(Struct, frozen=True):
    """The next test to run: offered rate in bit/s at the IP layer, and whole seconds."""

    rate_bps: float
    seconds: int
    why: str


class Conclusion(Struct, frozen=True):
    """No further test is needed. ``failure`` says why there is no verdict, where there is none."""

    verdict: Verdict
    failure: Failure | None = None


class OwnTraffic(Struct, frozen=True):
    """The site's own traffic in the direction of a test, while its load ran; bit/s at the IP layer.

    ``bps`` is what the line carried of it. Where that is an estimate, ``most_bps`` is what it can have been
    at most. ``total_bps`` is all that the line delivered, the test included, where it is counted on arrival.
    """

    bps: float
    most_bps: float | None = None
    total_bps: float | None = None


def next_step(tests: Sequence[FloorTest], floor_bps: float) -> Step | Conclusion:
    """What to do after ``tests``: the ladder first test, faster test for loss, longer repeats for grey.

    A test that was given up because the site needs the line is the last one, whatever it showed.
    """
    if not tests:
        return Step(floor_bps, FIRST_S, "first test at the floor")
    last = tests[-1]
    verdict = verdict_of(last, floor_bps)
    if last.ended_early and verdict in (Verdict.GREY, Verdict.INVALID):
        return Conclusion(Verdict.INVALID, Failure.SITE_IN_USE)
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
    return Step(floor_bps, REPEAT_S, "too near the floor to tell: a longer test")


def _after_invalid(tests: Sequence[FloorTest], floor_bps: float) -> Step | Conclusion:
    if sum(test.finding is Finding.INVALID for test in tests) >= INVALID_TRIES:
        return Conclusion(Verdict.INVALID, tests[-1].failure)
    again = max(tests[-1].planned_bps, floor_bps)
    seconds = REPEAT_S if tests[-1].duration_us > FIRST_S * 1.5e6 else FIRST_S
    return Step(again, seconds, f"the last test had to be thrown away ({tests[-1].failure})")


def verdict_of(test: FloorTest, floor_bps: float) -> Verdict:
    """What one test alone says. Loss alone says nothing of capacity, so it is grey.

    Where the site's own traffic is known as a span only, a pass needs its low end and a fail its high end; a
    fail that the site's own traffic may explain is unconfirmed, and so is one of a test that was given up.
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
    surely = most <= FAIL_SHARE * floor_bps and not test.ended_early
    return Verdict.FAIL if surely else Verdict.UNCONFIRMED


def _span(test: FloorTest, capacity_bps: float) -> tuple[float, float]:
    if test.other_most_bps is None:
        return capacity_bps, capacity_bps
    share = capacity_bps - (test.other_traffic_bps or 0.0)
    return share, share + test.other_most_bps


def judge(
    report: LoadReport, floor_bps: float, own: OwnTraffic | None, earlier: Sequence[FloorTest] = ()
) -> FloorTest:
    """One load test as a record, with what it shows.

    ``own`` is the site's own traffic during the test in the same direction, None if it is not known.
    ``earlier`` are the tests before it: a faster one is judged against the slower one that asked for it.
    """
    distinct = max(0, report.received_packets - report.duplicated)
    delivered = min(1.0, distinct / report.sent_packets) if report.sent_packets else 0.0
    growth = queue_growth(report.intervals)
    seen = _Seen(report, floor_bps, own or OwnTraffic(0.0), growth, delivered)
    failure = why_invalid(report)
    finding = Finding.INVALID if failure else _finding(seen, earlier)
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
        capacity_bps=seen.carried if capped else None,
        other_traffic_bps=own.bps if own else None,
        other_most_bps=own.most_bps if own else None,
        rtt_min_us=report.rtt_min_us,
        failure=failure,
    )


class _Seen(Struct, frozen=True):
    """One test with the traffic beside it."""

    report: LoadReport
    floor_bps: float
    own: OwnTraffic
    growth: Growth
    delivered: float

    @property
    def share(self) -> float:
        """What the line carried of the test, bit/s.

        A queue that overflowed grew for a part of the test only, so that its growth tells less than the rate
        received; while nothing is lost the growth tells more, since no late packet at the end disturbs it.
        Where the delays say nothing, only what was received is certain: a deep queue delivers everything,
        late.
        """
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
        return self.share + self.own.bps if self.total is None else self.total

    @property
    def surely_carried(self) -> float:
        """As ``carried``, with the low end where other traffic is known as a span."""
        return self.share if self.own.most_bps is not None else self.carried


def _finding(seen: _Seen, earlier: Sequence[FloorTest]) -> Finding:
    report, floor_bps, lost = seen.report, seen.floor_bps, seen.delivered < DELIVERED_SHARE
    if report.planned_bps > floor_bps and report.received_bps >= floor_bps:
        return Finding.CLEAR
    if seen.total is not None and seen.total >= PASS_SHARE * floor_bps:
        return Finding.CLEAR
    if not lost and seen.surely_carried >= PASS_SHARE * min(floor_bps, report.sent_bps):
        return Finding.CLEAR
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
