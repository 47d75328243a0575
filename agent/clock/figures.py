"""Figures of a clock change for a person."""

from wire.records import ClockChange, ClockValues


def figures(values: ClockValues) -> str:
    """One line of text."""
    said = {
        ClockChange.SYNCHRONISED: "wall clock synchronised",
        ClockChange.LOST: "wall clock no longer synchronised",
        ClockChange.STEPPED: "wall clock set",
        ClockChange.PEER: "wall clock not synchronised; the peer reported the time",
    }[values.change]
    if values.peer_offset_us is not None:
        return f"{said}, {(values.offset_us - values.peer_offset_us) / 1e6:+.3f} s off"
    if values.before_us is None:
        return said
    return f"{said}, {(values.offset_us - values.before_us) / 1e6:+.3f} s"
