"""Measurement records: what one attempt of one probe left behind (RFC 7594 calls it a measurement result).

A failed attempt is a measurement too. A value that could not be measured is absent, never 0 or -1.
Units: times are integer microseconds, rates bit/s at the IP layer (RFC 9097), ratios 0 to 1.

One module a probe, what they share in ``vocabulary``, ``moments`` and ``attempt``; whoever uses records
imports them from here.
"""

from tests.versions.v0_1.wire.records.attempt import Attempt, Measurement
from tests.versions.v0_1.wire.records.capacity import CapacityInterval, CapacityValues
from tests.versions.v0_1.wire.records.floor import FloorTest, FloorValues, LoadSample
from tests.versions.v0_1.wire.records.interface import InterfaceFlow, InterfaceValues
from tests.versions.v0_1.wire.records.measurements import (
    KNOWN,
    CapacityMeasurement,
    FloorMeasurement,
    InterfaceMeasurement,
    Known,
    PathMeasurement,
    Record,
    StampMeasurement,
    UnknownMeasurement,
    Values,
    probe_of,
)
from tests.versions.v0_1.wire.records.moments import ClockReading, HostLoad, LatencyUnderLoad, Spread
from tests.versions.v0_1.wire.records.path import Hop, PathValues
from tests.versions.v0_1.wire.records.stamp import StampValues
from tests.versions.v0_1.wire.records.vocabulary import (
    Algorithm,
    Bound,
    Count,
    Direction,
    Dscp,
    Epoch,
    Failure,
    Finding,
    Layer,
    LineCounters,
    Micros,
    Name,
    Outcome,
    Purpose,
    Rate,
    Ratio,
    Sequence,
    Session,
    Signed,
    SiteId,
    Standing,
    Text,
    Verdict,
)

__all__ = [
    "KNOWN",
    "Algorithm",
    "Attempt",
    "Bound",
    "CapacityInterval",
    "CapacityMeasurement",
    "CapacityValues",
    "ClockReading",
    "Count",
    "Direction",
    "Dscp",
    "Epoch",
    "Failure",
    "Finding",
    "FloorMeasurement",
    "FloorTest",
    "FloorValues",
    "Hop",
    "HostLoad",
    "InterfaceFlow",
    "InterfaceMeasurement",
    "InterfaceValues",
    "Known",
    "LatencyUnderLoad",
    "Layer",
    "LineCounters",
    "LoadSample",
    "Measurement",
    "Micros",
    "Name",
    "Outcome",
    "PathMeasurement",
    "PathValues",
    "Purpose",
    "Rate",
    "Ratio",
    "Record",
    "Sequence",
    "Session",
    "Signed",
    "SiteId",
    "Spread",
    "StampMeasurement",
    "StampValues",
    "Standing",
    "Text",
    "UnknownMeasurement",
    "Values",
    "Verdict",
    "probe_of",
]
