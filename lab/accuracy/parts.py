"""All parts of the benchmark, in the order of their tables."""

from lab.accuracy.part import Part

PARTS: tuple[Part, ...] = ()


def named(name: str) -> Part | None:
    """The part of this name."""
    return next((part for part in PARTS if part.name == name), None)
