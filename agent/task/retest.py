"""A probe's request to be run again outside its schedule."""

from msgspec import Struct

from agent.settings.hours import Hours


class RetestRequest(Struct, frozen=True):
    """Request for one more run, ``after_s`` seconds from now; within ``hours`` only, where they are given."""

    after_s: float
    hours: Hours | None = None
