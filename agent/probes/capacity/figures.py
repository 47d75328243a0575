"""Figures of a search for a person."""

from host.units import megabits, percent
from wire.records import Bound, CapacityValues

_BOUNDS = {
    Bound.REQUESTED_RATE: "the rate asked for",
    Bound.PEER: "the peer's highest rate",
    Bound.SENDER: "its sender",
    Bound.TIME: "its time",
    Bound.BUDGET: "the byte budget",
}


def figures(values: CapacityValues) -> str:
    """One line of text."""
    least = "" if values.bound is None else "at least "
    at_s = values.maximum_at_us / 1e6
    text = f"{least}{megabits(values.maximum_bps)} Mbit/s at {at_s:.1f} s, loss {percent(values.loss_ratio)}"
    return text if values.bound is None else f"{text}, limited by {_BOUNDS[values.bound]}"
