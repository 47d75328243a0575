"""A record as rows of the ledger's tables."""

import hashlib
from collections.abc import Callable
from typing import Any

from collector.observation import Placed
from wire.records import (
    FloorMeasurement,
    FloorTest,
    FloorValues,
    Record,
    Spread,
    StampMeasurement,
    StampValues,
)

Row = dict[str, Any]
NameKey = Callable[[str], int]


def content_digest(raw: bytes) -> bytes:
    """16 bytes that tell one content from another: of the JSON as the agent's journal holds it."""
    return hashlib.sha256(raw).digest()[:16]


def measurement(record: Record, when: Placed, keys: Row, name_key: NameKey) -> Row:
    """The row of ``measurements``: what is common to all. ``keys`` are the row's own keys and digest."""
    return keys | {
        "seq": record.seq,
        "time_us": when.time_us,
        "clock_offset_us": when.clock_offset_us,
        "ahead": when.ahead,
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
    }


def values(key: int, record: Record, raw: bytes, name_key: NameKey) -> dict[str, list[Row]]:
    """The rows of the probe's own tables, by table name."""
    if isinstance(record, FloorMeasurement):
        return _floor(key, record.values, name_key) if record.values else {}
    if isinstance(record, StampMeasurement):
        return {"stamp_values": [_stamp(key, record.values)]} if record.values else {}
    return {"unknown_values": [{"measurement_key": key, "json": raw}]}


def _floor(key: int, found: FloorValues, name_key: NameKey) -> dict[str, list[Row]]:
    row = {
        "measurement_key": key,
        "verdict_key": name_key(found.verdict),
        "floor_bps": found.floor_bps,
        "line_counters_key": name_key(found.line_counters),
        "at_least_bps": found.at_least_bps,
        "capacity_bps": found.capacity_bps,
        "loss_ratio": found.loss_ratio,
    }
    tests = [_floor_test(key, ordinal, test, name_key) for ordinal, test in enumerate(found.tests)]
    return {"floor_values": [row], "floor_tests": tests}


def _floor_test(key: int, ordinal: int, test: FloorTest, name_key: NameKey) -> Row:
    return {
        "measurement_key": key,
        "ordinal": ordinal,
        "session": test.session,
        "planned_bps": test.planned_bps,
        "finding_key": name_key(test.finding),
        "sent_bps": test.sent_bps,
        "received_bps": test.received_bps,
        "duration_us": test.duration_us,
        "sent_packets": test.sent_packets,
        "received_packets": test.received_packets,
        "loss_ratio": test.loss_ratio,
        "slope": test.slope,
        "queue_growth_us": test.queue_growth_us,
        "stall_ratio": test.stall_ratio,
        "capacity_bps": test.capacity_bps,
        "other_traffic_bps": test.other_traffic_bps,
        "rtt_min_us": test.rtt_min_us,
    }


def _stamp(key: int, found: StampValues) -> Row:
    return {
        "measurement_key": key,
        "sent": found.sent,
        "received": found.received,
        "timeout_us": found.timeout_us,
        "loss_ratio": found.loss_ratio,
        "loss_forward_ratio": found.loss_forward_ratio,
        "loss_return_ratio": found.loss_return_ratio,
        **_spread("rtt", found.rtt),
        **_spread("variation_forward", found.variation_forward),
        **_spread("variation_return", found.variation_return),
        **_spread("delay_forward", found.delay_forward),
        **_spread("delay_return", found.delay_return),
        "reordered_forward": found.reordered_forward,
        "reordered_return": found.reordered_return,
        "duplicated": found.duplicated,
        "reply_dscp": found.reply_dscp,
        "authenticated": found.authenticated,
        "kernel_stamps": found.kernel_stamps,
    }


def _spread(name: str, spread: Spread | None) -> Row:
    return {
        f"{name}_min_us": spread.min_us if spread else None,
        f"{name}_p50_us": spread.p50_us if spread else None,
        f"{name}_p95_us": spread.p95_us if spread else None,
        f"{name}_p99_us": spread.p99_us if spread else None,
    }
