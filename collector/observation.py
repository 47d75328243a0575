"""A committed measurement as the views see it: which series, when, and what it found."""

from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct, structs

from wire.records import (
    CapacityValues,
    Direction,
    Failure,
    FloorValues,
    Hop,
    Outcome,
    PathValues,
    Record,
    Values,
    probe_of,
)

AHEAD_US = 300_000_000  # a claim of more than five minutes ahead of the collector's clock is a wrong clock


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

    ``time_us`` is the measurement time that views go by (``collector.placing`` finds it), ``received_us``
    when it came. ``values`` are what :func:`for_views` leaves of them, ``busy_ratio`` how busy the agent's
    machine was.
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


def failure_of(word: str | None) -> Failure | None:
    """The failure that ``word`` stands for; a newer agent's word is for the ledger alone."""
    return _FAILURES.get(word) if word is not None else None


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
        values=for_views(values) if (values := getattr(record, "values", None)) is not None else None,
        bytes_sent=record.bytes_sent,
        bytes_received=record.bytes_received,
        busy_ratio=record.host.busy_ratio if record.host else None,
    )


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
