"""What the commands that set up a link read alike: quantities for one direction or both, and queues."""

from collections.abc import Callable
from typing import TypeVar

from lab.links import quantities

Value = TypeVar("Value")


class QueueTime(int):
    """A queue told as the time (ns) in which the line empties it."""


DEFAULT_QUEUE = QueueTime(100 * 10**6)
PAIR = "BOTH|DOWN,UP"
QUEUE_HELP = "what may wait at the rate, a time or a size (default: 100ms)"


def both(read: Callable[[str], Value]) -> Callable[[str], tuple[Value, Value]]:
    """Read one value for both directions, or DOWN,UP. Raises what ``read`` raises."""

    def wrapped(text: str) -> tuple[Value, Value]:
        down, comma, up = text.partition(",")
        return read(down), read(up if comma else down)

    return wrapped


def queue(text: str) -> int:
    """Read a queue: bytes, or QueueTime. Raises ValueError."""
    return quantities.size(text) if text.endswith("B") else QueueTime(quantities.duration(text))


def queue_bytes(told: int, rate: int | None) -> int:
    """Bytes of a queue that was told in either way, on a line of ``rate`` bit/s (None: none is needed)."""
    return (rate or 0) * told // (8 * 10**9) if isinstance(told, QueueTime) else told
