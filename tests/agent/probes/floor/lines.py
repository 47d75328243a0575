"""Lines whose path or rate changes, for floor verdicts of the real cores in simulated time."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from agent.load.rules.own_traffic import OwnTraffic
from agent.probes.floor.rules import decision, signs
from agent.probes.floor.rules.decision import Step
from tests.wire.udpstp.simulation import MS, OVERHEAD, SERVER, S, Way, World
from wire.records import Direction, FloorTest, Verdict
from wire.udpstp import rates
from wire.udpstp.load import Plan

FLOOR = 8_000_000.0
MOST_TESTS = 8
# Packets of a peer of this program; foreign ones send 1000 bytes at 8 Mbit/s.
PACKET_BYTES = 1250

# Milliseconds that the path adds, or the rate of the line in bit/s, at a moment in ns.
Delay = Callable[[int], float]
Rate = Callable[[int], float]


@dataclass
class ChangingWay(Way):
    """FIFO whose path adds ``extra``, without overtaking, and whose rate may follow ``rate_at``.

    ``extra`` is added behind the queue, or with ``is_before`` in front of it.
    """

    extra: Delay = lambda _now: 0.0
    rate_at: Rate | None = None
    last: int = 0
    is_before: bool = False

    def pass_on(self, packet: bytes, now: int) -> int | None:
        """Time at which the packet arrives, None where it is dropped."""
        if self.is_before:
            now = self.last = max(now + round(self.extra(now) * MS), self.last)
            return super().pass_on(packet, now)
        out = super().pass_on(packet, now) if self.rate_at is None else self._served(packet, now)
        if out is None:
            return None
        self.last = max(out + round(self.extra(now) * MS), self.last)
        return self.last

    def _served(self, packet: bytes, now: int) -> int | None:
        begin = max(self.free_at, now)
        if begin - now > self.queue_ms * MS:
            return None
        left, at = (len(packet) + OVERHEAD) * 8.0, begin
        while left > 0:
            # The rate is constant within a millisecond.
            rate, end = self.rate_at(int(at)), (int(at) // MS + 1) * MS  # type: ignore[misc]
            done = min(left, rate * (end - at) / S)
            at = at + done / rate * S if rate and done >= left else end
            left -= done
        self.free_at = at
        return int(at + self.delay_ms * MS)


def step(milliseconds: float) -> Callable[[random.Random], Delay]:
    """Path that becomes longer or shorter for good, once in each test."""

    def drawn(randomness: random.Random) -> Delay:
        at = randomness.uniform(0.1, 2.2) * S
        return lambda now: max(milliseconds, 0.0) if now > at else max(-milliseconds, 0.0)

    return drawn


def ramp(milliseconds: float, lasting_s: float) -> Callable[[random.Random], Delay]:
    """Path that becomes longer little by little during the load, and then stays so."""

    def drawn(randomness: random.Random) -> Delay:
        begin = randomness.uniform(0, 0.3) * S
        return lambda now: milliseconds * min(1.0, max(0.0, (now - begin) / S / lasting_s))

    return drawn


def sine(milliseconds: float, period_s: float) -> Callable[[random.Random], Delay]:
    """Path that sways by so much up and down."""

    def drawn(randomness: random.Random) -> Delay:
        turn = randomness.random()
        return lambda now: milliseconds * (1 + math.sin(2 * math.pi * (now / S / period_s + turn)))

    return drawn


def bursts(milliseconds: float, every_ms: float, lasting_ms: float) -> Callable[[random.Random], Delay]:
    """Path that is longer for a while, again and again."""

    def drawn(randomness: random.Random) -> Delay:
        begin = randomness.random() * every_ms
        return lambda now: milliseconds if (now / MS + begin) % every_ms < lasting_ms else 0.0

    return drawn


def jitter(milliseconds: float) -> Callable[[random.Random], Delay]:
    """Path that delays each packet by another time."""
    return lambda randomness: lambda _now: randomness.random() * milliseconds


def still(_: random.Random) -> Delay:
    """Path that never changes."""
    return lambda _now: 0.0


def swing(low: float, high: float, half_ms: float, begin_ms: float) -> Rate:
    """Rate that is low and high by turns."""
    return lambda now: low if (now / MS + begin_ms) % (2 * half_ms) < half_ms else high


def verdict(
    direction: Direction, make: Callable[[int], Way], *, floor_bps: float = FLOOR, back_ms: float = 20
) -> tuple[Verdict, list[FloorTest]]:
    """Verdict on a line; ``make`` gives the way of the load for each test by its number.

    ``back_ms`` is the delay of the other direction.
    """
    tests: list[FloorTest] = []
    while isinstance(following := decision.next_step(tests, floor_bps, direction), Step):
        assert len(tests) < MOST_TESTS, "no verdict"
        way, back = make(len(tests)), Way(delay_ms=back_ms)
        up, down = (way, back) if direction is Direction.UP else (back, way)
        plan = Plan(
            address=SERVER,
            ident=0x1234,
            key_id=7,
            secret=b"secret",
            direction=direction,
            row=rates.row_for(following.rate_bps),
            duration_s=following.seconds,
            packet_bytes=PACKET_BYTES,
        )
        report = World(up=up, down=down).run(plan)
        tests.append(signs.judge(report, floor_bps, OwnTraffic(0.0), tests))
    return following.verdict, tests
