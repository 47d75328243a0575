"""Record of the capacity probe: the maximum IP-layer capacity that a search found (RFC 9097, RFC 9946)."""

from typing import Annotated

from msgspec import Meta, Struct

from wire.records.attempt import Measurement, Values
from wire.records.moments import LatencyUnderLoad
from wire.records.vocabulary import Algorithm, Bound, LineCounters, Micros, Rate, Ratio


class CapacityInterval(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sub-interval of a search (RFC 9097 section 5): what was received in it, at the IP layer.

    ``offset_us`` counts from the first packet of the load. ``delay_variation_us`` is the mean one-way delay
    above the smallest of the test.
    """

    offset_us: Micros
    duration_us: Micros
    received_bps: Rate
    loss_ratio: Ratio
    delay_variation_us: Micros | None = None


class CapacityValues(Values, frozen=True, kw_only=True, omit_defaults=True):
    """Maximum IP-layer capacity: the greatest of the sub-intervals, with the loss of that same one.

    ``bound`` says what else than the line limited the search: the line then carries at least the maximum.
    ``sent_bps`` is the sender's own rate over the whole test. ``other_traffic_bps`` is the mean rate of the
    site's own traffic during the search. It uses a part of the line's capacity, and no other figure includes
    it.
    """

    maximum_bps: Rate
    maximum_at_us: Micros
    maximum_loss_ratio: Ratio
    interval_us: Micros
    received_bps: Rate
    sent_bps: Rate
    loss_ratio: Ratio
    algorithm: Algorithm
    line_counters: LineCounters
    intervals: Annotated[tuple[CapacityInterval, ...], Meta(max_length=120)]
    bound: Bound | None = None
    other_traffic_bps: Rate | None = None
    rtt_min_us: Micros | None = None
    under_load: LatencyUnderLoad | None = None


class CapacityMeasurement(Measurement, frozen=True, kw_only=True, tag="capacity"):
    """Maximum capacity of this direction of the line."""

    values: CapacityValues | None = None
