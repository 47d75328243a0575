"""A notice: one line on a page about something that is worth a look and is no state of the site."""

from dataclasses import dataclass

from wire.records import Direction


@dataclass(frozen=True, slots=True)
class Notice:
    """The word of a sentence, and the figures in it. ``place`` is a router, ``name`` a host."""

    kind: str
    direction: Direction | None = None
    number: int = 0
    other: int = 0
    place: str = ""
    name: str = ""
