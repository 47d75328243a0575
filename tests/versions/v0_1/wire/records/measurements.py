"""The kinds of measurement: one a probe, and what a newer agent may send beyond them."""

from tests.versions.v0_1.wire.records.attempt import Attempt, Measurement
from tests.versions.v0_1.wire.records.capacity import CapacityValues
from tests.versions.v0_1.wire.records.floor import FloorValues
from tests.versions.v0_1.wire.records.interface import InterfaceValues
from tests.versions.v0_1.wire.records.path import PathValues
from tests.versions.v0_1.wire.records.stamp import StampValues
from tests.versions.v0_1.wire.records.vocabulary import Name


class FloorMeasurement(Measurement, frozen=True, kw_only=True, tag_field="probe", tag="floor"):
    """Did this direction of the line give at least the floor?"""

    values: FloorValues | None = None


class StampMeasurement(Measurement, frozen=True, kw_only=True, tag_field="probe", tag="stamp"):
    """Latency, loss and delay variation of one DSCP class."""

    values: StampValues | None = None


class CapacityMeasurement(Measurement, frozen=True, kw_only=True, tag_field="probe", tag="capacity"):
    """How much this direction of the line carries at most."""

    values: CapacityValues | None = None


class InterfaceMeasurement(Measurement, frozen=True, kw_only=True, tag_field="probe", tag="interface"):
    """What the site itself sent and received, and what its interface refused."""

    values: InterfaceValues | None = None


class PathMeasurement(Measurement, frozen=True, kw_only=True, tag_field="probe", tag="path"):
    """The way to the peer in one DSCP class: its hops, what they do to the mark, and its MTU."""

    values: PathValues | None = None


class UnknownMeasurement(Attempt, frozen=True, kw_only=True):
    """A measurement of a newer agent: of a probe, or told in a word, that this version does not know.

    What is common to all is kept, its words as they came. Outcomes and directions are no such words: who
    does not know one of them would misread the rest, so that a new one raises the schema.
    """

    probe: Name
    purpose: Name
    failure: Name | None = None


Values = FloorValues | StampValues | CapacityValues | InterfaceValues | PathValues
Known = FloorMeasurement | StampMeasurement | CapacityMeasurement | InterfaceMeasurement | PathMeasurement
Record = Known | UnknownMeasurement
KNOWN: dict[str, type[Known]] = {
    "floor": FloorMeasurement,
    "stamp": StampMeasurement,
    "capacity": CapacityMeasurement,
    "interface": InterfaceMeasurement,
    "path": PathMeasurement,
}


def probe_of(record: Record) -> str:
    """The probe's name, as it stands on the wire."""
    if isinstance(record, UnknownMeasurement):
        return record.probe
    return str(record.__struct_config__.tag)
