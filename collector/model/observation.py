"""A committed measurement as the views see it: which series, when, and what it found."""

import sys
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct, structs

from wire.records import (
    CapacityValues,
    ClockReading,
    Direction,
    Failure,
    FloorValues,
    Hop,
    Outcome,
    PathValues,
    ReachabilityValues,
    Record,
    Values,
    probe_of,
)

AHEAD_US = 300_000_000  # a claim of more than five minutes ahead of the collector's clock is a wrong clock

EVENTS = frozenset({"reachability", "clock"})  # probes that tell of a change, and on no schedule
_FAILURES = {failure.value: failure for failure in Failure}


class PassedOver(StrEnum):
    """Why a measurement is kept in the ledger, and believed by no view."""

    AHEAD = "ahead"  # of the future
    OUTDATED = "outdated"  # older than what is kept


class Series(NamedTuple):
    """What a measurement is one of: a probe of a site in one direction or DSCP class."""

    site: str
    probe: str
    direction: Direction | None
    dscp: int | None


class Observation(Struct, frozen=True, kw_only=True):
    """One measurement in live state. ``order`` is its place in the ledger, which breaks ties of time.

    ``time_us`` is the measurement time that views go by (``collector.model.clock_correction`` finds it),
    ``received_us`` when it came. ``values`` are what :func:`for_views` leaves of them, ``busy_ratio`` how
    busy the agent's machine was, ``peer`` whom it was measured against.
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
    """The failure that ``word`` stands for; a newer agent's word is for the ledger alone."""
    return _FAILURES.get(word) if word is not None else None


def observe(
    site: str,
    record: Record,
    *,
    time_us: int,
    order: int,
    received_us: int,
    begin_offset_us: int | None = None,
) -> Observation:
    """The view's picture of a record that has just been committed.

    ``begin_offset_us`` is what :func:`begun_by` needs of an outage that began in an earlier boot, if known.
    """
    values = getattr(record, "values", None)
    if isinstance(values, ReachabilityValues):
        values = moments_placed(values, record.start.boot_id, record.start.boot_us, time_us)
        if begin_offset_us is not None:
            values = begun_by(values, begin_offset_us, time_us)
    return Observation(
        series=Series(site, probe_of(record), record.direction, record.dscp),
        time_us=time_us,
        order=order,
        received_us=received_us,
        interval_us=record.interval_us,
        outcome=record.outcome,
        failure=failure_of(record.failure),
        values=for_views(values) if values is not None else None,
        bytes_sent=record.bytes_sent,
        bytes_received=record.bytes_received,
        busy_ratio=record.host.busy_ratio if record.host else None,
        peer=sys.intern(record.peer),  # a handful of names, in every observation
    )


def moments_placed(
    values: ReachabilityValues, boot_id: str, boot_us: int, time_us: int
) -> ReachabilityValues:
    """An outage with its moments' wall time as its measurement was placed.

    In the boot of the measurement, which began at ``boot_us`` and is placed at ``time_us``, CLOCK_BOOTTIME
    tells how far apart they are. Of an earlier boot there is its own wall clock, which cannot be later. What
    is told of tomorrow is told wrongly, whatever the clocks say.
    """

    def placed_moment(moment: ClockReading) -> ClockReading:
        wall_us = min(moment.wall_us, time_us)
        if moment.boot_id == boot_id:
            wall_us = min(max(0, time_us + moment.boot_us - boot_us), time_us + AHEAD_US)
        return structs.replace(moment, wall_us=wall_us)

    end = None if values.end is None else placed_moment(values.end)
    return structs.replace(values, begin=placed_moment(values.begin), end=end)


def begun_by(values: ReachabilityValues, offset_us: int, time_us: int) -> ReachabilityValues:
    """The outage with its beginning by what is known of the clocks of the earlier boot in which that was.

    ``offset_us`` is UTC less CLOCK_BOOTTIME of that boot. It began before its measurement, at ``time_us``.
    """
    begin = values.begin
    wall_us = min(max(0, begin.boot_us + offset_us), time_us)
    return structs.replace(values, begin=structs.replace(begin, wall_us=wall_us, synchronised=True))


def for_views(values: Values) -> Values:
    """What live state keeps of a record's values; tests, intervals and most hops stay in the ledger."""
    match values:
        case FloorValues():
            return structs.replace(values, tests=())
        case CapacityValues():
            return structs.replace(values, intervals=())
        case PathValues():
            return structs.replace(values, hops=_telling_hops(values))
    return values


def _telling_hops(found: PathValues) -> tuple[Hop, ...]:
    """The last hop, and those at which something is done to packets."""
    telling = {found.mtu_limited_at}
    if found.dscp_changed_at is not None:
        telling |= {found.dscp_changed_at - 1, found.dscp_changed_at}
    return tuple(hop for hop in found.hops if hop.ttl in telling or hop is found.hops[-1])
