"""How much a part is to do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """``seed``: what chance is drawn from. ``short``: the slice that runs with all other tests.

    ``cuts``: so many power cuts instead of the usual number; 0 for that.
    """

    seed: int
    short: bool = False
    cuts: int = 0
