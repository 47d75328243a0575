"""A committed measurement as the views see it: which series, when, and what it found."""

from typing import NamedTuple

from msgspec import Struct, structs

from wire.records import (
    ClockReading,
    Direction,
    Failure,
    FloorMeasurement,
    FloorValues,
    Outcome,
    Record,
    StampMeasurement,
    StampValues,
    probe_of,
)

AHEAD_US = 300_000_000  # a claim of more than five minutes ahead of the collector's clock is a wrong clock


class Series(NamedTuple):
    """What a measurement is one of: a probe of a site in one direction or DSCP class."""

    site: str
    probe: str
    direction: Direction | None
    dscp: int | None


class Observation(Struct, frozen=True, kw_only=True):
    """One measurement in live state. ``order`` is its place in the ledger, which breaks ties of time.

    ``time_us`` is the measurement time that views go by (:func:`placed`), ``received_us`` when it came.
    The single tests of a floor verdict stay in the ledger.
    """

    series: Series
    time_us: int
    order: int
    received_us: int
    interval_us: int | None
    outcome: Outcome
    failure: Failure | None
    values: FloorValues | StampValues | None
    bytes_sent: int = 0
    bytes_received: int = 0


class Placed(NamedTuple):
    """When a measurement was made, how far its own claim is off, and whether views must pass it over."""

    time_us: int
    clock_offset_us: int
    ahead: bool


def placed(start: ClockReading, sent: ClockReading, received_us: int) -> Placed:
    """The measurement time, in Unix microseconds, from the agent's clocks and the time of arrival.

    A synchronised clock is believed, unless it is ahead of the arrival. A clock that is not to be believed
    (a Raspberry Pi after boot) is corrected where the batch was sent in the same boot: CLOCK_BOOTTIME tells
    how long before arrival it was. What stays ahead would hide every later measurement from live state.
    """
    time_us = start.wall_us
    doubtful = not start.synchronised or max(start.wall_us, sent.wall_us) > received_us + AHEAD_US
    if doubtful and start.boot_id == sent.boot_id and start.boot_us <= sent.boot_us:
        time_us = max(0, received_us - (sent.boot_us - start.boot_us))
    return Placed(time_us, start.wall_us - time_us, time_us > received_us + AHEAD_US)


def failure_of(word: str | None) -> Failure | None:
    """The failure that ``word`` stands for; a newer agent's word is for the ledger alone."""
    return Failure(word) if word in set(Failure) else None


def observe(site: str, record: Record, *, time_us: int, order: int, received_us: int) -> Observation:
    """The view's picture of a record that has just been committed."""
    return Observation(
        series=Series(site, probe_of(record), record.direction, record.dscp),
        time_us=time_us,
        order=order,
        received_us=received_us,
        interval_us=record.interval_us,
        outcome=record.outcome,
        failure=failure_of(record.failure),
        values=_values(record),
        bytes_sent=record.bytes_sent,
        bytes_received=record.bytes_received,
    )


def _values(record: Record) -> FloorValues | StampValues | None:
    if isinstance(record, FloorMeasurement) and record.values is not None:
        return structs.replace(record.values, tests=())
    return record.values if isinstance(record, StampMeasurement) else None
