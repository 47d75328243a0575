"""Measurements, envelopes and observations to test with."""

from typing import Any

import msgspec

from collector.kinds.views import for_views
from collector.model.message import Arrival
from collector.model.observation import Observation, Series
from wire.messages import envelope as messages
from wire.messages.peer_tests import PeerTest, TestKind
from wire.records import (
    AddressRecord,
    Algorithm,
    CapacityInterval,
    CapacityMeasurement,
    CapacityValues,
    Cause,
    ClockReading,
    Direction,
    DnsAnswer,
    DnsMeasurement,
    DnsResolver,
    DnsValues,
    Failure,
    Finding,
    FloorMeasurement,
    FloorTest,
    FloorValues,
    Hop,
    InterfaceFlow,
    InterfaceMeasurement,
    InterfaceValues,
    LatencyUnderLoad,
    LineCounters,
    LoadSample,
    Measurement,
    Outcome,
    PathMeasurement,
    PathValues,
    Purpose,
    ReachabilityMeasurement,
    ReachabilityValues,
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
    """Values of a train of 20 packets."""
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
    own = {"slot_us": start_us, "schedule": "stamp", "dscp": 46, "bytes_sent": 1_720, "bytes_received": 1_634}
    return StampMeasurement(
        **common(seq, start_us, MINUTE_US) | own | {"values": values or stamp_values()} | more
    )


def floor(
    seq: int = 1,
    start_us: int = NOW_US,
    values: FloorValues | None = None,
    direction: Direction = Direction.DOWN,
    **more: object,
) -> FloorMeasurement:
    """A floor measurement that succeeded, unless ``more`` says otherwise."""
    own: dict[str, Any] = {"duration_us": 2_100_000, "slot_us": start_us, "schedule": "floor"}
    own |= {"session": "3c9d1f20", "direction": direction, "bytes_received": 2_000_000}
    return FloorMeasurement(
        **common(seq, start_us, HOUR_US) | own | {"values": values or floor_values()} | more
    )


def under_load(loaded_us: int | None = 85_000, load_bps: float = 8e6) -> LatencyUnderLoad:
    """Round-trip time of an idle line of 10.4 ms, and while a test ran."""
    loaded = None if loaded_us is None else spread(loaded_us)
    return LatencyUnderLoad(load_bps=load_bps, idle=spread(10_400), loaded=loaded, loss_ratio=0.05)


def samples() -> tuple[LoadSample, ...]:
    """A raw series of two intervals, one of which lost everything."""
    return (LoadSample(0, 100_000, 100_000, 0, 0, 1_500), LoadSample(100_000, 100_000, 0, 67))


def capacity_values(maximum_bps: float = 19.8e6) -> CapacityValues:
    """Values of a search of two sub-intervals."""
    return CapacityValues(
        maximum_bps=maximum_bps,
        maximum_at_us=1_000_000,
        maximum_loss_ratio=0.001,
        interval_us=1_000_000,
        received_bps=maximum_bps * 0.9,
        sent_bps=maximum_bps * 0.91,
        loss_ratio=0.01,
        algorithm=Algorithm.B,
        line_counters=LineCounters.INLINE,
        intervals=tuple(
            CapacityInterval(offset_us=at, duration_us=1_000_000, received_bps=maximum_bps, loss_ratio=0.0)
            for at in (0, 1_000_000)
        ),
        rtt_min_us=9_900,
        under_load=under_load(load_bps=maximum_bps),
    )


def flow(mean_bps: float, **more: int) -> InterfaceFlow:
    """A minute of one direction."""
    ip_bytes = round(mean_bps * 60 / 8)
    return InterfaceFlow(
        ip_bytes=ip_bytes, packets=ip_bytes // 1000, mean_bps=mean_bps, peak_bps=3 * mean_bps, **more
    )


def interface_values() -> InterfaceValues:
    """A minute of the site's own traffic, with errors on the way in."""
    return InterfaceValues(
        source=LineCounters.INLINE,
        interface="wan0",
        readings=7,
        reading_us=10_000_000,
        end_boot_us=BOOT_US + MINUTE_US,
        span_us=MINUTE_US,
        down=flow(2e6, errors=3, drops=1),
        up=flow(1e6),
        carrier=True,
        carrier_losses=0,
        speed_bps=1e9,
    )


def path_values() -> PathValues:
    """Three routers and the peer; the second changes the mark, the third has an MTU of 1400."""
    hops = [
        Hop(ttl=ttl, sent=3, answered=3, address=f"10.0.{ttl}.1", rtt_us=900 * ttl) for ttl in range(1, 5)
    ]
    hops[1] = Hop(ttl=2, sent=3, answered=0)
    hops[2] = msgspec.structs.replace(hops[2], also=("10.0.3.2",), dscp=0)
    return PathValues(
        hops=tuple(hops),
        reached=True,
        dscp_changed_at=3,
        dscp_became=0,
        path_mtu_bytes=1400,
        mtu_limited_at=3,
        mtu_limited_by="10.0.3.1",
        mtu_reported_bytes=1400,
    )


def capacity(
    seq: int = 1, start_us: int = NOW_US, values: CapacityValues | None = None, **more: object
) -> CapacityMeasurement:
    """A search in the direction down that succeeded, unless ``more`` says otherwise."""
    return CapacityMeasurement(
        **common(seq, start_us, 30 * 24 * HOUR_US)
        | {"direction": Direction.DOWN, "session": "3c9d1f21-2", "values": values or capacity_values()}
        | more
    )


def interface(
    seq: int = 1, start_us: int = NOW_US, values: InterfaceValues | None = None, **more: object
) -> InterfaceMeasurement:
    """A minute of counters, unless ``more`` says otherwise."""
    return InterfaceMeasurement(
        **common(seq, start_us, MINUTE_US) | {"values": values or interface_values()} | more
    )


def path(
    seq: int = 1, start_us: int = NOW_US, values: PathValues | None = None, **more: object
) -> PathMeasurement:
    """A trace in class 46, unless ``more`` says otherwise."""
    return PathMeasurement(
        **common(seq, start_us, 24 * HOUR_US) | {"dscp": 46, "values": values or path_values()} | more
    )


def dns_values() -> DnsValues:
    """Two names, one of them wrong, of which a dead first resolver knows nothing."""
    asked = {"resolver": "10.0.0.2", "rcode": 0, "addresses": 1}
    wrong = {"wrong": "198.51.100.66", "failure": Failure.WRONG_ANSWER}
    ent, portal = "ent.example.fr", "portal.example.fr"
    a, aaaa = AddressRecord.A, AddressRecord.AAAA
    return DnsValues(
        answers=(
            DnsAnswer(name=ent, record=a, answer_us=12_000, **asked),
            DnsAnswer(name=ent, record=aaaa, failure=Failure.NO_ANSWER),
            DnsAnswer(name=portal, record=a, answer_us=30_000, **asked, **wrong),
            DnsAnswer(
                name=portal, record=aaaa, answer_us=18_000, over_tcp=True, silent="2001:db8::1", **asked
            ),
        ),
        resolvers=(
            DnsResolver(address="10.0.0.1", asked=4, answered=0),
            DnsResolver(address="10.0.0.2", asked=4, answered=3),
        ),
        timeout_us=2_000_000,
    )


def dns(
    seq: int = 1, start_us: int = NOW_US, values: DnsValues | None = None, **more: object
) -> DnsMeasurement:
    """A run that found one right name, unless ``more`` says otherwise."""
    return DnsMeasurement(**common(seq, start_us, 5 * MINUTE_US) | {"values": values or dns_values()} | more)


def outage(
    seq: int,
    begin_us: int,
    end_us: int | None = None,
    cause: Cause = Cause.ACCESS,
    name: str = "outage-1",
    **more: object,
) -> ReachabilityMeasurement:
    """The record of an outage's beginning or, with ``end_us``, of its end; each is made when it is seen."""
    reported_us = begin_us if end_us is None else end_us
    values = ReachabilityValues(
        outage=name,
        cause=cause,
        begin=clock(begin_us),
        begin_error_us=10_000_000,
        end=None if end_us is None else clock(end_us),
        end_error_us=None if end_us is None else 10_000_000,
        gateway=True,
        first_hop=False,
    )
    made = common(seq, reported_us, HOUR_US) | {"interval_us": None, "purpose": Purpose.EVENT}
    return ReachabilityMeasurement(**made | {"duration_us": 0, "values": values} | more)


def common(seq: int, start_us: int, interval_us: int) -> dict[str, Any]:
    """Fields that all scheduled measurements have."""
    return {
        "epoch": EPOCH,
        "seq": seq,
        "purpose": Purpose.SCHEDULED,
        "peer": "pop-1",
        "start": clock(start_us),
        "duration_us": 10_000_000,
        "outcome": Outcome.OK,
        "interval_us": interval_us,
    }


def failed(seq: int, start_us: int = NOW_US, failure: Failure = Failure.NO_ANSWER) -> StampMeasurement:
    """A STAMP attempt that gave no values."""
    return msgspec.structs.replace(
        stamp(seq, start_us), outcome=Outcome.FAILED, failure=failure, values=None, detail="nothing came back"
    )


def raw(*records: Measurement) -> list[bytes]:
    """Records as their JSON."""
    return [messages.encode(record) for record in records]


def payload(
    *records: bytes | Measurement | PeerTest,
    site: str = SITE,
    sent: ClockReading | None = None,
    **more: object,
) -> bytes:
    """A results message; ``more`` are further fields of its envelope."""
    bodies = [one if isinstance(one, bytes) else messages.encode(one) for one in records]
    envelope = messages.Envelope(
        schema=messages.SCHEMA,
        sender=site,
        program="0.1.0",
        sent=sent or clock(),
        marks=(messages.EpochMark(epoch=EPOCH, high_water=max(1, len(bodies))),),
        records=tuple(msgspec.Raw(body) for body in bodies),
    )
    return messages.encode(msgspec.structs.replace(envelope, **more))


def arrival(*measurements: bytes | Measurement, site: str = SITE, received_us: int = NOW_US) -> Arrival:
    """A results message as it came in."""
    return Arrival(f"qos/v1/{site}/results", payload(*measurements, site=site), received_us)


def seen(
    record: Measurement, order: int = 1, site: str = SITE, received_us: int | None = None
) -> Observation:
    """Observation of a record that arrived in time."""
    values = record.values
    return Observation(
        series=Series(site, str(record.__struct_config__.tag), record.direction, record.dscp),
        time_us=record.start.wall_us,
        order=order,
        received_us=record.start.wall_us if received_us is None else received_us,
        interval_us=record.interval_us,
        outcome=record.outcome,
        failure=record.failure,
        values=for_views(values) if values else None,
        bytes_sent=record.bytes_sent,
        bytes_received=record.bytes_received,
        busy_ratio=record.host.busy_ratio if record.host else None,
        peer=record.peer,
    )


def peer_test(start_us: int = NOW_US, **more: Any) -> PeerTest:
    """The peer's record of the one test of :func:`floor_values`, unless ``more`` says otherwise."""
    known: dict[str, Any] = {
        "epoch": EPOCH,
        "seq": 1,
        "session": "3c9d1f20-1",
        "key_id": 1,
        "direction": Direction.DOWN,
        "kind": TestKind.FIXED,
        "outcome": "completed",
        "start": clock(start_us),
        "duration_us": 2_050_000,
        "load_us": 1_999_000,
        "sent_packets": 1333,
        "sent_bytes": 2_000_000,
    }
    return PeerTest(**known | more)


def peer_arrival(*tests: PeerTest | bytes, peer: str = "pop-1", received_us: int = NOW_US) -> Arrival:
    """A peer's message as it came in."""
    return Arrival(f"qos/v1/peers/{peer}/tests", payload(*tests, site=peer), received_us)
