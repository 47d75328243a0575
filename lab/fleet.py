"""A fleet that was never measured: inventories and envelopes of plausible figures, to load a collector."""

from random import Random

import msgspec

from collector.inventory import Site
from wire import messages
from wire.messages import SCHEMA, Envelope, EpochMark
from wire.records import (
    ClockReading,
    Direction,
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

FLOOR_BPS = 8e6
CLASSES = (0, 46)
HOUR_US, MINUTE_US = 3_600_000_000, 60_000_000
_CATEGORIES = ("lycée", "collège", "hôpital", "entreprise")
_DEPARTEMENTS = ("03", "15", "43", "63")


def sites(count: int) -> dict[str, Site]:
    """An inventory of so many sites, by site id."""
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


class Agent:
    """One site's agent, as far as a collector can tell: an epoch, and measurements in ever new envelopes."""

    def __init__(self, site: str, now_us: int) -> None:
        self._site = site
        self._random = Random(site)
        self._epoch = f"{self._random.getrandbits(64):016x}"
        self._now_us = now_us
        self._seq = 0

    def envelope(self, count: int) -> bytes:
        """The next ``count`` measurements in one message: mostly trains, now and then a floor verdict."""
        records = [self._measure() for _ in range(count)]
        mark = EpochMark(epoch=self._epoch, high_water=self._seq)
        return messages.encode(
            Envelope(
                schema=SCHEMA,
                site=self._site,
                agent="0.1.0",
                sent=self._clock(),
                marks=(mark,),
                measurements=tuple(msgspec.Raw(messages.encode(record)) for record in records),
            )
        )

    def _measure(self) -> Known:
        self._seq += 1
        self._now_us += 1
        return self._floor() if self._seq <= 2 or self._seq % 60 == 0 else self._train()

    def _clock(self) -> ClockReading:
        return ClockReading(wall_us=self._now_us, boot_us=self._seq, boot_id="boot", synchronised=True)

    def _train(self) -> StampMeasurement:
        rtt_us = self._random.randrange(5_000, 40_000)
        return StampMeasurement(
            epoch=self._epoch,
            seq=self._seq,
            purpose=Purpose.SCHEDULED,
            peer="peer",
            start=self._clock(),
            duration_us=10_000_000,
            outcome=Outcome.OK,
            interval_us=MINUTE_US,
            dscp=CLASSES[self._seq % 2],
            bytes_sent=2_800,
            bytes_received=2_800,
            values=StampValues(
                sent=20,
                received=20,
                timeout_us=2_000_000,
                loss_ratio=0.0,
                loss_forward_ratio=0.0,
                loss_return_ratio=0.0,
                rtt=_spread(rtt_us),
                variation_forward=_spread(rtt_us // 20),
                variation_return=_spread(rtt_us // 30),
            ),
        )

    def _floor(self) -> FloorMeasurement:
        received = FLOOR_BPS * self._random.uniform(0.995, 1.0)
        test = FloorTest(
            session=f"{self._seq:08x}-0001",
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
        return FloorMeasurement(
            epoch=self._epoch,
            seq=self._seq,
            purpose=Purpose.SCHEDULED,
            peer="peer",
            start=self._clock(),
            duration_us=2_200_000,
            outcome=Outcome.OK,
            interval_us=HOUR_US,
            direction=list(Direction)[self._seq % 2],
            session=test.session,
            bytes_received=2_000_000,
            values=FloorValues(
                verdict=Verdict.PASS,
                floor_bps=FLOOR_BPS,
                line_counters=LineCounters.INLINE,
                tests=(test,),
                at_least_bps=received,
            ),
        )


def _spread(p50_us: int) -> Spread:
    return Spread(min_us=p50_us * 9 // 10, p50_us=p50_us, p95_us=p50_us * 5 // 4, p99_us=p50_us * 3 // 2)
