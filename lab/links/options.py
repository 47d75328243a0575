"""Common options of the commands that set up a link: values for one direction or both, and queues."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from host.command_line import reader
from lab.links import quantities

Value = TypeVar("Value")


class QueueTime(int):
    """Queue given as the time (ns) in which the line empties it."""


DEFAULT_QUEUE = QueueTime(100 * 10**6)
QUEUE_HELP = "size of the queue, as a time at the rate or in bytes (default: 100ms)"


def add_line_options(
    parser: argparse.ArgumentParser, *, reorder_by: int = 0, notes: Mapping[str, str]
) -> None:
    """Add the options that emulated and kernel lines share; ``notes`` are put behind their help."""
    add, rate = parser.add_argument, reader(quantities.rate)
    add("--down", type=rate, metavar="RATE", help="IP rate towards the site, e.g. 8.4M (default: unlimited)")
    add("--up", type=rate, metavar="RATE", help="IP rate from the site (default: unlimited)")
    duration, share = quantities.duration, quantities.share
    for option, read, default, text in (
        ("queue", _queue, DEFAULT_QUEUE, QUEUE_HELP),
        ("burst", quantities.size, 0, "size of the token bucket, which passes at once, e.g. 2MB"),
        ("delay", duration, 0, "fixed delay, e.g. 10ms"),
        ("jitter", duration, 0, "random delay between 0 and this, without reordering, e.g. 1ms"),
        ("loss", share, 0.0, "share of packets lost at random, e.g. 1%%"),
        ("reorder", share, 0.0, "share of packets delayed by --reorder-by, e.g. 1%%"),
        ("reorder-by", duration, reorder_by, "extra delay of reordered packets, e.g. 5ms"),
        ("duplicate", share, 0.0, "share of packets that arrive twice"),
    ):
        add(
            f"--{option}",
            type=reader(_both(read)),
            default=(default, default),
            metavar="BOTH|DOWN,UP",
            help=text + notes.get(option, ""),
        )
    add(
        "--policer", action="store_true", help="drop packets beyond rate and --burst instead of queueing them"
    )
    add("--seed", type=int, default=0, help="random seed (default: %(default)s)")


def line_values(options: argparse.Namespace, direction: int) -> dict[str, Any]:
    """Return the settings of one line (0 down, 1 up) from these options."""
    rate = (options.down, options.up)[direction]
    return {
        "rate": rate,
        "queue": _queue_bytes(options.queue[direction], rate),
        "burst": options.burst[direction],
        "policer": options.policer,
        "delay": options.delay[direction],
        "jitter": options.jitter[direction],
        "loss": options.loss[direction],
        "reordering": options.reorder[direction],
        "reordering_delay": options.reorder_by[direction],
        "duplication": options.duplicate[direction],
        # Both lines of one link must not draw the same numbers.
        "seed": 2 * options.seed + direction,
    }


def _both(read: Callable[[str], Value]) -> Callable[[str], tuple[Value, Value]]:
    """Read one value for both directions, or DOWN,UP. Raises what ``read`` raises."""

    def wrapped(text: str) -> tuple[Value, Value]:
        down, comma, up = text.partition(",")
        return read(down), read(up if comma else down)

    return wrapped


def _queue(text: str) -> int:
    """Read a queue: bytes, or QueueTime. Raises ValueError."""
    return quantities.size(text) if text.endswith("B") else QueueTime(quantities.duration(text))


def _queue_bytes(size: int, rate: int | None) -> int:
    """Convert a queue to bytes, on a line of ``rate`` bit/s (None: no queue is needed)."""
    return (rate or 0) * size // (8 * 10**9) if isinstance(size, QueueTime) else size
