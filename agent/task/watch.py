"""What the agent records without any schedule: something changed, and a watch saw it.

A watch is anything with ``run``; whatever it tells is journalled with purpose ``event``.
"""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from wire.records import ClockReading, Known, Values


class Event(Struct, frozen=True):
    """One change: the kind of record it leaves, when it was seen, what was seen, and more of it in words."""

    record: type[Known]
    start: ClockReading
    values: Values
    detail: str = ""


Tell = Callable[[Event], None]


class Watch(Protocol):
    """Looks at something for as long as the agent runs. ``name`` tells it in logs.

    An exception out of ``run`` means a bug: the runner logs it and begins anew after a pause.
    """

    name: str

    async def run(self, tell: Tell) -> None:
        """Watch until cancelled; ``tell`` returns at once, and what it was told is recorded."""
        ...
