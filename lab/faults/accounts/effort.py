"""Amount of work of a part."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """Seed and size of a run. ``short``: the form that runs with all other tests.

    ``cuts``: number of power cuts; 0 for the usual number.
    """

    seed: int
    short: bool = False
    cuts: int = 0
