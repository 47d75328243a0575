"""Part that all measurements have in common, whatever the probe and the agent's version."""

from msgspec import Struct

from wire.records.moments import ClockReading, HostLoad
from wire.records.vocabulary import (
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
    """Part that all measurements have in common, whatever the probe and the agent's version.

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


class Values(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of what one kind of measurement found."""


class Measurement(Attempt, frozen=True, kw_only=True, tag_field="probe"):
    """Base of the kinds that this version knows. Its tag is the probe's name on the wire."""

    purpose: Purpose
    failure: Failure | None = None
    values: Values | None = None


class UnknownMeasurement(Attempt, frozen=True, kw_only=True):
    """A measurement of a newer agent: of a probe, or with a word, that this version does not know.

    The fields common to all kinds are kept, their words unchanged. Outcomes and directions must be known:
    a reader without one of them would misread the rest. So a new one raises the schema.
    """

    probe: Name
    purpose: Name
    failure: Name | None = None
