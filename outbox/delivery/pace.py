"""Pauses between batches, and timers for the next of each kind."""

import random

from msgspec import Struct

# Times the usual pause, while the collector is silent.
# Eight minutes by default. Batches of new rows find out sooner that the collector is back.
SLOWEST = 16.0


class Pace(Struct, frozen=True):
    """Seconds: between batches of new rows, between those of the backlog, and until a receipt is late."""

    interval_s: float = 60.0
    backlog_interval_s: float = 30.0
    receipt_timeout_s: float = 60.0


class Timer:
    """One kind of batch: whether there may be something to send, and from when on."""

    __slots__ = ("at", "pending")

    def __init__(self, at: float, *, pending: bool) -> None:
        self.at = at
        self.pending = pending

    def is_due(self, now: float) -> bool:
        """True if it is time to look for rows."""
        return self.pending and now >= self.at


class Pacing:
    """Pauses after a batch, longer while no receipt comes. ``chance`` spreads sites that return together."""

    def __init__(self, pace: Pace, chance: random.Random) -> None:
        self.pace = pace
        self._chance = chance
        self._silent = 0

    def missed(self, batches: int) -> None:
        """So many batches had no receipt, or met a full ledger."""
        self._silent += batches

    def answered(self) -> None:
        """A receipt came."""
        self._silent = 0

    def backlog_pause_s(self) -> float:
        """The pause until the next batch of the backlog."""
        return self.pace.backlog_interval_s * self._slower() * self._chance.uniform(0.75, 1.25)

    def gap_pause_s(self) -> float:
        """The pause until gaps are declared again that no receipt names."""
        return self.pace.receipt_timeout_s * self._slower()

    def _slower(self) -> float:
        return float(min(2.0**self._silent, SLOWEST))
