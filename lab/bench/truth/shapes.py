"""Shapes of lines on which floor verdicts are counted: a list of values. Pure.

Each shape is measured 2.5 to 10 % above its floor and below it, in both directions. The truth is the rate of
distinct bytes that the line delivers. Copies take room in the queue, so a line that duplicates is that much
faster. Where a rate swings, the truth is its mean.

Not here, for want of it in this kernel: fair queueing (``fq``, ``sfq``, ``drr``). Counters that lag need an
SNMP agent; tests/agent/load has them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import product
from random import Random
from typing import Any

from lab.netns.settings import LEAST_BUCKET, KernelLineSettings
from wire import ip_layer
from wire.records import Layer

MS, S = 1_000_000, 1_000_000_000
LEAST_MARGIN, MOST_MARGIN = 0.025, 0.10
# A wire in Python carries so much beside others; faster lines have no path of their own.
FASTEST_WIRED_BPS = 10_000_000
PACKET_BYTES = 1250
# A processor that is taken away loses what its bucket cannot hold meanwhile: with 2 ms a line was up to 2 %
# slower than its settings on a busy host, with 10 ms 0.2 %.
SMOOTHED_S = 0.01


class ShapeCounters(StrEnum):
    """Counters that the site reads beside a test."""

    FRESH = "fresh"
    ALIEN = "alien"
    NONE = "none"


class LineLevel(StrEnum):
    """Side of the floor on which the line is."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, slots=True)
class Swing:
    """Rate that is lower and higher than its mean by ``share``, for ``half_s`` seconds each."""

    share: float
    half_s: float


@dataclass(frozen=True, slots=True)
class Shape:
    """Shape of a line, without its rate.

    ``queue_s`` is the depth of its queue in seconds at its rate. ``more`` are further settings of a
    :class:`KernelLineSettings`, for both directions.
    """

    name: str
    floor_bps: int = 8_000_000
    queue_s: float = 0.2
    more: dict[str, Any] = field(default_factory=dict)
    layer: Layer = Layer.IP
    mtu: int = 1500
    counters: ShapeCounters = ShapeCounters.FRESH
    pre_drain: bool = False
    swing: Swing | None = None

    @property
    def is_slow(self) -> bool:
        """True if several such lines are measured at once."""
        return self.floor_bps <= FASTEST_WIRED_BPS

    def rate_bps(self, level: LineLevel, seed: str) -> int:
        """Rate of the line at the IP layer, drawn for a level."""
        margin = Random(f"{seed} {self.name} {level}").uniform(LEAST_MARGIN, MOST_MARGIN)
        # Rather 2.6 than 2.5 %: the kernel's queue keeps its rate within 0.1 %.
        share = 1 + margin + 0.001 if level is LineLevel.ABOVE else 1 - margin - 0.001
        floor_bps = ip_layer.ip_rate(float(self.floor_bps), self.layer, PACKET_BYTES)
        copies: float = 1 + self.more.get("duplication", 0.0)
        return round(floor_bps * share * copies)

    def line(self, rate_bps: int, seed: int) -> KernelLineSettings:
        """Settings of a line of this shape and rate."""
        queue = max(6000, round(rate_bps / 8 * self.queue_s))
        burst = max(LEAST_BUCKET, round(rate_bps / 8 * SMOOTHED_S))
        plain = KernelLineSettings(rate=rate_bps, queue=queue, burst=burst, seed=seed)
        return replace(plain, **self.more)


def shapes() -> list[Shape]:
    """All shapes."""
    return [
        *_floors(),
        *_queues(),
        *_paths(),
        *_losses(),
        *_swings(),
        *_buckets(),
        *_layers(),
        *_counters(),
    ]


def _floors() -> Iterator[Shape]:
    for floor, queue_s in product((1, 2, 3, 8, 30, 100), (0.05, 0.3)):
        yield Shape(f"floor {floor} Mbit/s, queue {queue_s:g} s", floor * 1_000_000, queue_s)


def _queues() -> Iterator[Shape]:
    for queue_s, pre_drain in product((0.1, 1.2, 2.5, 4.0), (False, True)):
        yield Shape(f"queue {queue_s:g} s{', pre-drain' * pre_drain}", queue_s=queue_s, pre_drain=pre_drain)


def _paths() -> Iterator[Shape]:
    for delay_ms in (1, 50, 150, 300, 520, 600):
        yield Shape(f"round trip {2 * delay_ms} ms", more={"delay": delay_ms * MS})
    for by_ms in (20, 50, 100, 300):
        # Longer or shorter once in most tests, at any moment of them.
        sway = {"sway": by_ms * MS, "sway_period": 9_700 * MS, "sway_share": 0.5}
        yield Shape(f"steps of {by_ms} ms", queue_s=1, more={"delay": 20 * MS, **sway})
    for by_ms, period_ms in ((60, 1000), (60, 4000), (40, 6000), (100, 2000)):
        sway = {"sway": by_ms * MS, "sway_period": period_ms * MS}
        yield Shape(f"sine of {by_ms} ms, {period_ms} ms", queue_s=1, more={"delay": 20 * MS, **sway})
    for by_ms, period_ms, share in ((60, 500, 0.5), (100, 1000, 0.2), (30, 200, 0.5)):
        sway = {"sway": by_ms * MS, "sway_period": period_ms * MS, "sway_share": share}
        yield Shape(f"bursts of {by_ms} ms each {period_ms} ms", queue_s=1, more={"delay": 20 * MS, **sway})
    for jitter_ms in (5, 30, 60):
        yield Shape(f"jitter {jitter_ms} ms", more={"delay": 10 * MS, "jitter": jitter_ms * MS})
    yield Shape(
        "2 % reordered by 5 ms", more={"delay": 10 * MS, "reordering": 0.02, "reordering_delay": 5 * MS}
    )


def _losses() -> Iterator[Shape]:
    for loss, queue_s in product((0.005, 0.01, 0.02), (0.1, 1.0)):
        yield Shape(f"loss {loss:.1%}, queue {queue_s:g} s", queue_s=queue_s, more={"loss": loss})
    for share in (0.01, 0.03, 0.1):
        yield Shape(f"duplicates {share:.0%}", more={"duplication": share})


def _swings() -> Iterator[Shape]:
    for share, half_s in ((0.3, 0.2), (0.4, 0.5), (0.35, 0.7), (0.6, 0.5)):
        yield Shape(f"swings by {share:.0%}, {half_s:g} s", queue_s=3, swing=Swing(share, half_s))


def _buckets() -> Iterator[Shape]:
    for burst in (100_000, 1_000_000, 2_000_000):
        name = f"bucket {burst / 1e6:g} MB, pre-drain"
        yield Shape(name, queue_s=0.3, more={"burst": burst}, pre_drain=True)
    # A bucket of 100 kB passes 5 % of a first test at once: only a pre-drain excludes it.
    for burst, pre_drain in ((20_000, False), (100_000, True)):
        yield Shape(
            f"policer {burst / 1e3:g} kB{', pre-drain' * pre_drain}",
            more={"policer": True, "queue": 0, "burst": burst},
            pre_drain=pre_drain,
        )


def _layers() -> Iterator[Shape]:
    for layer in (Layer.ETHERNET, Layer.PPPOE, Layer.ATM_PPPOE):
        yield Shape(f"layer {layer}", layer=layer)
    for mtu, floor in product((1492, 1280, 1200), (8, 20)):
        yield Shape(f"MTU {mtu}, floor {floor}", floor * 1_000_000, mtu=mtu)


def _counters() -> Iterator[Shape]:
    for counters in (ShapeCounters.ALIEN, ShapeCounters.NONE):
        yield Shape(f"counters {counters}", counters=counters)
