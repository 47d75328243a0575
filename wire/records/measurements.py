"""All kinds of measurement, and the way from a name on the wire to its record."""

from collections.abc import Mapping

from wire.records.attempt import Measurement, UnknownMeasurement
from wire.records.capacity import CapacityMeasurement
from wire.records.clock import ClockMeasurement
from wire.records.dns import DnsMeasurement
from wire.records.floor import FloorMeasurement
from wire.records.interface import InterfaceMeasurement
from wire.records.path import PathMeasurement
from wire.records.reachability import ReachabilityMeasurement
from wire.records.stamp import StampMeasurement

KNOWN: tuple[type[Measurement], ...] = (
    FloorMeasurement,
    StampMeasurement,
    CapacityMeasurement,
    InterfaceMeasurement,
    PathMeasurement,
    DnsMeasurement,
    ReachabilityMeasurement,
    ClockMeasurement,
)

Record = Measurement | UnknownMeasurement


def probe_of(record: Record) -> str:
    """Name of the record's probe on the wire."""
    return record.probe if isinstance(record, UnknownMeasurement) else name_of(type(record))


def name_of(kind: type[Measurement]) -> str:
    """Name on the wire of a kind of measurement."""
    return str(kind.__struct_config__.tag)


BY_NAME: Mapping[str, type[Measurement]] = {name_of(kind): kind for kind in KNOWN}
