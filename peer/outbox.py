"""What the peer sends when, and what a receipt means: a core without clock, socket or disk.

A batch is in flight under the SHA-256 of its payload until a receipt names it or its time is up; what stays
without a receipt is simply sent again, slower the longer no receipt comes at all. Moments are seconds on any
clock that does not step.
"""

import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from peer.record import Entry, Identity
from peer.record_file import State
from wire.messages.envelope import Reason, ReceiptStatus
from wire.messages.peer_tests import PeerReceipt

WINDOW = 4
BATCH_ROWS = 200
BATCH_BYTES = 128 * 1024
REMEMBERED = 64
SLOWEST = 64.0
QUARANTINE_S = 86_400.0

_STATES = {
    ReceiptStatus.COMMITTED: State.RECEIVED,
    ReceiptStatus.DUPLICATE: State.RECEIVED,
    ReceiptStatus.CONFLICT: State.RECEIVED,  # the ledger holds both contents, and tells of it
    ReceiptStatus.REJECTED: State.REJECTED,
}


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between batches of new tests, between those of a backlog, and until a receipt is given up."""

    interval_s: float = 10.0
    backlog_interval_s: float = 1.0
    receipt_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class _Batch:
    identities: tuple[Identity, ...]
    until: float


class Outbox:
    """Batches in flight. At the start anything may be waiting to be sent."""

    def __init__(self, pace: Pace, chance: random.Random, now: float) -> None:
        self._pace = pace
        self._chance = chance
        self._flying: OrderedDict[str, _Batch] = OrderedDict()
        self._late: OrderedDict[str, _Batch] = OrderedDict()
        self._waiting = True
        self._due = self._next_release = now
        self._silent = 0

    @property
    def flying(self) -> frozenset[Identity]:
        """The tests that wait for a receipt: not to be sent again yet."""
        return frozenset(identity for batch in self._flying.values() for identity in batch.identities)

    def added(self) -> None:
        """There are tests to be sent."""
        self._waiting = True

    def release_due(self, now: float) -> bool:
        """Whether to give rejected tests another chance: at the start, then once a day.

        Not for ever: a release of the collector that rejects in error is mended without touching the peers.
        """
        if now < self._next_release:
            return False
        self._next_release = now + QUARANTINE_S
        return True

    def want(self, now: float) -> int:
        """How many tests to fetch and send now; one more than a batch, to see whether more are left."""
        self._expire(now)
        due = self._waiting and now >= self._due and len(self._flying) < WINDOW
        return BATCH_ROWS + 1 if due else 0

    def choose(self, entries: Sequence[Entry], now: float) -> tuple[Entry, ...]:
        """Which of the fetched tests go into this batch; none if there is nothing to send."""
        chosen = _fitting(entries)
        self._waiting = len(chosen) < len(entries)
        if chosen:
            pause = self._pace.backlog_interval_s if self._waiting else self._pace.interval_s
            self._due = now + pause * self._slower()
        return chosen

    def sent(self, digest: str, entries: Sequence[Entry], now: float) -> None:
        """This batch is about to be published."""
        identities = tuple(entry.identity for entry in entries)
        self._flying[digest] = _Batch(identities, now + self._pace.receipt_timeout_s)

    def not_published(self, digest: str) -> None:
        """The broker did not take it, as far as can be told: a receipt may still come."""
        batch = self._flying.pop(digest, None)
        if batch is not None:
            self._remember(digest, batch)

    def receipt(self, receipt: PeerReceipt) -> dict[Identity, State]:
        """What a receipt says of tests. Only those of the batch that it names can change."""
        batch = self._flying.pop(receipt.payload, None) or self._late.pop(receipt.payload, None)
        if batch is None:
            return {}
        states = _states(receipt, batch.identities)
        if states:
            self._silent = 0
        self._waiting = self._waiting or len(states) < len(batch.identities)
        return states

    def next_wake(self, now: float) -> float:
        """When ``want`` or ``release_due`` may next have something to say."""
        moments = [self._next_release, *(batch.until for batch in self._flying.values())]
        if self._waiting and len(self._flying) < WINDOW:
            moments.append(self._due)
        return max(now, min(moments))

    def _expire(self, now: float) -> None:
        for digest in [name for name, batch in self._flying.items() if batch.until <= now]:
            self._silent += 1
            self._remember(digest, self._flying.pop(digest))
            self._due = max(self._due, now + self._pace.backlog_interval_s * (self._slower() - 1))

    def _remember(self, digest: str, batch: _Batch) -> None:
        self._waiting = True
        self._late[digest] = batch
        while len(self._late) > REMEMBERED:
            self._late.popitem(last=False)

    def _slower(self) -> float:
        """Drawn, so that peers that come back together do not send together."""
        return float(min(2.0**self._silent, SLOWEST)) * self._chance.uniform(0.75, 1.25)


def _fitting(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    chosen: list[Entry] = []
    size = 0
    for entry in entries:
        size += len(entry.record)
        if chosen and (len(chosen) >= BATCH_ROWS or size > BATCH_BYTES):
            break
        chosen.append(entry)
    return tuple(chosen)


def _states(receipt: PeerReceipt, identities: Sequence[Identity]) -> dict[Identity, State]:
    """The new state of each test that the receipt speaks of. A full ledger is no verdict on a test."""
    if receipt.reason is not None and not receipt.lines:
        return {} if receipt.reason is Reason.STORAGE else dict.fromkeys(identities, State.REJECTED)
    mine = set(identities)
    told = {
        (line.session, line.direction.value, line.start_us): _STATES[line.status]
        for line in receipt.lines
        if line.reason is not Reason.STORAGE
    }
    return {identity: state for identity, state in told.items() if identity in mine}
