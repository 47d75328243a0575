"""Figures of an outage for a person."""

from wire.records import ReachabilityValues


def figures(values: ReachabilityValues) -> str:
    """One line of text."""
    if values.end is None:
        return f"cause {values.cause}"
    lasted_s = (values.end.wall_us - values.begin.wall_us) / 1e6
    if values.end.boot_id == values.begin.boot_id:
        lasted_s = (values.end.boot_us - values.begin.boot_us) / 1e6
    return f"outage over after {lasted_s:.0f} s, cause {values.cause}"
