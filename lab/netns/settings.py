"""Settings of a kernel link, in the terms of :class:`lab.links.line.LineSettings`."""

from dataclasses import dataclass, field
from enum import StrEnum

from lab.links.line import ORDINARY_PACKET, LineSettings
from wire.records import Direction

LEAST_BUCKET = 5000
# Bytes of 2 ms at the rate. A shallower bucket runs dry between two timer ticks and passes less than the rate
# (46 % of 1 Gbit/s with 1600 B).
BUCKET_DIVISOR = 8 * 500

# tbf counts its bucket as time in 32 bits of 64 ns.
LONGEST_FILL_S = 250

MOST_BYTES = 2**31


class WirePlace(StrEnum):
    """Position of the wire: packets are delayed before or after the queue."""

    BEFORE_QUEUE = "before"
    AFTER_QUEUE = "after"


@dataclass(frozen=True, slots=True)
class KernelLineSettings:
    """One direction of a kernel link; the defaults do nothing.

    rate: IP-layer bit/s, for packets of every size; None for no bottleneck.
    queue: bytes of IP packets that may wait; packets beyond it are dropped (tail drop). A policer has none.
    burst: bytes of a token bucket, full at the start, that pass at once. The kernel needs a minimum: see
        :attr:`bucket`.
    policer: drop packets beyond rate and bucket; the queue takes one packet.
    loss: probability per packet, independent, before the queue.
    duplication: probability per packet; both copies pass the queue.
    delay, jitter, sway, reordering: made by a wire (``wire``), as in LineSettings.
    wire_place: position of the wire, before or after the queue.
    seed: random seed of jitter and reordering. The kernel's loss and duplication have none.
    """

    rate: int | None = None
    queue: int = 0
    burst: int = 0
    policer: bool = False
    loss: float = 0.0
    duplication: float = 0.0
    delay: int = 0
    jitter: int = 0
    sway: int = 0
    sway_period: int = 0
    sway_share: float = 0.0
    reordering: float = 0.0
    reordering_delay: int = 0
    wire_place: WirePlace = WirePlace.BEFORE_QUEUE
    seed: int = 0

    @property
    def wired(self) -> bool:
        """True if this direction has a wire."""
        return bool(self.delay or self.jitter or self.sway or self.reordering)

    @property
    def wire(self) -> LineSettings:
        """Settings of the wire."""
        return LineSettings(
            delay=self.delay,
            jitter=self.jitter,
            sway=self.sway,
            sway_period=self.sway_period,
            sway_share=self.sway_share,
            reordering=self.reordering,
            reordering_delay=self.reordering_delay,
            seed=self.seed,
        )

    @property
    def bucket(self) -> int:
        """Bytes of the token bucket: the burst, or the minimum that the kernel needs to keep the rate."""
        return max(self.burst, LEAST_BUCKET, (self.rate or 0) // BUCKET_DIVISOR)

    @property
    def limit(self) -> int:
        """Bytes of the kernel's queue."""
        return ORDINARY_PACKET if self.policer else self.queue

    def faults(self) -> tuple[str, ...]:
        """Return the reasons why these settings are impossible; empty when they are valid."""
        # The kernel's policer always has a bucket; LineSettings would reject one without a burst.
        own_bucket = self.policer and self.rate is not None and self.burst == 0
        as_line = LineSettings(
            rate=self.rate,
            queue=self.queue,
            burst=self.bucket if own_bucket else self.burst,
            policer=self.policer,
            loss=self.loss,
            duplication=self.duplication,
        )
        return (*as_line.faults(), *self.wire.faults(), *self._faults_of_kernel())

    def _faults_of_kernel(self) -> list[str]:
        found = []
        if max(self.queue, self.bucket) > MOST_BYTES:
            found.append(f"queue and burst must be at most {MOST_BYTES} B, the kernel's limit")
        if self.rate is not None and self.bucket * 8 > LONGEST_FILL_S * max(1, self.rate):
            found.append(
                f"a bucket of {self.bucket} B needs a rate of at least "
                f"{-(-self.bucket * 8 // LONGEST_FILL_S)} bit/s, not {self.rate}"
            )
        return found


@dataclass(frozen=True, slots=True)
class KernelLinkSettings:
    """Both directions, seen from the site. ``logged``: record each packet's times of entry and exit."""

    down: KernelLineSettings = field(default_factory=KernelLineSettings)
    up: KernelLineSettings = field(default_factory=KernelLineSettings)
    logged: bool = False

    def line(self, direction: Direction) -> KernelLineSettings:
        """Return the settings of one direction."""
        return self.down if direction is Direction.DOWN else self.up

    def faults(self) -> tuple[str, ...]:
        """Return the reasons why these settings are impossible; empty when they are valid."""
        down = (f"down: {fault}" for fault in self.down.faults())
        return (*down, *(f"up: {fault}" for fault in self.up.faults()))
