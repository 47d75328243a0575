"""Figures of a trace for a person."""

from host.units import counted
from wire.records import PathValues


def figures(values: PathValues) -> str:
    """One line of text."""
    hops = counted(len(values.hops), "hop")
    parts = [hops if values.reached else f"not reached within {hops}"]
    if values.dscp_changed_at is not None:
        parts.append(f"DSCP becomes {values.dscp_became} before hop {values.dscp_changed_at}")
    if values.path_mtu_bytes is not None:
        parts.append(f"MTU {values.path_mtu_bytes} B")
    if values.black_hole:
        parts.append("larger packets vanish without a word")
    return ", ".join(parts)
