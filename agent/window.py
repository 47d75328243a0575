"""What the uplink sends when, and what a receipt means: a core without clock, socket or disk.

New measurements go first, at their own pace; the backlog follows behind them, newest first and slower. A
batch is in flight under the SHA-256 of its payload until a receipt names it or its time is up; what stays
without a receipt is simply sent again. Moments are seconds on any clock that does not step.
"""

import random
from collections import OrderedDict
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from agent.journal_entries import Change, Row, State, runs
from wire import messages
from wire.messages import SCHEMA, Envelope, EpochMark, Reason, Receipt, ReceiptStatus
from wire.records import ClockReading

WINDOW = 4
BATCH_ROWS = 100
BATCH_BYTES = 128 * 1024
BATCH_EPOCHS = 32
REMEMBERED = 64
SLOWEST = 16.0  # times the backlog's interval, while no receipt comes at all
QUARANTINE_S = 86_400.0

_STATES = {
    ReceiptStatus.COMMITTED: State.MARKED,
    ReceiptStatus.DUPLICATE: State.MARKED,
    ReceiptStatus.CONFLICT: State.CONFLICT,
    ReceiptStatus.REJECTED: State.QUARANTINED,
}


class Pace(Struct, frozen=True):
    """Seconds: between live batches, between backlog batches, and until a receipt is given up."""

    interval_s: float = 60.0
    backlog_interval_s: float = 30.0
    receipt_timeout_s: float = 60.0


class Want(Struct, frozen=True):
    """Fetch the newest ``limit`` unsent rows beyond position ``after``, to be sent now.

    ``limit`` is one more than can be used, so that it shows whether something is left for the backlog.
    """

    live: bool
    after: int
    limit: int


class _Identity(Struct, frozen=True):
    """What is kept of a row that was sent: its bytes stay in the journal, not in memory."""

    position: int
    epoch: str
    seq: int


class _Batch(Struct, frozen=True):
    rows: tuple[_Identity, ...]
    until: float


class Window:
    """Batches in flight. ``newest`` is the journal's newest position at the start: all of that is backlog."""

    def __init__(self, pace: Pace, chance: random.Random, *, newest: int, now: float) -> None:
        self._pace = pace
        self._chance = chance
        self._flying: OrderedDict[str, _Batch] = OrderedDict()
        self._late: OrderedDict[str, _Batch] = OrderedDict()
        self._live_after = newest
        self._fresh = False
        self._backlog = newest > 0
        self._next_live = now
        self._next_backlog = now + chance.uniform(0, pace.backlog_interval_s)
        self._next_release = now
        self._silent = 0

    def committed(self) -> None:
        """There is a new measurement in the journal."""
        self._fresh = True

    def release_due(self, now: float) -> bool:
        """Whether to give quarantined measurements another chance: at the start, then once a day.

        Not for ever: a release of the collector that rejects in error is mended without touching the sites.
        """
        if now < self._next_release:
            return False
        self._next_release = now + QUARANTINE_S
        return True

    def released(self) -> None:
        """Older measurements are to be sent again."""
        self._backlog = True

    def want(self, now: float) -> Want | None:
        """What to fetch and send now, if anything. One place of the window is kept for live batches."""
        self._expire(now)
        limit = BATCH_ROWS + 1 + sum(len(batch.rows) for batch in self._flying.values())
        if self._fresh and now >= self._next_live and len(self._flying) < WINDOW:
            return Want(live=True, after=self._live_after, limit=limit)
        if self._backlog and now >= self._next_backlog and len(self._flying) < WINDOW - 1:
            return Want(live=False, after=0, limit=limit)
        return None

    def choose(self, want: Want, rows: Sequence[Row], now: float) -> tuple[Row, ...]:
        """Which of the fetched rows go into this batch; none if there is nothing to send."""
        chosen = _fitting(rows, {row.position for batch in self._flying.values() for row in batch.rows})
        if want.live:
            self._fresh = False
            self._next_live = now + self._pace.interval_s
            self._backlog = self._backlog or len(chosen) < len(rows)
        else:
            self._backlog = bool(chosen)
            self._next_backlog = now + self._backlog_pause()
        if chosen:
            self._live_after = max(self._live_after, chosen[0].position)
        return chosen

    def sent(self, digest: str, rows: tuple[Row, ...], now: float) -> None:
        """This batch is about to be published."""
        identities = tuple(_Identity(row.position, row.epoch, row.seq) for row in rows)
        self._flying[digest] = _Batch(identities, now + self._pace.receipt_timeout_s)

    def not_published(self, digest: str) -> None:
        """The broker did not take it, as far as can be told: a receipt may still come."""
        batch = self._flying.pop(digest, None)
        if batch is not None:
            self._remember(digest, batch)

    def receipt(self, receipt: Receipt) -> list[Change]:
        """What a receipt changes in the journal. Only rows of the batch that it names can change."""
        batch = self._flying.pop(receipt.payload, None) or self._late.pop(receipt.payload, None)
        if batch is None:
            return []
        self._silent = 0
        states = _states(receipt, batch.rows)
        self._backlog = self._backlog or len(states) < len(batch.rows)
        return [
            Change(epoch, first, last, state)
            for state in State
            for epoch, first, last in runs(key for key, value in states.items() if value is state)
        ]

    def next_wake(self, now: float) -> float:
        """When ``want`` or ``release_due`` may next have something to say."""
        moments = [self._next_release, *(batch.until for batch in self._flying.values())]
        if self._fresh and len(self._flying) < WINDOW:
            moments.append(self._next_live)
        if self._backlog and len(self._flying) < WINDOW - 1:
            moments.append(self._next_backlog)
        return max(now, min(moments))

    def in_flight(self) -> int:
        """How many batches wait for their receipt."""
        return len(self._flying)

    def _expire(self, now: float) -> None:
        for digest in [name for name, batch in self._flying.items() if batch.until <= now]:
            self._silent += 1
            self._remember(digest, self._flying.pop(digest))

    def _remember(self, digest: str, batch: _Batch) -> None:
        self._backlog = True
        self._late[digest] = batch
        while len(self._late) > REMEMBERED:
            self._late.popitem(last=False)

    def _backlog_pause(self) -> float:
        """Drawn, so that 6,000 sites coming back together do not send together."""
        slower = min(2.0**self._silent, SLOWEST)
        return self._pace.backlog_interval_s * slower * self._chance.uniform(0.75, 1.25)


def _fitting(rows: Sequence[Row], flying: set[int]) -> tuple[Row, ...]:
    chosen: list[Row] = []
    size, epochs = 0, set()
    for row in rows:
        if row.position in flying:
            continue
        size += len(row.record)
        epochs.add(row.epoch)
        full = len(chosen) >= BATCH_ROWS or size > BATCH_BYTES or len(epochs) > BATCH_EPOCHS
        if chosen and full:
            break
        chosen.append(row)
    return tuple(chosen)


def _states(receipt: Receipt, rows: Sequence[_Identity]) -> dict[tuple[str, int], State]:
    """The new state of each row that the receipt speaks of. A full ledger is no verdict on a row."""
    if receipt.reason is not None and not receipt.lines:
        if receipt.reason is Reason.STORAGE:
            return {}
        return {(row.epoch, row.seq): State.QUARANTINED for row in rows}
    return {
        (row.epoch, row.seq): _STATES[line.status]
        for line in receipt.lines
        if line.reason is not Reason.STORAGE
        for row in rows
        if row.epoch == line.epoch and line.first <= row.seq <= line.last
    }


def envelope(
    site: str, agent: str, sent: ClockReading, marks: tuple[EpochMark, ...], rows: Sequence[Row]
) -> bytes:
    """A batch as it goes on the wire."""
    return messages.encode(
        Envelope(
            schema=SCHEMA,
            site=site,
            agent=agent,
            sent=sent,
            marks=marks,
            measurements=tuple(msgspec.Raw(row.record) for row in rows),
        )
    )
