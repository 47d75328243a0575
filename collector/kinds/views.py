"""A record as views see it: the values that they keep, and how long these speak for the present.

Times are Unix microseconds.
"""

import sys
from typing import TypeVar

from msgspec import structs

from collector.kinds import BY_PROBE, BY_VALUES
from collector.kinds.kind import STALE_INTERVALS
from collector.model.observation import Observation, Series, begun_by, failure_of, moments_placed
from wire.records import ReachabilityValues, Record, UnknownMeasurement, Values, probe_of

DEFAULT_INTERVAL_US = 3_600_000_000  # of a measurement outside any schedule

Kept = TypeVar("Kept", bound=Values)


def observe(
    site: str,
    record: Record,
    *,
    time_us: int,
    order: int,
    received_us: int,
    begin_offset_us: int | None = None,
) -> Observation:
    """Observation of a record that has just been committed.

    ``begin_offset_us`` is what :func:`begun_by` needs of an outage that began in an earlier boot, if known.
    """
    values = None if isinstance(record, UnknownMeasurement) else record.values
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


def for_views(values: Kept) -> Kept:
    """Values without what views never read; the ledger keeps all."""
    kind = BY_VALUES.get(type(values))
    if kind is None:
        return values
    if kind.left_out:
        values = structs.replace(values, **dict.fromkeys(kind.left_out, ()))
    return values if kind.thinned is None else kind.thinned(values)


def interval_us(seen: Observation) -> int:
    """Interval of the schedule that made the measurement, or an hour."""
    return seen.interval_us or DEFAULT_INTERVAL_US


def expires_us(seen: Observation) -> int:
    """Moment at which a measurement has become too old to speak for the present."""
    kind = BY_PROBE.get(seen.series.probe)
    intervals = STALE_INTERVALS if kind is None else kind.stale_intervals
    return seen.time_us + intervals * interval_us(seen)


def is_fresh(seen: Observation | None, now_us: int) -> bool:
    """True while a measurement speaks for the present."""
    return seen is not None and now_us < expires_us(seen)


def is_late(seen: Observation) -> bool:
    """True for a measurement that was too old already when it came."""
    return not is_fresh(seen, seen.received_us)
