"""Figures of a floor verdict for a person."""

from host.units import megabits, percent
from wire.records import FloorValues, Standing, Verdict


def figures(values: FloorValues) -> str:
    """One line of text."""
    bps, exact = values.reported_capacity()
    figure = megabits(bps) if exact else f"at least {megabits(bps)}"
    parts = [f"{figure} Mbit/s", f"floor {megabits(values.floor_bps)} Mbit/s"]
    if values.loss_ratio:
        parts.append(f"loss {percent(values.loss_ratio)}")
    if values.passive_us is not None:
        parts.append(f"carried by the site's own traffic for {values.passive_us / 1e6:.1f} s")
    if (
        values.verdict is Verdict.PASS
        and values.tests
        and not any(one.predrain_bytes for one in values.tests)
    ):
        parts.append("token bucket not excluded")
    if values.search_bps is not None:
        parts.append(f"a search found {megabits(values.search_bps)} Mbit/s at most")
    if values.standing not in (None, Standing.CLEAR):
        parts.append(f"direction {values.standing}")
    return ", ".join(parts)
