"""Simulated fleet: inventories and envelopes with plausible figures, to load a collector."""

from random import Random
from typing import Any

import msgspec

from collector.model.inventory import Site
from wire.messages import envelope as messages
from wire.messages.envelope import SCHEMA, Envelope, EpochMark
from wire.messages.peer_tests import PeerTest, TestKind
from wire.records import (
    AddressRecord,
    Algorithm,
    CapacityInterval,
    CapacityMeasurement,
    CapacityValues,
    ClockReading,
    Direction,
    DnsAnswer,
    DnsMeasurement,
    DnsResolver,
    DnsValues,
    Finding,
    FloorMeasurement,
    FloorTest,
    FloorValues,
    Hop,
    HostLoad,
    InterfaceFlow,
    InterfaceMeasurement,
    InterfaceValues,
    LatencyUnderLoad,
    LineCounters,
    Measurement,
    Outcome,
    PathMeasurement,
    PathValues,
    Purpose,
    Spread,
    StampMeasurement,
    StampValues,
    Standing,
    Verdict,
)

FLOOR_BPS = 8e6
EARLY = 9
PACKET_BITS = 8e3
PEER = "peer"
CLASSES = (0, 46)
HOUR_US, MINUTE_US = 3_600_000_000, 60_000_000
_CATEGORIES = ("lycée", "collège", "hôpital", "entreprise")
_DEPARTEMENTS = ("03", "15", "43", "63")


def sites(count: int) -> dict[str, Site]:
    """Return an inventory of ``count`` sites, by site id."""
    found = {}
    for number in range(count):
        departement = _DEPARTEMENTS[number % 4]
        site_id = f"{departement}{number:05d}X"
        found[site_id] = Site(
            site_id,
            f"Site {number}",
            _CATEGORIES[number % 3],
            departement,
            "Commune",
            f"pop-{number % 40}",
            "A",
        )
    return found


class SimulatedAgent:
    """Agent of one site as a collector sees it: one epoch, and measurements in new envelopes."""

    def __init__(self, site: str, now_us: int, *, started: bool = False) -> None:
        """Skip the first measurements if ``started``: among them each kind comes early."""
        self._site = site
        self._random = Random(site)
        self._epoch = f"{self._random.getrandbits(64):016x}"
        self._now_us = now_us
        self._seq = EARLY if started else 0
        self._served: list[PeerTest] = []
        self._served_before = 0

    def envelope(self, count: int) -> bytes:
        """Encode the next ``count`` measurements: trains and interface counters, sometimes another kind."""
        records = [self._measure() for _ in range(count)]
        mark = EpochMark(epoch=self._epoch, high_water=self._seq)
        return messages.encode(
            Envelope(
                schema=SCHEMA,
                sender=self._site,
                program="0.1.0",
                sent=self._clock(),
                marks=(mark,),
                records=tuple(msgspec.Raw(messages.encode(record)) for record in records),
            )
        )

    def peer_envelope(self) -> bytes | None:
        """Encode the peer's records of the load tests since the last call; None where there were none."""
        tests, self._served = self._served, []
        if not tests:
            return None
        self._served_before += len(tests)
        mark = EpochMark(epoch=self._epoch, high_water=tests[-1].seq)
        return messages.encode(
            Envelope(
                schema=SCHEMA,
                sender=PEER,
                program="0.1.0",
                sent=self._clock(),
                marks=(mark,),
                records=tuple(msgspec.Raw(messages.encode(test)) for test in tests),
            )
        )

    def _measure(self) -> Measurement:
        """Return the next measurement, in the proportions of the default schedules."""
        self._seq += 1
        self._now_us += 1
        if self._seq in (1, 2) or self._seq % 60 == 0:
            return self._floor()
        if self._seq in (3, 4) or self._seq % 40_000 == 0:
            return self._capacity()
        if self._seq in (5, 6) or self._seq % 2_000 == 0:
            return self._path()
        if self._seq % 10 == 7:  # every five minutes, beside two records a minute of other kinds
            return self._dns()
        return self._interface() if self._seq % 3 == 0 else self._train()

    def _clock(self) -> ClockReading:
        return ClockReading(wall_us=self._now_us, boot_us=self._seq, boot_id="boot", synchronised=True)

    def _common(self, interval_us: int, duration_us: int) -> dict[str, Any]:
        return {
            "epoch": self._epoch,
            "seq": self._seq,
            "purpose": Purpose.SCHEDULED,
            "peer": PEER,
            "start": self._clock(),
            "duration_us": duration_us,
            "outcome": Outcome.OK,
            "interval_us": interval_us,
            "host": HostLoad(busy_ratio=round(self._random.uniform(0.01, 0.3), 3)),
        }

    def _train(self) -> StampMeasurement:
        rtt_us, dscp = self._random.randrange(5_000, 40_000), CLASSES[self._seq % 2]
        values = StampValues(
            sent=20,
            received=20,
            timeout_us=2_000_000,
            loss_ratio=0.0,
            loss_forward_ratio=0.0,
            loss_return_ratio=0.0,
            rtt=_spread(rtt_us),
            variation_forward=_spread(rtt_us // 20),
            variation_return=_spread(rtt_us // 30),
            forward_dscp=dscp,
            reply_dscp=dscp,
            requested_dscp=dscp,
        )
        common = self._common(MINUTE_US, 10_000_000)
        return StampMeasurement(**common, dscp=dscp, bytes_sent=2_800, bytes_received=2_800, values=values)

    def _interface(self) -> InterfaceMeasurement:
        values = InterfaceValues(
            source=LineCounters.INLINE,
            interface="wan0",
            readings=7,
            reading_us=10_000_000,
            end_boot_us=self._seq + MINUTE_US,
            span_us=MINUTE_US,
            down=self._flow(4e6),
            up=self._flow(1e6),
            carrier=True,
            carrier_losses=0,
            speed_bps=1e9,
        )
        return InterfaceMeasurement(**self._common(MINUTE_US, MINUTE_US), values=values)

    def _flow(self, most_bps: float) -> InterfaceFlow:
        mean_bps = self._random.uniform(0.0, most_bps)
        ip_bytes = round(mean_bps * MINUTE_US / 8e6)
        return InterfaceFlow(
            ip_bytes=ip_bytes,
            packets=ip_bytes // 800,
            mean_bps=mean_bps,
            peak_bps=min(most_bps, 2 * mean_bps),
            errors=0,
            drops=0,
        )

    def _floor(self) -> FloorMeasurement:
        received = FLOOR_BPS * self._random.uniform(0.995, 1.0)
        direction = list(Direction)[self._seq % 2]
        test = FloorTest(
            session=self._session(),
            planned_bps=FLOOR_BPS,
            finding=Finding.CLEAR,
            sent_bps=FLOOR_BPS,
            received_bps=received,
            duration_us=2_000_000,
            sent_packets=2000,
            received_packets=2000,
            loss_ratio=0.0,
            slope=0.0,
            queue_growth_us=0,
        )
        self._serve(test.session, direction, TestKind.FIXED, 2000)
        values = FloorValues(
            verdict=Verdict.PASS,
            floor_bps=FLOOR_BPS,
            line_counters=LineCounters.INLINE,
            tests=(test,),
            at_least_bps=received,
            contract_bps=FLOOR_BPS,
            under_load=self._under_load(FLOOR_BPS),
            standing=Standing.CLEAR,
            evidence=-4.0,
        )
        return FloorMeasurement(
            **self._common(HOUR_US, 2_200_000),
            direction=direction,
            session=test.session,
            bytes_received=2_000_000,
            values=values,
        )

    def _capacity(self) -> CapacityMeasurement:
        maximum, direction, session = (
            self._random.uniform(15e6, 25e6),
            list(Direction)[self._seq % 2],
            self._session(),
        )
        self._serve(session, direction, TestKind.SEARCH, 20_000)
        intervals = tuple(
            CapacityInterval(offset_us=at, duration_us=1_000_000, received_bps=maximum, loss_ratio=0.0)
            for at in range(0, 10_000_000, 1_000_000)
        )
        values = CapacityValues(
            maximum_bps=maximum,
            maximum_at_us=3_000_000,
            maximum_loss_ratio=0.0,
            interval_us=1_000_000,
            received_bps=PACKET_BITS * 2_000,
            sent_bps=PACKET_BITS * 2_000,
            loss_ratio=0.0,
            algorithm=Algorithm.B,
            line_counters=LineCounters.INLINE,
            intervals=intervals,
            under_load=self._under_load(maximum),
        )
        common = self._common(30 * 24 * HOUR_US, 11_000_000)
        return CapacityMeasurement(
            **common, direction=direction, session=session, bytes_received=25_000_000, values=values
        )

    def _path(self) -> PathMeasurement:
        hops = tuple(
            Hop(ttl=ttl, sent=3, answered=3, address=f"192.0.2.{ttl}", rtt_us=1000 * ttl)
            for ttl in range(1, 9)
        )
        values = PathValues(hops=hops, reached=True, path_mtu_bytes=1500)
        return PathMeasurement(
            **self._common(24 * HOUR_US, 20_000_000), dscp=CLASSES[self._seq % 2], values=values
        )

    def _dns(self) -> DnsMeasurement:
        answers = tuple(
            DnsAnswer(
                name="mqtt.example.net",
                record=record,
                answer_us=self._random.randrange(2_000, 40_000),
                rcode=0,
                resolver="192.0.2.53",
                addresses=1,
            )
            for record in AddressRecord
        )
        resolver = DnsResolver(address="192.0.2.53", asked=len(answers), answered=len(answers))
        values = DnsValues(answers=answers, resolvers=(resolver,), timeout_us=5_000_000)
        return DnsMeasurement(**self._common(5 * MINUTE_US, 50_000), values=values)

    def _under_load(self, load_bps: float) -> LatencyUnderLoad:
        rtt_us = self._random.randrange(5_000, 40_000)
        return LatencyUnderLoad(load_bps=load_bps, idle=_spread(rtt_us), loaded=_spread(2 * rtt_us))

    def _session(self) -> str:
        # A random second: no two sites have a session in the same one.
        return f"{self._random.getrandbits(32):08x}-{self._seq & 0xFFFF:04x}"

    def _serve(self, session: str, direction: Direction, kind: TestKind, packets: int) -> None:
        """Add the peer's record of a test in which nothing was lost."""
        ip_bytes = round(packets * PACKET_BITS / 8)
        self._served.append(
            PeerTest(
                epoch=self._epoch,
                seq=self._served_before + len(self._served) + 1,
                session=session,
                key_id=1,
                direction=direction,
                kind=kind,
                outcome="completed",
                start=self._clock(),
                duration_us=2_050_000,
                load_us=packets * 1_000 if kind is TestKind.FIXED else packets * 500,
                sent_packets=packets,
                sent_bytes=ip_bytes,
                received_packets=packets,
                received_bytes=ip_bytes,
            )
        )


def _spread(p50_us: int) -> Spread:
    return Spread(min_us=p50_us * 9 // 10, p50_us=p50_us, p95_us=p50_us * 5 // 4, p99_us=p50_us * 3 // 2)
