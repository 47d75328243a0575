"""Decisions on one journal: the next batch, and the changes by a receipt.

**Rows.** The journal stores four states. *In flight* and *apart* exist in memory only, so a restart turns
both into waiting, and the row is sent again.

    state      event                                        next state
    ---------  -------------------------------------------  -----------
    waiting    chosen for a batch                           in flight
    in flight  receipt line: committed, conflict, rejected  that state
    in flight  no receipt in time, publishing failed,       waiting
               or the ledger was full (storage)
    in flight  its batch was rejected whole: see below      waiting, apart or rejected
    apart      its turn comes                               in flight
    apart      the collector rejects everything, or the     rejected
               day's share is used up
    rejected   start of the program, and once a day         waiting
    committed, conflict: final

**Batches.** A batch is in flight under the SHA-256 of its payload. Without a receipt in time it is *late*:
its rows are free to be sent again, and a receipt that still comes counts. A receipt names records one by
one, or rejects the batch whole. Then the sender decodes its rows itself. Rows that its decoder refuses
become rejected, and the others wait again. Where it refuses none, ``VERDICTS`` decides by the
reason:

    reason                         one row    several rows
    -----------------------------  ---------  -----------------------
    storage                        waiting    waiting
    too-large                      rejected   apart, in two halves
    malformed, invalid             rejected   apart, each row alone
    any other (newer-schema, ...)  rejected   rejected

At most 100 rows a day are sent alone. Three rejected alone, with nothing accepted in between, mean that the
collector rejects everything: nothing is sent alone until it accepts something.

**Order.** New rows go first, at their own pace, and one of four places in flight is kept for them. Then
rows that are apart, then the backlog, newest first; both share one slower pace. Declared gaps ride along,
or go alone where there is nothing else. Silence of the collector slows everything but new rows.

**Never:**

- a row changes that was not in the batch that the receipt names;
- a row is in two batches in flight;
- a good row waits for ever because its neighbour is bad;
- a row leaves the state waiting without a receipt.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum

from msgspec import Struct

from outbox.delivery.apart import Apart
from outbox.delivery.in_flight import InFlight, SentBatch
from outbox.delivery.pace import Pace, Pacing, Timer
from outbox.rows import Change, Row, State, runs
from wire.messages.envelope import EpochRange, Fault, Gap, Reason, Receipt, ReceiptStatus

# A batch that the broker loses holds its place until the time-out; the others go on beside it.
MOST_IN_FLIGHT = 4
BATCH_ROWS = 100
# A quarter of the largest message. One record larger than this still goes, alone.
BATCH_BYTES = 128 * 1024
BATCH_EPOCHS = 32

# The sender's own bounded decoder of one record: a Fault for one that the collector cannot take.
Decode = Callable[[bytes], object]

_STATES = {
    ReceiptStatus.COMMITTED: State.COMMITTED,
    ReceiptStatus.CONFLICT: State.CONFLICT,
    ReceiptStatus.REJECTED: State.REJECTED,
}


class Answer(Enum):
    """Statement of a receipt about the batch as a whole."""

    NAMED = "each record by itself"
    FULL = "nothing could be stored"
    TOO_LARGE = "more than the collector takes at once"
    UNREADABLE = "the payload does not decode"
    REFUSED = "nothing from this sender is accepted"


class RowHandling(Enum):
    """Handling of the rows of a batch that was rejected whole."""

    SEND_AGAIN = "waiting"
    HALVE = "apart, in two halves"
    ALONE = "apart, each row alone"
    REJECT = "rejected"


# For a batch of one row, and of several.
VERDICTS: Mapping[Answer, tuple[RowHandling, RowHandling]] = {
    Answer.FULL: (RowHandling.SEND_AGAIN, RowHandling.SEND_AGAIN),
    Answer.TOO_LARGE: (RowHandling.REJECT, RowHandling.HALVE),
    Answer.UNREADABLE: (RowHandling.REJECT, RowHandling.ALONE),
    Answer.REFUSED: (RowHandling.REJECT, RowHandling.REJECT),
}
_ANSWERS = {
    Reason.STORAGE: Answer.FULL,
    Reason.TOO_LARGE: Answer.TOO_LARGE,
    Reason.MALFORMED: Answer.UNREADABLE,
    Reason.INVALID: Answer.UNREADABLE,
}


class BatchKind(Enum):
    """Content of a batch."""

    LIVE = "new rows"
    APART = "rows apart"
    BACKLOG = "older rows"
    GAPS = "gaps alone"


class Fetch(Struct, frozen=True):
    """Rows and gaps to read from the journal for the next batch.

    The newest ``limit`` waiting rows of positions above ``after`` and not in ``skip``, or where ``positions``
    are given, those of them that still wait. ``limit`` is one more than fits, which shows whether older
    rows are left. ``gaps``: also gaps that no receipt has named.
    """

    kind: BatchKind
    after: int = 0
    limit: int = BATCH_ROWS + 1
    skip: frozenset[int] = frozenset()
    positions: tuple[int, ...] = ()
    gaps: bool = False


class Rejection(Struct, frozen=True):
    """A record that was rejected, and why."""

    epoch: str
    seq: int
    fault: Fault


class ReceiptOutcome(Struct, frozen=True):
    """Changes in the journal by a receipt: states of rows, and gaps that the collector knows of."""

    changes: tuple[Change, ...] = ()
    declared: tuple[EpochRange, ...] = ()
    rejections: tuple[Rejection, ...] = ()


class Delivery:
    """Decides for one journal. ``newest``: its newest position at the start; all up to there is backlog."""

    def __init__(self, pace: Pace, chance: random.Random, decode: Decode, *, newest: int, now: float) -> None:
        self._pacing = Pacing(pace, chance)
        self._chance = chance
        self._decode = decode
        self._in_flight = InFlight()
        self._apart = Apart(now)
        self._live_after = newest
        self._live = Timer(now, pending=False)
        self._backlog = Timer(now + chance.uniform(0, pace.backlog_interval_s), pending=newest > 0)
        self._gaps = Timer(now, pending=True)

    def committed(self) -> None:
        """There is a new row in the journal."""
        self._live.pending = True

    def released(self) -> None:
        """Older rows wait again, or can be read again."""
        self._backlog.pending = True

    def lost(self) -> None:
        """There may be gaps that no receipt has named."""
        self._gaps.pending = True

    def begin_day(self, now: float) -> bool:
        """True if rejected rows are to be released now: at the start, and once a day."""
        return self._apart.begin_day(now)

    def forget(self, now: float) -> None:
        """The collector lost what it had committed: receipts for what was sent until now count no more."""
        self._in_flight.forget()
        self._apart.forget()
        self._backlog.pending = self._gaps.pending = True
        self._gaps.at = now

    @property
    def in_flight(self) -> int:
        """Number of batches that wait for their receipt."""
        return len(self._in_flight)

    def next_fetch(self, now: float) -> Fetch | None:
        """Rows to read and send now, None for nothing."""
        self._expire(now)
        gaps, free = self._gaps.is_due(now), MOST_IN_FLIGHT - len(self._in_flight)
        skip = self._in_flight.positions | self._apart.positions
        if self._live.is_due(now) and free:
            return Fetch(BatchKind.LIVE, after=self._live_after, skip=skip, gaps=gaps)
        # The last place is kept for new rows.
        if free <= 1:
            return None
        if now >= self._backlog.at and self._has_part:
            part = self._apart.next_part(self._chance)
            return Fetch(BatchKind.APART, limit=0, positions=tuple(row.position for row in part), gaps=gaps)
        if self._backlog.is_due(now):
            return Fetch(BatchKind.BACKLOG, skip=skip, gaps=gaps)
        return Fetch(BatchKind.GAPS, limit=0, gaps=True) if gaps else None

    def choose(self, fetch: Fetch, rows: Sequence[Row], gaps: Sequence[Gap], now: float) -> tuple[Row, ...]:
        """The fetched rows that make the batch; all of ``gaps`` go with them."""
        if fetch.gaps:
            self._gaps.pending = bool(gaps)
            self._gaps.at = now + self._pacing.gap_pause_s()
        chosen = _fitting(rows)
        if fetch.kind is BatchKind.LIVE:
            self._live.pending = False
            self._live.at = now + self._pacing.pace.interval_s
            self._backlog.pending |= len(chosen) < len(rows)
        elif fetch.kind is BatchKind.BACKLOG:
            self._backlog.pending = bool(chosen)
        if fetch.kind is BatchKind.APART:
            # A row that the journal has dropped would keep its part in the list for ever.
            self._apart.done(set(fetch.positions) - {row.position for row in chosen})
        elif chosen:
            self._live_after = max(self._live_after, chosen[0].position)
        if chosen and fetch.kind is not BatchKind.LIVE:
            self._backlog.at = now + self._pacing.backlog_pause_s()
        return chosen

    def sent(self, digest: str, fetch: Fetch, rows: tuple[Row, ...], gaps: Sequence[Gap], now: float) -> None:
        """This batch is about to be published."""
        apart = fetch.kind is BatchKind.APART
        if apart:
            self._apart.sent(rows)
        ranges = tuple(EpochRange(epoch=gap.epoch, first=gap.first, last=gap.last) for gap in gaps)
        self._in_flight.add(digest, SentBatch(rows, ranges, now + self._pacing.pace.receipt_timeout_s, apart))

    def not_published(self, digest: str) -> None:
        """The broker did not take it, as far as can be seen."""
        self._backlog.pending |= self._in_flight.give_up(digest)

    def receipt(self, receipt: Receipt) -> ReceiptOutcome:
        """Changes by a receipt, and only to rows of the batch that it names."""
        batch = self._in_flight.take(receipt.payload)
        if batch is None:
            return ReceiptOutcome()
        answer = answer_of(receipt)
        if answer is Answer.FULL:
            self._pacing.missed(1)
        else:
            self._pacing.answered()
        if answer is Answer.NAMED:
            states, rejections = _named(receipt, batch.rows)
        else:
            rejections = self._rejected_whole(receipt, answer, batch)
            states = {(one.epoch, one.seq): State.REJECTED for one in rejections}
        # A conflict counts, too: the collector has decoded the record and kept it.
        if set(states.values()) & {State.COMMITTED, State.CONFLICT}:
            self._apart.accepted()
        self._apart.done(row.position for row in batch.rows if row.identity in states)
        states |= {row.identity: State.REJECTED for row in self._apart.give_up()}
        self._backlog.pending |= any(row.identity not in states for row in batch.rows)
        declared = _common(receipt.declared, batch.gaps)
        if declared:
            # An envelope has room for some gaps only; the next ones go at once.
            self._gaps.at = 0.0
        return ReceiptOutcome(_changes(states), declared, tuple(rejections))

    def next_wake(self, now: float) -> float:
        """Moment at which ``next_fetch`` or ``begin_day`` may next have something to say."""
        free = MOST_IN_FLIGHT - len(self._in_flight)
        moments = [self._apart.next_day, *self._in_flight.ends]
        if self._live.pending and free:
            moments.append(self._live.at)
        if (self._backlog.pending or self._has_part) and free > 1:
            moments.append(self._backlog.at)
        if self._gaps.pending and free > 1:
            moments.append(self._gaps.at)
        return max(now, min(moments))

    @property
    def _has_part(self) -> bool:
        # One at a time: until its receipt has come, a part stays in the list.
        return self._apart.has_next and not self._in_flight.has_apart

    def _rejected_whole(self, receipt: Receipt, answer: Answer, batch: SentBatch) -> list[Rejection]:
        """The records that are rejected by it; the others wait again or travel apart."""
        rows = batch.rows
        if answer is Answer.UNREADABLE and (bad := self._bad(rows)):
            return bad
        fate = VERDICTS[answer][len(rows) > 1]
        if fate is RowHandling.HALVE:
            self._apart.halve(rows)
        elif fate is RowHandling.ALONE and not self._apart.separate(rows):
            fate = RowHandling.REJECT
        elif fate is RowHandling.REJECT and rows:
            self._apart.rejected_alone()
        if fate is not RowHandling.REJECT:
            return []
        fault = Fault(receipt.reason or Reason.INVALID, receipt.detail)
        return [Rejection(row.epoch, row.seq, fault) for row in rows]

    def _bad(self, rows: Iterable[Row]) -> list[Rejection]:
        """The records that this sender's own decoder refuses. A late batch has no records to look at."""
        looked_at = ((row, self._decode(row.record)) for row in rows if row.record)
        return [Rejection(row.epoch, row.seq, fault) for row, fault in looked_at if isinstance(fault, Fault)]

    def _expire(self, now: float) -> None:
        expired = self._in_flight.expire(now)
        self._pacing.missed(expired)
        self._backlog.pending |= bool(expired)


def answer_of(receipt: Receipt) -> Answer:
    """Statement of this receipt about its batch."""
    if receipt.reason is None or receipt.lines:
        return Answer.NAMED
    return _ANSWERS.get(receipt.reason, Answer.REFUSED)


def _fitting(rows: Sequence[Row]) -> tuple[Row, ...]:
    chosen: list[Row] = []
    size, epochs = 0, set()
    for row in rows:
        size += len(row.record)
        epochs.add(row.epoch)
        full = len(chosen) >= BATCH_ROWS or size > BATCH_BYTES or len(epochs) > BATCH_EPOCHS
        if chosen and full:
            break
        chosen.append(row)
    return tuple(chosen)


def _named(receipt: Receipt, rows: Sequence[Row]) -> tuple[dict[tuple[str, int], State], list[Rejection]]:
    """The state of each row that a line names. A full ledger says nothing of a row."""
    states: dict[tuple[str, int], State] = {}
    rejections: list[Rejection] = []
    for line in receipt.lines:
        if line.reason is Reason.STORAGE:
            continue
        named = [row for row in rows if row.epoch == line.epoch and line.first <= row.seq <= line.last]
        states |= {row.identity: _STATES[line.status] for row in named}
        if line.status is ReceiptStatus.REJECTED:
            fault = Fault(line.reason or Reason.INVALID, line.detail)
            rejections += [Rejection(row.epoch, row.seq, fault) for row in named]
    return states, rejections


def _changes(states: dict[tuple[str, int], State]) -> tuple[Change, ...]:
    return tuple(
        Change(epoch, first, last, state)
        for state in State
        for epoch, first, last in runs(key for key, value in states.items() if value is state)
    )


def _common(named: Sequence[EpochRange], gaps: Sequence[EpochRange]) -> tuple[EpochRange, ...]:
    """The parts of a batch's own gaps that a receipt names."""
    common = [
        (gap.epoch, max(gap.first, one.first), min(gap.last, one.last))
        for one in named
        for gap in gaps
        if gap.epoch == one.epoch
    ]
    return tuple(
        EpochRange(epoch=epoch, first=first, last=last) for epoch, first, last in common if first <= last
    )
