"""Record of the floor probe: the verdict of one direction, with every test that led to it."""

from typing import Annotated

from msgspec import Meta, Struct

from wire.records.attempt import Measurement, Values
from wire.records.moments import LatencyUnderLoad
from wire.records.vocabulary import (
    Count,
    Failure,
    Finding,
    Layer,
    LineCounters,
    Micros,
    Rate,
    Ratio,
    Session,
    Signed,
    Standing,
    Verdict,
)


class LoadSample(Struct, frozen=True, array_like=True):
    """One interval of a test's raw series at the load receiver: offset, length, what came and what was lost.

    Delays are one-way, above the smallest of the test; null where no packet gave one.
    """

    offset_us: Count
    duration_us: Count
    ip_bytes: Count
    lost: Signed
    delay_min_us: Count | None = None
    delay_max_us: Count | None = None


class FloorTest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fixed-rate test (RFC 9946 with srIndexConf fixed). Rates at the IP layer.

    ``capacity_bps`` is R / (1 + slope) x delivered ratio. It is absent where only "at least the received
    rate" can be said. It includes ``other_traffic_bps``, the rate of the site's own traffic during the test.
    ``other_most_bps`` is the upper bound of that rate where it was not counted exactly. ``slope`` is the
    growth of one-way delay per second of sending, ``queue_growth_us`` that growth from first to last packets.
    ``path_shift_us`` is the change of the idle path's delay over the test, by the probes after its load.
    ``moved_capacity_bps`` is the capacity of a line whose path moved.
    ``failure`` says why an invalid test had to be thrown away. ``predrain_bytes`` were sent fast
    before this test, to empty a token bucket. ``ended_early``: stopped, because the site needed the
    line. ``series`` is the raw series, kept where the verdict is not a pass
    and the site's journal had room.
    """

    session: Session
    planned_bps: Rate
    finding: Finding
    sent_bps: Rate
    received_bps: Rate
    duration_us: Micros
    sent_packets: Count
    received_packets: Count
    loss_ratio: Ratio
    slope: Annotated[float, Meta(ge=-1, le=1e6)]
    queue_growth_us: Signed
    stall_ratio: Ratio = 0.0
    capacity_bps: Rate | None = None
    other_traffic_bps: Rate | None = None
    other_most_bps: Rate | None = None
    rtt_min_us: Micros | None = None
    failure: Failure | None = None
    predrain_bytes: Count = 0
    path_shift_us: Signed | None = None
    moved_capacity_bps: Rate | None = None
    ended_early: bool = False
    series: Annotated[tuple[LoadSample, ...], Meta(max_length=600)] = ()


class FloorValues(Values, frozen=True, kw_only=True, omit_defaults=True):
    """The floor verdict of one direction, with every test that led to it, first to last.

    ``capacity_bps`` is the line's capacity where it is known, ``at_least_bps`` what it was seen to
    carry. ``floor_bps`` is the contract's floor converted to the IP layer; ``contract_bps`` is the floor as
    the contract counts it, at ``layer``. ``standing`` is what this and the verdicts before it amount to,
    ``evidence`` the log-likelihood ratio behind it. ``search_bps`` is the maximum that the search before a
    condemnation found. ``quiet``: measured in a quiet window (idle round-trip time at its baseline, outside
    the site's hours). A passive pass has no tests: the site's own traffic of ``passive_us`` microseconds
    proved the floor.
    """

    verdict: Verdict
    floor_bps: Rate
    line_counters: LineCounters
    tests: Annotated[tuple[FloorTest, ...], Meta(max_length=16)]
    at_least_bps: Rate
    capacity_bps: Rate | None = None
    loss_ratio: Ratio | None = None
    layer: Layer = Layer.IP
    contract_bps: Rate | None = None
    under_load: LatencyUnderLoad | None = None
    standing: Standing | None = None
    evidence: Annotated[float, Meta(ge=-1e6, le=1e6)] | None = None
    search_bps: Rate | None = None
    quiet: bool = False
    passive_us: Micros | None = None

    def reported_capacity(self) -> tuple[float, bool]:
        """Capacity to report, bit/s, and whether it is exact; otherwise it is a lower bound.

        A pass says "at least the floor". Its test may have received less than the floor, by its tolerance,
        and must not read as a line below the floor.
        """
        if self.capacity_bps is not None:
            return self.capacity_bps, True
        if self.verdict is Verdict.PASS:
            return max(self.at_least_bps, self.floor_bps), False
        return self.at_least_bps, False


class FloorMeasurement(Measurement, frozen=True, kw_only=True, tag="floor"):
    """Did this direction of the line give at least the floor?"""

    values: FloorValues | None = None
