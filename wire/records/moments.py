"""Values that several kinds of record have in common: clocks, the host, spreads of delays."""

from typing import Annotated

from msgspec import Meta, Struct

from wire.records.vocabulary import Micros, Name, Rate, Ratio, Signed


class ClockReading(Struct, frozen=True, kw_only=True):
    """One moment on the agent's clocks, and how far its wall clock may be trusted.

    ``wall_us`` since the Unix epoch, ``boot_us`` on CLOCK_BOOTTIME, ``max_error_us`` as adjtimex tells it.
    """

    wall_us: Micros
    boot_us: Micros
    boot_id: Name
    synchronised: bool
    max_error_us: Micros | None = None


class Spread(Struct, frozen=True, kw_only=True):
    """Minimum and nearest-rank percentiles of one train, in microseconds."""

    min_us: Signed
    p50_us: Signed
    p95_us: Signed
    p99_us: Signed


class HostLoad(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Load of the agent's machine during the attempt: share over all cores, and the load average."""

    busy_ratio: Ratio | None = None
    load_1min: Annotated[float, Meta(ge=0, le=1e6)] | None = None


class LatencyUnderLoad(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Round-trip time while a load test ran, beside the same path idle just before: two STAMP trains.

    ``load_bps`` is what the test offered. ``loss_ratio`` is of the train under load.
    """

    load_bps: Rate
    idle: Spread
    loaded: Spread | None = None
    loss_ratio: Ratio | None = None
