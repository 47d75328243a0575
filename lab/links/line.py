"""One direction of an emulated line: computes when each packet leaves it, or that it is dropped.

A packet passes these in order:
1. loss, if placed before the bottleneck;
2. the bottleneck: a rate with a queue, or a policer;
3. loss, if placed after it;
4. delay with jitter, reordering, duplication.

The line reads no clock and stores no packets: it answers each offered packet with its release times.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from types import MappingProxyType
from typing import NamedTuple

ORDINARY_PACKET = 1500
NANOBITS_PER_BYTE = 8 * 10**9


class DropCause(StrEnum):
    """Reason for which a packet was dropped."""

    LOSS = "loss"
    QUEUE_FULL = "queue_full"
    POLICED = "policed"


class LossPlace(StrEnum):
    """Place of random loss: a packet lost before the queue never occupies the line."""

    BEFORE_QUEUE = "before"
    AFTER_QUEUE = "after"


class Release(NamedTuple):
    """Release of one packet: time in ns on the caller's clock, and the TOS octet it leaves with."""

    at: int
    tos: int


@dataclass(frozen=True, slots=True)
class LineSettings:
    """Settings of a line; the defaults do nothing.

    - rate: IP-layer bit/s, None for no bottleneck.
    - queue: bytes that may wait, with the unsent part of the packet in service; packets beyond it are dropped
      (tail drop). A policer has none.
    - burst: bytes of a token bucket, full at the start, that pass at once.
    - policer: drop packets beyond rate and burst instead of queueing them.
    - delay: fixed delay, ns.
    - jitter: ns, added per packet, uniform on [0, jitter]. A packet never overtakes the one before it: of two
      packets closer together than the jitter, the later may have to wait for the earlier.
    - sway: ns by which the path becomes longer and shorter again, over ``sway_period`` (ns). With a
      ``sway_share`` it is longer by all of that for so much of each period, else it follows a sine.
    - loss, reordering, duplication: probabilities per packet, independent of each other.
    - reordering_delay: ns by which a reordered packet is delayed; the packets behind it pass.
    - dscp_rewrite: code point in -> code point out; ECN bits stay.
    - seed: random seed; the same packets offered at the same times have the same results.
    """

    rate: int | None = None
    queue: int = 0
    burst: int = 0
    policer: bool = False
    delay: int = 0
    jitter: int = 0
    sway: int = 0
    sway_period: int = 0
    sway_share: float = 0.0
    loss: float = 0.0
    loss_place: LossPlace = LossPlace.BEFORE_QUEUE
    reordering: float = 0.0
    reordering_delay: int = 0
    duplication: float = 0.0
    dscp_rewrite: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    seed: int = 0

    def faults(self) -> tuple[str, ...]:
        """Return the reasons why these settings are impossible; empty when they are valid."""
        return (*self._faults_of_bottleneck(), *self._faults_of_path())

    def _faults_of_bottleneck(self) -> list[str]:
        found = []
        if self.rate is None:
            found += ["a policer needs a rate"] if self.policer else []
            return found + (["a burst needs a rate"] if self.burst else [])
        if self.rate < 1:
            found.append(f"rate must be at least 1 bit/s, not {self.rate}")
        if self.policer and self.burst < ORDINARY_PACKET:
            found.append(f"a policer needs a burst of at least {ORDINARY_PACKET} B, not {self.burst} B")
        if not self.policer and self.queue < ORDINARY_PACKET:
            found.append(f"the queue needs room for at least {ORDINARY_PACKET} B, not {self.queue} B")
        return found

    def _faults_of_path(self) -> list[str]:
        found = [
            f"{name} must lie between 0 and 1, not {value}"
            for name, value in (
                ("loss", self.loss),
                ("reordering", self.reordering),
                ("duplication", self.duplication),
            )
            if not 0 <= value <= 1
        ]
        times = (self.delay, self.jitter, self.reordering_delay, self.burst)
        if min(times) < 0:
            found.append("delay, jitter, reordering delay and burst cannot be negative")
        if self.sway < 0 or not 0 <= self.sway_share <= 1 or (self.sway and self.sway_period <= 0):
            found.append("a path that sways needs a period, and a share between 0 and 1")
        if self.reordering and not self.reordering_delay:
            found.append("reordering needs a reordering delay")
        code_points = (*self.dscp_rewrite.keys(), *self.dscp_rewrite.values())
        if any(not 0 <= code_point <= 63 for code_point in code_points):
            found.append("DSCP code points lie between 0 and 63")
        return found


@dataclass(slots=True)
class EmulatedLineCounters:
    """Packets and IP-layer bytes offered to a line, and what became of them.

    offered + duplicated = delivered + dropped, in packets and in bytes. So ``delivered`` includes the copies
    counted in ``duplicated``, and packets that are still in the line.
    """

    offered_packets: int = 0
    offered_bytes: int = 0
    delivered_packets: int = 0
    delivered_bytes: int = 0
    duplicated_packets: int = 0
    duplicated_bytes: int = 0
    dropped_packets: Counter[DropCause] = field(default_factory=Counter)
    dropped_bytes: Counter[DropCause] = field(default_factory=Counter)


class EmulatedLine:
    """One direction of a line as a function of time; see :class:`LineSettings`.

    Raises ValueError for invalid settings.
    """

    def __init__(self, settings: LineSettings) -> None:
        if faults := settings.faults():
            raise ValueError("; ".join(faults))
        self.settings = settings
        self.counters = EmulatedLineCounters()
        self._random = Random(settings.seed)
        self._now = 0
        self._last_release = 0
        # In units of 1 bit/s * 1 ns a packet of any size at any rate is a whole number of work: no rounding
        # accumulates over millions of packets.
        self._work = 0

    def offer(self, now: int, ip_bytes: int, tos: int = 0) -> tuple[Release, ...]:
        """Send a packet of ``ip_bytes`` (IP layer) into the line at ``now`` (ns).

        Returns its releases: none when it is dropped, two when it is duplicated. A ``now`` before that of an
        earlier call counts as the earlier call's: a line is a FIFO.
        """
        self._now = now = max(now, self._now)
        settings, counters = self.settings, self.counters
        counters.offered_packets += 1
        counters.offered_bytes += ip_bytes
        lost_before = settings.loss_place is LossPlace.BEFORE_QUEUE
        if lost_before and self._happens(settings.loss):
            return self._drop(DropCause.LOSS, ip_bytes)
        departure = self._depart(now, ip_bytes)
        if departure is None:
            return self._drop(DropCause.POLICED if settings.policer else DropCause.QUEUE_FULL, ip_bytes)
        if not lost_before and self._happens(settings.loss):
            return self._drop(DropCause.LOSS, ip_bytes)
        return self._deliver(Release(self._travel(departure), self._rewrite(tos)), ip_bytes)

    def _depart(self, now: int, ip_bytes: int) -> int | None:
        """Pass the bottleneck; return the time at which the last bit has left, None when there is no room.

        One formula covers every bottleneck. A FIFO is a token bucket of depth 0 in which packets wait. A
        policer is a token bucket in which nothing may wait.
        """
        rate = self.settings.rate
        if rate is None:
            return now
        clock = now * rate
        finished = max(self._work, clock) + ip_bytes * NANOBITS_PER_BYTE
        waiting = finished - clock - self.settings.burst * NANOBITS_PER_BYTE
        if waiting > (0 if self.settings.policer else self.settings.queue * NANOBITS_PER_BYTE):
            return None
        self._work = finished
        return now if waiting <= 0 else now + -(-waiting // rate)

    def _travel(self, departure: int) -> int:
        settings = self.settings
        jitter = self._random.randrange(settings.jitter + 1) if settings.jitter else 0
        arrival = max(departure + settings.delay + jitter + self._sway(departure), self._last_release)
        if self._happens(settings.reordering):
            return arrival + settings.reordering_delay
        self._last_release = arrival
        return arrival

    def _sway(self, now: int) -> int:
        settings = self.settings
        if not settings.sway:
            return 0
        phase = now % settings.sway_period / settings.sway_period
        if settings.sway_share:
            return settings.sway if phase < settings.sway_share else 0
        return round(settings.sway * (1 - math.cos(2 * math.pi * phase)) / 2)

    def _deliver(self, release: Release, ip_bytes: int) -> tuple[Release, ...]:
        counters = self.counters
        counters.delivered_packets += 1
        counters.delivered_bytes += ip_bytes
        if not self._happens(self.settings.duplication):
            return (release,)
        counters.delivered_packets += 1
        counters.delivered_bytes += ip_bytes
        counters.duplicated_packets += 1
        counters.duplicated_bytes += ip_bytes
        return (release, release)

    def _drop(self, cause: DropCause, ip_bytes: int) -> tuple[()]:
        self.counters.dropped_packets[cause] += 1
        self.counters.dropped_bytes[cause] += ip_bytes
        return ()

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability

    def _rewrite(self, tos: int) -> int:
        code_point = tos >> 2
        return self.settings.dscp_rewrite.get(code_point, code_point) << 2 | tos & 3
