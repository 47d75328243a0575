"""Readings of the floor probe for tests of benchmarks."""

from agent.task.task import Reading
from wire.records import Failure, Finding, FloorTest, FloorValues, LineCounters, Outcome, Verdict

_FINDINGS = {Verdict.INVALID: Finding.INVALID, Verdict.FAIL: Finding.QUEUE}


def reading(
    verdict: Verdict, *, megabytes: float = 2.0, finding: Finding | None = None, capacity: float | None = None
) -> Reading:
    test = FloorTest(
        session="1-2", planned_bps=8e6, finding=finding or _FINDINGS.get(verdict, Finding.CLEAR),
        sent_bps=8e6, received_bps=8e6, duration_us=2_000_000, sent_packets=2000, received_packets=2000,
        loss_ratio=0.0, slope=0.0, queue_growth_us=0,
        failure=Failure.SENDER_STALLED if verdict is Verdict.INVALID else None,
    )  # fmt: skip
    values = FloorValues(
        verdict=verdict, floor_bps=8e6, line_counters=LineCounters.INLINE, tests=(test,), at_least_bps=8e6,
        capacity_bps=capacity,
    )  # fmt: skip
    outcome = Outcome.INVALID if verdict is Verdict.INVALID else Outcome.OK
    return Reading(outcome, values, bytes_sent=round(megabytes * 1e6))
