"""Watches: recordings without a schedule, made when something changes.

A watch is any object with ``name`` and ``run``. Its events are journalled with purpose ``event``.
"""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from wire.records import ClockReading, Measurement, Values


class WatchEvent(Struct, frozen=True):
    """One change: the kind of its record, the time at which it was seen, its values, and details in words."""

    record: type[Measurement]
    start: ClockReading
    values: Values
    detail: str = ""


EmitEvent = Callable[[WatchEvent], None]


class Watch(Protocol):
    """Observer that runs as long as the agent. ``name`` identifies it in logs.

    An exception out of ``run`` means a bug: the runner logs it and starts the watch again after a pause.
    """

    name: str

    async def run(self, emit: EmitEvent) -> None:
        """Watch until cancelled. ``emit`` returns at once; the event is recorded later."""
        ...
