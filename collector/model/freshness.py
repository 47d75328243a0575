"""Freshness of a measurement: how long it speaks for the present. Times are Unix microseconds."""

from collector.model.observation import Observation

STALE_INTERVALS = 3
DEFAULT_INTERVAL_US = 3_600_000_000  # of a measurement outside any schedule


def interval_us(seen: Observation) -> int:
    """The interval of the schedule that made the measurement, or an hour."""
    return seen.interval_us or DEFAULT_INTERVAL_US


def expires_us(seen: Observation) -> int:
    """When a measurement has become too old to speak for the present: three of its intervals on."""
    return seen.time_us + STALE_INTERVALS * interval_us(seen)


def is_fresh(seen: Observation | None, now_us: int) -> bool:
    """Whether a measurement still speaks for the present."""
    return seen is not None and now_us < expires_us(seen)


def is_late(seen: Observation) -> bool:
    """Whether a measurement was too old already when it came."""
    return not is_fresh(seen, seen.received_us)
