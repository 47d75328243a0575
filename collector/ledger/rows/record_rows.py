"""A record as rows of the ledger's tables."""

import hashlib

from collector.ledger.schema.layout import NameKey, Row
from collector.ledger.schema.values import VALUES, Tables
from collector.model.clock_correction import CorrectedTime
from wire.records import Record, UnknownMeasurement, probe_of


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
    """The rows of the probe's own tables, by table name; a record that has none here is kept whole."""
    own = {"measurement_key": key}
    if not isinstance(record, UnknownMeasurement):
        if record.values is None:
            return {}
        if (tables := VALUES.get(probe_of(record))) is not None:
            return tables.rows(own, record.values, name_key)
    return {"unknown_values": [own | {"json": raw}]}


def has_tables(record: Record) -> bool:
    """True for a record whose values stand in columns."""
    return not isinstance(record, UnknownMeasurement) and probe_of(record) in VALUES
