"""Measurements, envelopes and observations to test with."""

import msgspec

from collector.ingest import Arrival
from collector.observation import Observation, Series
from wire import messages
from wire.records import (
    ClockReading,
    Direction,
    Failure,
    Finding,
    FloorMeasurement,
    FloorTest,
    FloorValues,
    Known,
    LineCounters,
    Outcome,
    Purpose,
    Spread,
    StampMeasurement,
    StampValues,
    Verdict,
)

SITE = "0631234A"
EPOCH = "00112233445566ff"
NOW_US = 1_775_000_000_000_000
BOOT_US = 5_000_000_000
MINUTE_US = 60_000_000
HOUR_US = 3_600_000_000


def clock(wall_us: int = NOW_US, *, synchronised: bool = True, boot_id: str = "boot-1") -> ClockReading:
    """The agent's clocks at a wall time, CLOCK_BOOTTIME in step with it."""
    boot_us = BOOT_US + wall_us - NOW_US
    return ClockReading(wall_us=wall_us, boot_us=max(0, boot_us), boot_id=boot_id, synchronised=synchronised)


def spread(p50_us: int) -> Spread:
    """A spread around a median."""
    return Spread(min_us=p50_us - 400, p50_us=p50_us, p95_us=p50_us + 1500, p99_us=p50_us + 3000)


def stamp_values(rtt_us: int = 10_400, loss: float = 0.0) -> StampValues:
    """What a train of 20 packets found."""
    return StampValues(
        sent=20,
        received=round(20 * (1 - loss)),
        timeout_us=2_000_000,
        loss_ratio=loss,
        loss_forward_ratio=loss,
        loss_return_ratio=0.0,
        rtt=spread(rtt_us),
        variation_forward=spread(500),
        variation_return=spread(600),
        reordered_forward=1,
        reply_dscp=46,
    )


def floor_values(
    verdict: Verdict = Verdict.PASS, at_least_bps: float = 8e6, capacity_bps: float | None = None
) -> FloorValues:
    """A floor verdict with the one test that led to it."""
    test = FloorTest(
        session="3c9d1f20-1",
        planned_bps=8e6,
        finding=Finding.CLEAR if verdict is Verdict.PASS else Finding.QUEUE,
        sent_bps=8e6,
        received_bps=at_least_bps,
        duration_us=2_000_000,
        sent_packets=1333,
        received_packets=1333,
        loss_ratio=0.0,
        slope=0.0,
        queue_growth_us=-12,
        capacity_bps=capacity_bps,
    )
    return FloorValues(
        verdict=verdict,
        floor_bps=8e6,
        line_counters=LineCounters.INLINE,
        tests=(test,),
        at_least_bps=at_least_bps,
        capacity_bps=capacity_bps,
    )


def stamp(
    seq: int = 1, start_us: int = NOW_US, values: StampValues | None = None, **more: object
) -> StampMeasurement:
    """A STAMP measurement in class 46 that succeeded, unless ``more`` says otherwise."""
    base = StampMeasurement(
        epoch=EPOCH,
        seq=seq,
        purpose=Purpose.SCHEDULED,
        peer="pop-1",
        start=clock(start_us),
        duration_us=10_000_000,
        outcome=Outcome.OK,
        slot_us=start_us,
        interval_us=MINUTE_US,
        schedule="stamp",
        dscp=46,
        bytes_sent=1_720,
        bytes_received=1_634,
        values=values or stamp_values(),
    )
    return msgspec.structs.replace(base, **more)


def floor(
    seq: int = 1,
    start_us: int = NOW_US,
    values: FloorValues | None = None,
    direction: Direction = Direction.DOWN,
    **more: object,
) -> FloorMeasurement:
    """A floor measurement that succeeded, unless ``more`` says otherwise."""
    base = FloorMeasurement(
        epoch=EPOCH,
        seq=seq,
        purpose=Purpose.SCHEDULED,
        peer="pop-1",
        start=clock(start_us),
        duration_us=2_100_000,
        outcome=Outcome.OK,
        slot_us=start_us,
        interval_us=HOUR_US,
        schedule="floor",
        session="3c9d1f20",
        direction=direction,
        bytes_received=2_000_000,
        values=values or floor_values(),
    )
    return msgspec.structs.replace(base, **more)


def failed(seq: int, start_us: int = NOW_US, failure: Failure = Failure.NO_ANSWER) -> StampMeasurement:
    """A STAMP attempt that gave no values."""
    return msgspec.structs.replace(
        stamp(seq, start_us), outcome=Outcome.FAILED, failure=failure, values=None, detail="nothing came back"
    )


def raw(*records: Known) -> list[bytes]:
    """Records as their JSON."""
    return [messages.encode(record) for record in records]


def payload(
    *measurements: bytes | Known, site: str = SITE, sent: ClockReading | None = None, **more: object
) -> bytes:
    """A results message; ``more`` are further fields of its envelope."""
    bodies = [one if isinstance(one, bytes) else messages.encode(one) for one in measurements]
    envelope = messages.Envelope(
        schema=messages.SCHEMA,
        site=site,
        agent="0.1.0",
        sent=sent or clock(),
        marks=(messages.EpochMark(epoch=EPOCH, high_water=max(1, len(bodies))),),
        measurements=tuple(msgspec.Raw(body) for body in bodies),
    )
    return messages.encode(msgspec.structs.replace(envelope, **more))


def arrival(*measurements: bytes | Known, site: str = SITE, received_us: int = NOW_US) -> Arrival:
    """A results message as it came in."""
    return Arrival(f"qos/v1/{site}/results", payload(*measurements, site=site), received_us)


def seen(record: Known, order: int = 1, site: str = SITE, received_us: int | None = None) -> Observation:
    """What a view sees of a record that came in on time."""
    values = record.values
    if isinstance(values, FloorValues):
        values = msgspec.structs.replace(values, tests=())
    return Observation(
        series=Series(site, str(record.__struct_config__.tag), record.direction, record.dscp),
        time_us=record.start.wall_us,
        order=order,
        received_us=record.start.wall_us if received_us is None else received_us,
        interval_us=record.interval_us,
        outcome=record.outcome,
        failure=record.failure,
        values=values,
        bytes_sent=record.bytes_sent,
        bytes_received=record.bytes_received,
    )
