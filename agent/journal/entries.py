"""What the journal holds and tells, as values: rows, states, how much a row is worth, how a run ended."""

from collections.abc import Iterable, Sequence
from enum import IntEnum

from msgspec import Struct

from wire.records import ClockReading, FloorMeasurement, InterfaceMeasurement, Measurement, StampMeasurement

BEYOND_ALL = 2**62
"""A position that no measurement comes to."""


class State(IntEnum):
    """What became of a measurement, as far as receipts tell."""

    UNSENT = 0
    MARKED = 1
    QUARANTINED = 2
    CONFLICT = 3


class Worth(IntEnum):
    """In which order a full journal drops what has no receipt: the smallest first.

    ``SERIES`` is a floor result whose raw series has never been sent: that much of it goes before anything
    else does. What may have been sent is never changed, so that its first sending makes it ``FLOOR``.
    """

    MINUTE = 0
    OTHER = 1
    FLOOR = 2
    SERIES = 3


class Row(Struct, frozen=True):
    """One journalled measurement as it goes on the wire. ``position`` grows with every commit."""

    position: int
    epoch: str
    seq: int
    record: bytes
    worth: int = Worth.MINUTE


class Change(Struct, frozen=True):
    """The new state of the measurements ``first`` to ``last`` of one epoch."""

    epoch: str
    first: int
    last: int
    state: State


class Counts(Struct, frozen=True):
    """How many measurements are in which state; ``gaps`` counts those lost for good, ``used`` is bytes."""

    unsent: int
    marked: int
    quarantined: int
    conflict: int
    gaps: int
    used: int


class PreviousEnd(Struct, frozen=True):
    """How the run of the agent before this one ended, as its journal knows.

    ``last``: the clocks at its last commit, None if it committed nothing. ``closed``: the clocks at its
    orderly end, None if it had none (a kill, a crash, a power cut).
    """

    last: ClockReading | None
    closed: ClockReading | None

    @property
    def clean(self) -> bool:
        """Whether it ended in order."""
        return self.closed is not None


def worth_of(measurement: Measurement) -> Worth:
    """What a measurement that has just been made is worth."""
    if isinstance(measurement, StampMeasurement | InterfaceMeasurement):
        return Worth.MINUTE
    if not isinstance(measurement, FloorMeasurement):
        return Worth.OTHER
    tests = measurement.values.tests if measurement.values else ()
    return Worth.SERIES if any(test.series for test in tests) else Worth.FLOOR


def runs(keys: Iterable[tuple[str, int]]) -> list[tuple[str, int, int]]:
    """Identities as runs without holes: (epoch, first, last), sorted."""
    found: list[tuple[str, int, int]] = []
    for epoch, seq in sorted(keys):
        if found and found[-1][0] == epoch and found[-1][2] == seq - 1:
            found[-1] = (epoch, found[-1][1], seq)
        else:
            found.append((epoch, seq, seq))
    return found


def without(first: int, last: int, taken: Iterable[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """What is left of ``first`` to ``last`` without the ranges ``taken``, which are in order of beginning."""
    left: list[tuple[int, int]] = []
    for low, high in taken:
        if low > last:
            break
        if low > first:
            left.append((first, low - 1))
        first = max(first, high + 1)
    if first <= last:
        left.append((first, last))
    return left
