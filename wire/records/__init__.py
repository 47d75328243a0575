"""Measurement records: what one attempt of one probe left behind (RFC 7594 calls it a measurement result).

A failed attempt is a measurement too. A value that could not be measured is absent, never 0 or -1.
Units: times are integer microseconds, rates bit/s at the IP layer (RFC 9097), ratios 0 to 1.

One module a probe, what they share in ``vocabulary``, ``moments`` and ``attempt``; whoever uses records
imports them from here.
"""

from wire.records.attempt import Attempt, Measurement
from wire.records.capacity import CapacityInterval, CapacityValues
from wire.records.clock import ClockValues
from wire.records.floor import FloorTest, FloorValues, LoadSample
from wire.records.interface import InterfaceFlow, InterfaceValues
from wire.records.measurements import (
    KNOWN,
    CapacityMeasurement,
    ClockMeasurement,
    FloorMeasurement,
    InterfaceMeasurement,
    Known,
    PathMeasurement,
    ReachabilityMeasurement,
    Record,
    StampMeasurement,
    UnknownMeasurement,
    Values,
    probe_of,
)
from wire.records.moments import ClockReading, HostLoad, LatencyUnderLoad, Spread
from wire.records.path import Hop, PathValues
from wire.records.reachability import ReachabilityValues
from wire.records.stamp import StampValues
from wire.records.vocabulary import (
    Algorithm,
    Bound,
    Cause,
    ClockChange,
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
    "Cause",
    "ClockChange",
    "ClockMeasurement",
    "ClockReading",
    "ClockValues",
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
    "ReachabilityMeasurement",
    "ReachabilityValues",
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
