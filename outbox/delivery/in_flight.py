"""Batches that wait for their receipt, and those whose receipt is late."""

from collections import OrderedDict
from collections.abc import Iterable
from sys import intern

import msgspec
from msgspec import Struct

from outbox.rows import Row
from wire.messages.envelope import EpochRange

# Batches remembered after their time: a receipt may come that late.
LATE_BATCHES = 64


class SentBatch(Struct, frozen=True):
    """One published batch. ``apart``: its rows were taken from a batch that was rejected whole."""

    rows: tuple[Row, ...]
    gaps: tuple[EpochRange, ...]
    until: float
    apart: bool = False


class InFlight:
    """Batches by the SHA-256 of their payload."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, SentBatch] = OrderedDict()
        self._late: OrderedDict[str, SentBatch] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, digest: str, batch: SentBatch) -> None:
        """This batch is about to be published."""
        self._waiting[digest] = batch

    def take(self, digest: str) -> SentBatch | None:
        """The batch that a receipt names; each batch has one receipt."""
        return self._waiting.pop(digest, None) or self._late.pop(digest, None)

    def give_up(self, digest: str) -> bool:
        """Publishing failed as far as can be seen; a receipt may still come. Whether it was in flight."""
        batch = self._waiting.pop(digest, None)
        if batch is not None:
            self._keep_late(digest, batch)
        return batch is not None

    def expire(self, now: float) -> int:
        """Give up every batch whose time is over; returns how many."""
        over = [digest for digest, batch in self._waiting.items() if batch.until <= now]
        return sum(self.give_up(digest) for digest in over)

    def forget(self) -> None:
        """No receipt for anything sent until now counts."""
        self._waiting.clear()
        self._late.clear()

    @property
    def positions(self) -> frozenset[int]:
        """The rows in flight."""
        return frozenset(row.position for batch in self._waiting.values() for row in batch.rows)

    @property
    def has_apart(self) -> bool:
        """True while a batch of rows apart is in flight."""
        return any(batch.apart for batch in self._waiting.values())

    @property
    def ends(self) -> Iterable[float]:
        """Moments at which the batches in flight are given up."""
        return (batch.until for batch in self._waiting.values())

    def _keep_late(self, digest: str, batch: SentBatch) -> None:
        # Without the records, and one string an epoch: 64 batches of 100 rows would be 6 MB otherwise.
        bare = tuple(Row(row.position, intern(row.epoch), row.seq, b"") for row in batch.rows)
        self._late[digest] = msgspec.structs.replace(batch, rows=bare)
        while len(self._late) > LATE_BATCHES:
            self._late.popitem(last=False)
