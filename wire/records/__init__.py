"""Measurement records: what one attempt of one probe left behind (RFC 7594 calls it a measurement result).

A failed attempt is a measurement too. A value that could not be measured is absent, never 0 or -1.
Units: times are integer microseconds, rates bit/s at the IP layer (RFC 9097), ratios 0 to 1.

A kind of measurement is one module, with its values and its record, and one line in ``KNOWN``. Common parts
are in ``vocabulary``, ``moments`` and ``attempt``. Whoever uses records imports them from here.
"""

from wire.records.attempt import Attempt, Measurement, UnknownMeasurement, Values
from wire.records.capacity import CapacityInterval, CapacityMeasurement, CapacityValues
from wire.records.clock import ClockMeasurement, ClockValues
from wire.records.dns import AddressRecord, DnsAnswer, DnsMeasurement, DnsResolver, DnsValues
from wire.records.floor import FloorMeasurement, FloorTest, FloorValues, LoadSample
from wire.records.interface import InterfaceFlow, InterfaceMeasurement, InterfaceValues
from wire.records.measurements import BY_NAME, KNOWN, Record, name_of, probe_of
from wire.records.moments import ClockReading, HostLoad, LatencyUnderLoad, Spread
from wire.records.path import Hop, PathMeasurement, PathValues
from wire.records.reachability import ReachabilityMeasurement, ReachabilityValues
from wire.records.stamp import StampMeasurement, StampValues
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
    "BY_NAME",
    "KNOWN",
    "AddressRecord",
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
    "DnsAnswer",
    "DnsMeasurement",
    "DnsResolver",
    "DnsValues",
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
    "name_of",
    "probe_of",
]
