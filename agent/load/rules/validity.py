"""Validity of a load test: a test that the instrument limited, not the line, is not judged. Pure."""

from wire.records import Direction, Failure
from wire.udpstp.load import Ending, LoadReport

SENT_SHARE = 0.99  # of the plan: a slower sender cannot prove the floor
STALL_SHARE = 0.02  # of the duration that the sender may stand still
REFUSED_SHARE = 0.005  # packets that this host's own sockets refused or dropped
CLOCK_STEP_US = 5_000  # a tenth of what the smallest failing deficit gains in two seconds
BUSY = (10, 13)  # Setup cmdResponse: no bandwidth, or no connection, left just now (RFC 9946 §12.3.5)
# A lost control message fails the set-up, which is worth another try (RFC 9946 §6.1).
RETRIED = (Ending.NO_ANSWER, Ending.TEST_PORT_SILENT)
# Failures of the sender's pace only: what arrived of such a test is still true.
SENDERS = (Failure.SENDER_STALLED, Failure.SENDER_SLOW, Failure.PEER_SLOW)


def why_invalid(report: LoadReport) -> Failure | None:
    """Reason why a completed test is not to be judged, None if it is valid."""
    if abs(report.wall_step_us) > CLOCK_STEP_US:
        return Failure.CLOCK_STEPPED
    if report.blocked_sends > REFUSED_SHARE * report.planned_packets:
        return Failure.SEND_BLOCKED
    if report.receiver_drops > REFUSED_SHARE * report.planned_packets:
        return Failure.RECEIVER_SLOW
    if stall_ratio(report) > STALL_SHARE:
        return Failure.SENDER_STALLED
    # A sender may have sent less by as much as it stood still (decision 9).
    if report.sent_bps < (SENT_SHARE - stall_ratio(report)) * report.planned_bps:
        if report.backoff_steps:  # the sender slowed down because the peer's feedback was lost
            return Failure.CONNECTION_LOST
        return slow_sender(report)
    return None


def slow_sender(report: LoadReport) -> Failure:
    """Failure of the sender that did not keep its pace: this host's for an upload, else the peer's."""
    return Failure.SENDER_SLOW if report.direction is Direction.UP else Failure.PEER_SLOW


def stall_ratio(report: LoadReport) -> float:
    """Part of the test's duration in which its sender stood still."""
    return min(1.0, report.stall_us / report.planned_duration_us)


def failure_of(report: LoadReport) -> Failure:
    """Failure of a test that was not completed."""
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
    Ending.TEST_PORT_SILENT: Failure.TEST_PORT_BLOCKED,
    Ending.BAD_AUTHENTICATION: Failure.CONFIGURATION,
    Ending.BAD_RESPONSE: Failure.PEER_PROTOCOL,
    Ending.NAME_UNKNOWN: Failure.NAME_UNKNOWN,
    Ending.NOT_LISTENING: Failure.PEER_REFUSED,
    Ending.UNREACHABLE: Failure.UNREACHABLE,
    Ending.FORBIDDEN: Failure.CONFIGURATION,
    Ending.LOCAL_ERROR: Failure.INTERNAL,
}
