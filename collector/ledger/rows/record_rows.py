"""A record as rows of the ledger's tables."""

import hashlib
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from collector.ledger import schema
from collector.ledger.rows.layout import Layout, NameKey, Row
from collector.model.clock_correction import CorrectedTime
from wire.records import (
    CapacityInterval,
    CapacityMeasurement,
    CapacityValues,
    ClockMeasurement,
    ClockValues,
    FloorMeasurement,
    FloorTest,
    FloorValues,
    Hop,
    InterfaceMeasurement,
    InterfaceValues,
    LatencyUnderLoad,
    PathMeasurement,
    PathValues,
    ReachabilityMeasurement,
    ReachabilityValues,
    Record,
    StampMeasurement,
    StampValues,
)

FLOOR = Layout(FloorValues, schema.floor_values, apart=frozenset({"tests", "under_load"}))
FLOOR_TEST = Layout(FloorTest, schema.floor_tests, apart=frozenset({"series"}))
UNDER_LOAD = Layout(LatencyUnderLoad, schema.latency_under_load)
STAMP = Layout(StampValues, schema.stamp_values)
CAPACITY = Layout(CapacityValues, schema.capacity_values, apart=frozenset({"intervals", "under_load"}))
CAPACITY_INTERVAL = Layout(CapacityInterval, schema.capacity_intervals)
INTERFACE = Layout(InterfaceValues, schema.interface_values)
PATH = Layout(PathValues, schema.path_values, apart=frozenset({"hops"}))
REACHABILITY = Layout(ReachabilityValues, schema.reachability_values)
CLOCK = Layout(ClockValues, schema.clock_values)
HOP = Layout(Hop, schema.path_hops, apart=frozenset({"also"}))

Tables = dict[str, list[Row]]


def content_digest(raw: bytes) -> bytes:
    """16 bytes that tell one content from another: of the JSON as the agent's journal holds it."""
    return hashlib.sha256(raw).digest()[:16]


def measurement(record: Record, when: CorrectedTime, keys: Row, name_key: NameKey) -> Row:
    """The row of ``measurements``: what is common to all. ``keys`` are the row's own keys and digest."""
    return keys | {
        "seq": record.seq,
        "time_us": when.time_us,
        "clock_offset_us": when.clock_offset_us,
        "time_error_us": when.error_us,
        "ahead": when.ahead,
        "outdated": when.outdated,
        "boot_us": record.start.boot_us,
        "boot_key": name_key(record.start.boot_id),
        "synchronised": record.start.synchronised,
        "max_error_us": record.start.max_error_us,
        "duration_us": record.duration_us,
        "purpose_key": name_key(record.purpose),
        "outcome_key": name_key(record.outcome),
        "failure_key": name_key(record.failure) if record.failure else None,
        "peer_key": name_key(record.peer),
        "slot_us": record.slot_us,
        "interval_us": record.interval_us,
        "schedule_key": name_key(record.schedule) if record.schedule else None,
        "session": record.session,
        "detail": record.detail or None,
        "bytes_sent": record.bytes_sent,
        "bytes_received": record.bytes_received,
        "host_busy_ratio": record.host.busy_ratio if record.host else None,
        "host_load_1min": record.host.load_1min if record.host else None,
    }


def values(key: int, record: Record, raw: bytes, name_key: NameKey) -> Tables:
    """The rows of the probe's own tables, by table name."""
    own = {"measurement_key": key}
    match record:
        case StampMeasurement(values=StampValues() as found):
            return {"stamp_values": [own | STAMP.row(found, name_key)]}
        case FloorMeasurement(values=FloorValues() as found):
            return _floor(own, found, name_key)
        case CapacityMeasurement(values=CapacityValues() as found):
            return _capacity(own, found, name_key)
        case InterfaceMeasurement(values=InterfaceValues() as found):
            return {"interface_values": [own | INTERFACE.row(found, name_key)]}
        case PathMeasurement(values=PathValues() as found):
            return _path(own, found, name_key)
        case ReachabilityMeasurement(values=ReachabilityValues() as found):
            return {"reachability_values": [own | REACHABILITY.row(found, name_key)]}
        case ClockMeasurement(values=ClockValues() as found):
            return {"clock_values": [own | CLOCK.row(found, name_key)]}
        case _ if getattr(record, "values", record) is None:
            return {}
        case _:  # of a probe, or told in a word, that has no table here
            return {"unknown_values": [own | {"json": raw}]}


def _floor(own: Row, found: FloorValues, name_key: NameKey) -> Tables:
    series = [
        own | {"ordinal": ordinal, "zlib": zlib.compress(msgspec.json.encode(test.series))}
        for ordinal, test in enumerate(found.tests)
        if test.series
    ]
    return {
        "floor_values": [own | FLOOR.row(found, name_key)],
        "floor_tests": _parts(own, FLOOR_TEST, found.tests, name_key),
        "floor_series": series,
        **_under_load(own, found.under_load, name_key),
    }


def _capacity(own: Row, found: CapacityValues, name_key: NameKey) -> Tables:
    return {
        "capacity_values": [own | CAPACITY.row(found, name_key)],
        "capacity_intervals": _parts(own, CAPACITY_INTERVAL, found.intervals, name_key),
        **_under_load(own, found.under_load, name_key),
    }


def _path(own: Row, found: PathValues, name_key: NameKey) -> Tables:
    hops = _parts(own, HOP, found.hops, name_key)
    for row, hop in zip(hops, found.hops, strict=True):
        row["also"] = msgspec.json.encode(hop.also).decode() if hop.also else None
    return {"path_values": [own | PATH.row(found, name_key)], "path_hops": hops}


def _under_load(own: Row, found: LatencyUnderLoad | None, name_key: NameKey) -> Tables:
    return {"latency_under_load": [own | UNDER_LOAD.row(found, name_key)]} if found else {}


def _parts(own: Row, layout: Layout[Any], parts: Sequence[Struct], name_key: NameKey) -> list[Row]:
    return [own | {"ordinal": number} | layout.row(part, name_key) for number, part in enumerate(parts)]
