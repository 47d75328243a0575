"""Whether a load test may be judged by: was the line its limit, or the instrument? Why did one fail."""

from wire.records import Direction, Failure
from wire.udpstp.load import Ending, LoadReport

SENT_SHARE = 0.99
STALL_SHARE = 0.02
REFUSED_SHARE = 0.005  # packets that this host's own sockets refused or dropped
CLOCK_STEP_US = 5_000  # a tenth of what the smallest failing deficit gains in two seconds
BUSY = (10, 13)  # Setup cmdResponse: no bandwidth, or no connection, left just now (RFC 9946 §12.3.5)
SENDERS = (Failure.SENDER_STALLED, Failure.SENDER_SLOW, Failure.PEER_SLOW)
"""Failures of a sender only: what was seen although it did not keep its pace is true all the same."""


def why_invalid(report: LoadReport) -> Failure | None:
    """Why a completed test must not be judged by: the instrument, not the line, was the limit."""
    if abs(report.wall_step_us) > CLOCK_STEP_US:
        return Failure.CLOCK_STEPPED
    if report.blocked_sends > REFUSED_SHARE * report.planned_packets:
        return Failure.SEND_BLOCKED
    if report.receiver_drops > REFUSED_SHARE * report.planned_packets:
        return Failure.RECEIVER_SLOW
    if stall_ratio(report) > STALL_SHARE:
        return Failure.SENDER_STALLED
    if report.sent_bps < (SENT_SHARE - stall_ratio(report)) * report.planned_bps:
        if report.backoff_steps:  # it had to slow down, because the peer's feedback did not come through
            return Failure.CONNECTION_LOST
        return slow_sender(report)
    return None


def slow_sender(report: LoadReport) -> Failure:
    """Whose sender it was that did not keep its pace."""
    return Failure.SENDER_SLOW if report.direction is Direction.UP else Failure.PEER_SLOW


def stall_ratio(report: LoadReport) -> float:
    """By which part of its duration the test's schedule had to be put off."""
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
