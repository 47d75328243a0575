"""Invented measurements: STAMP trains of the usual size, each with a serial of its own."""

from wire.records import ClockReading, Measurement, Outcome, Purpose, Spread, StampMeasurement, StampValues

MINUTE_US = 60_000_000
_SPREAD = Spread(min_us=9_000, p50_us=10_000, p95_us=12_500, p99_us=15_000)
_VALUES = StampValues(
    sent=20,
    received=20,
    timeout_us=2_000_000,
    loss_ratio=0.0,
    loss_forward_ratio=0.0,
    loss_return_ratio=0.0,
    rtt=_SPREAD,
    variation_forward=_SPREAD,
    variation_return=_SPREAD,
)


def train(epoch: str, seq: int, *, serial: str, start: ClockReading, dscp: int = 0) -> Measurement:
    """Return a STAMP train with ``serial`` in its detail."""
    return StampMeasurement(
        epoch=epoch,
        seq=seq,
        purpose=Purpose.SCHEDULED,
        peer="peer",
        start=start,
        duration_us=10_000_000,
        outcome=Outcome.OK,
        slot_us=start.wall_us // MINUTE_US * MINUTE_US,
        interval_us=MINUTE_US,
        schedule=f"stamp-dscp-{dscp}",
        dscp=dscp,
        detail=serial,
        bytes_sent=2_800,
        bytes_received=2_800,
        values=_VALUES,
    )
