"""Figures of an interface record for a person."""

from host.units import counted, megabits
from wire.records import InterfaceValues


def figures(values: InterfaceValues) -> str:
    """Traffic, and whatever is not as it should be."""
    flows = (("down", values.down), ("up", values.up))
    parts = [
        f"{name} {megabits(flow.mean_bps)} (peak {megabits(flow.peak_bps)}) Mbit/s" for name, flow in flows
    ]
    for what, counts in (
        ("errors", [flow.errors for _, flow in flows]),
        ("drops", [flow.drops for _, flow in flows]),
    ):
        if any(counts):
            parts.append(f"{what} down {_count(counts[0])} up {_count(counts[1])}")
    if values.carrier_losses:
        parts.append(f"link lost {counted(values.carrier_losses, 'time')}")
    if values.carrier is False:
        parts.append("no link")
    if values.resets:
        parts.append(f"counters restarted {counted(values.resets, 'time')}")
    return ", ".join([*parts, f"{values.interface} over {values.span_us / 1e6:.0f} s"])


def _count(count: int | None) -> str:
    return "-" if count is None else str(count)
