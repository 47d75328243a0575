"""Observation: a committed measurement as the views see it. Pure."""

from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct, structs

from wire.records import ClockReading, Direction, Failure, Outcome, ReachabilityValues, Values

AHEAD_US = 300_000_000  # a claim of more than five minutes ahead of the collector's clock is a wrong clock
_FAILURES = {failure.value: failure for failure in Failure}


class PassedOver(StrEnum):
    """Reason for which a measurement of the ledger is in no view."""

    AHEAD = "ahead"  # of the future
    OUTDATED = "outdated"  # older than what is kept
    UNDATED = "undated"  # of a boot whose clock is not known


class Series(NamedTuple):
    """Probe of a site in one direction or DSCP class."""

    site: str
    probe: str
    direction: Direction | None
    dscp: int | None


class Observation(Struct, frozen=True, kw_only=True):
    """One measurement in live state. ``order`` is its place in the ledger, which breaks ties of time.

    ``time_us`` is the measurement time, corrected by ``collector.model.clock_correction``; ``received_us`` is
    its arrival. ``values`` are those that views keep (``collector.kinds.views``). ``busy_ratio`` is the CPU
    use of the agent's machine, ``peer`` the far end of the measurement.
    """

    series: Series
    time_us: int
    order: int
    received_us: int
    interval_us: int | None
    outcome: Outcome
    failure: Failure | None
    values: Values | None
    bytes_sent: int = 0
    bytes_received: int = 0
    busy_ratio: float | None = None
    peer: str = ""


def failure_of(word: str | None) -> Failure | None:
    """Failure of a word, or None for one that only newer agents know."""
    return _FAILURES.get(word) if word is not None else None


def moments_placed(
    values: ReachabilityValues, boot_id: str, boot_us: int, time_us: int
) -> ReachabilityValues:
    """Outage whose moments have corrected wall times, as its measurement has.

    The measurement began at ``boot_us`` of its boot, which is ``time_us``. CLOCK_BOOTTIME gives the distance
    of a moment in the same boot. A moment in an earlier boot keeps its own wall clock, which cannot be later.
    """

    def placed_moment(moment: ClockReading) -> ClockReading:
        wall_us = min(moment.wall_us, time_us)
        if moment.boot_id == boot_id:
            # A moment of tomorrow is wrong, whatever the clocks say.
            wall_us = min(max(0, time_us + moment.boot_us - boot_us), time_us + AHEAD_US)
        return structs.replace(moment, wall_us=wall_us)

    end = None if values.end is None else placed_moment(values.end)
    return structs.replace(values, begin=placed_moment(values.begin), end=end)


def begun_by(values: ReachabilityValues, offset_us: int, time_us: int) -> ReachabilityValues:
    """Outage whose beginning is corrected by the anchor of the earlier boot in which it began.

    ``offset_us`` is UTC less CLOCK_BOOTTIME of that boot. The outage began before its measurement was made,
    at ``time_us``.
    """
    begin = values.begin
    wall_us = min(max(0, begin.boot_us + offset_us), time_us)
    return structs.replace(values, begin=structs.replace(begin, wall_us=wall_us, synchronised=True))
