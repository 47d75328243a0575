"""Notice: a line on the overview about a site, beside its state and figures. Pure."""

from dataclasses import dataclass

from wire.records import Direction


@dataclass(frozen=True, slots=True)
class Notice:
    """Word of a sentence, and the figures in it. ``place`` is a router, ``name`` a host."""

    kind: str
    direction: Direction | None = None
    number: int = 0
    other: int = 0
    place: str = ""
    name: str = ""
