"""What every measurement carries, whatever its probe and its agent's version."""

from msgspec import Struct

from tests.versions.v0_1.wire.records.moments import ClockReading, HostLoad
from tests.versions.v0_1.wire.records.vocabulary import (
    Count,
    Direction,
    Dscp,
    Epoch,
    Failure,
    Micros,
    Name,
    Outcome,
    Purpose,
    Sequence,
    Session,
    Text,
)


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every measurement carries, whatever its probe and its agent's version.

    Identity is (site, epoch, seq); the journal gives epoch and seq. ``slot_us`` is the wall time at which
    the schedule's slot began, ``interval_us`` the schedule's interval, ``schedule`` its id. ``bytes_sent``
    and ``bytes_received`` are what the attempt cost the line, IP layer.
    """

    epoch: Epoch
    seq: Sequence
    peer: Name
    start: ClockReading
    duration_us: Micros
    outcome: Outcome
    slot_us: Micros | None = None
    interval_us: Micros | None = None
    schedule: Name | None = None
    session: Session | None = None
    direction: Direction | None = None
    dscp: Dscp | None = None
    detail: Text = ""
    bytes_sent: Count = 0
    bytes_received: Count = 0
    host: HostLoad | None = None


class Measurement(Attempt, frozen=True, kw_only=True):
    """An attempt in words that this version knows."""

    purpose: Purpose
    failure: Failure | None = None
