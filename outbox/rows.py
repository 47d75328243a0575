"""Values that journal and delivery share: rows, their states, and what a receipt changes. Pure."""

from collections.abc import Iterable, Sequence
from enum import IntEnum

from msgspec import Struct

from wire.records import ClockReading

# Epoch, first and last sequence number, both included.
Run = tuple[str, int, int]


class State(IntEnum):
    """State of a row in the words of the collector's receipts; ``WAITING`` before any receipt.

    A row in flight is ``WAITING`` in the journal: only a receipt changes what is on the disk.
    """

    WAITING = 0
    COMMITTED = 1
    CONFLICT = 2
    REJECTED = 3


class Filing(Struct, frozen=True):
    """Values by which the journal files a record; it compares them, no more.

    ``drop_order``: a full journal drops rows of the smallest number first. ``schedule`` and ``slot_us``: the
    journal finds the newest row and slot of each schedule. ``resume_key``: the journal finds the newest
    row of each key, from which the program continues after a restart.
    """

    drop_order: int = 0
    schedule: str | None = None
    slot_us: int | None = None
    resume_key: str | None = None


class Row(Struct, frozen=True):
    """One journalled record as it goes on the wire. ``position`` grows with every commit."""

    position: int
    epoch: str
    seq: int
    record: bytes

    @property
    def identity(self) -> tuple[str, int]:
        """Epoch and sequence number."""
        return self.epoch, self.seq


class Change(Struct, frozen=True):
    """The new state of the rows ``first`` to ``last`` of one epoch."""

    epoch: str
    first: int
    last: int
    state: State


class Counts(Struct, frozen=True):
    """Number of rows in each state; ``gaps``: records declared lost; ``used``: bytes of the file in use."""

    waiting: int
    committed: int
    conflict: int
    rejected: int
    gaps: int
    used: int


class PreviousRun(Struct, frozen=True):
    """End of the previous run of the program, as its journal knows.

    ``last``: the clocks at its last commit, None if it committed nothing. ``closed``: the clocks at its
    orderly end, None if it had none (a kill, a crash, a power cut).
    """

    last: ClockReading | None
    closed: ClockReading | None

    @property
    def clean(self) -> bool:
        """True if it ended in order."""
        return self.closed is not None


def runs(identities: Iterable[tuple[str, int]]) -> list[Run]:
    """Identities as runs without holes, sorted."""
    found: list[Run] = []
    for epoch, seq in sorted(identities):
        if found and found[-1][0] == epoch and found[-1][2] == seq - 1:
            found[-1] = (epoch, found[-1][1], seq)
        else:
            found.append((epoch, seq, seq))
    return found


def without(first: int, last: int, taken: Iterable[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """The parts of ``first`` to ``last`` outside the ranges ``taken``, which are sorted."""
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
