"""The wish of a run to be followed by another one, outside the schedule."""

from msgspec import Struct

from agent.settings.hours import Hours


class Again(Struct, frozen=True):
    """Run once more, ``after_s`` from now, in ``hours`` only."""

    after_s: float
    hours: Hours | None = None
