"""Common options of the commands that set up a link: values for one direction or both, and queues."""

from collections.abc import Callable
from typing import TypeVar

from lab.links import quantities

Value = TypeVar("Value")


class QueueTime(int):
    """Queue given as the time (ns) in which the line empties it."""


DEFAULT_QUEUE = QueueTime(100 * 10**6)
PAIR = "BOTH|DOWN,UP"
QUEUE_HELP = "size of the queue, as a time at the rate or in bytes (default: 100ms)"


def both(read: Callable[[str], Value]) -> Callable[[str], tuple[Value, Value]]:
    """Read one value for both directions, or DOWN,UP. Raises what ``read`` raises."""

    def wrapped(text: str) -> tuple[Value, Value]:
        down, comma, up = text.partition(",")
        return read(down), read(up if comma else down)

    return wrapped


def queue(text: str) -> int:
    """Read a queue: bytes, or QueueTime. Raises ValueError."""
    return quantities.size(text) if text.endswith("B") else QueueTime(quantities.duration(text))


def queue_bytes(size: int, rate: int | None) -> int:
    """Convert a queue to bytes, on a line of ``rate`` bit/s (None: no queue is needed)."""
    return (rate or 0) * size // (8 * 10**9) if isinstance(size, QueueTime) else size
