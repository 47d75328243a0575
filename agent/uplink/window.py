"""What the uplink sends when, and what a receipt means: a core without clock, socket or disk.

New measurements go first, at their own pace; the backlog follows behind them, newest first and slower. A
batch is in flight under the SHA-256 of its payload until a receipt names it or its time is up; what stays
without a receipt is simply sent again; what was rejected is tried now and then behind the backlog
(``agent.uplink.trial``). Declared gaps ride along, and go alone where there is nothing else; a collector that
never names them in a receipt is told again ever more seldom. Moments are seconds on any clock that does not
step.
"""

import random
from collections import OrderedDict
from collections.abc import Sequence
from sys import intern

import msgspec
from msgspec import Struct

from agent.journal.entries import BEYOND_ALL, Change, Row, State, runs
from agent.uplink.trial import Trial
from wire.messages import envelope as messages
from wire.messages.envelope import (
    SCHEMA,
    Envelope,
    EpochMark,
    EpochRange,
    Gap,
    Reason,
    Receipt,
    ReceiptStatus,
)
from wire.records import ClockReading

WINDOW = 4
BATCH_ROWS = 100
BATCH_BYTES = 128 * 1024
BATCH_EPOCHS = 32
REMEMBERED = 64
SLOWEST = 16.0  # times the backlog's interval, while no receipt comes at all
SLOWEST_GAPS = 360.0  # times the time for a receipt, while none names a gap

_OF_A_ROW = (Reason.MALFORMED, Reason.INVALID, Reason.TOO_LARGE)
"""What one measurement may bring upon its batch. The other reasons would meet any batch of this agent."""

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
    """Fetch the newest ``limit`` unsent rows beyond position ``after``, to be sent now, but not ``skip``.

    ``limit`` is one more than can be used, so that it shows whether something is left for the backlog.
    ``gaps``: and those that no receipt has named. ``trial``: rows in quarantine instead, at most ``limit``,
    of positions below ``before``.
    """

    live: bool
    after: int
    limit: int
    skip: frozenset[int] = frozenset()
    gaps: bool = False
    before: int = BEYOND_ALL
    trial: bool = False


class Heard(Struct, frozen=True):
    """What a receipt says: of measurements, and which gaps the collector knows of now.

    ``trial``: the batch was one of rejected measurements. ``culprit``: epoch and seq of one that is refused
    even alone, the first time.
    """

    changes: list[Change]
    told: list[EpochRange]
    trial: bool = False
    culprit: tuple[str, int] | None = None


class _Identity(Struct, frozen=True):
    """What is kept of a row that was sent: its bytes stay in the journal, not in memory."""

    position: int
    epoch: str
    seq: int


class _Batch(Struct, frozen=True):
    rows: tuple[_Identity, ...]
    gaps: tuple[EpochRange, ...]
    until: float
    trial: bool

    @property
    def positions(self) -> tuple[int, ...]:
        return tuple(row.position for row in self.rows)


class Window:
    """Batches in flight. ``newest`` is the journal's newest position at the start: all of that is backlog.

    ``begin``: which of the rejected measurements is tried first, by position; 0 for the newest.
    """

    def __init__(self, pace: Pace, chance: random.Random, *, newest: int, now: float, begin: int = 0) -> None:
        self._pace = pace
        self._chance = chance
        self._flying: OrderedDict[str, _Batch] = OrderedDict()
        self._late: OrderedDict[str, _Batch] = OrderedDict()
        self._live_after = newest
        self._fresh = False
        self._backlog = newest > 0
        self._next_live = now
        self._next_backlog = now + chance.uniform(0, pace.backlog_interval_s)
        self._trial = Trial(now, begin)
        self._next_trial = self._next_backlog
        self._tried_last = False
        self._silent = 0
        self._gaps = True
        self._next_gaps = now
        self._gaps_at_once = now
        self._gaps_unheard = 0

    def committed(self) -> None:
        """There is a new measurement in the journal."""
        self._fresh = True

    def released(self) -> None:
        """Older measurements can be read again, be they to be sent or to be tried."""
        self._backlog = True
        self._trial.again()

    def declared(self) -> None:
        """There may be gaps that no receipt has named."""
        self._gaps = True

    def forget(self, now: float) -> None:
        """All is to be sent that has no receipt from now on: those of what is under way count no more."""
        self._flying.clear()
        self._late.clear()
        self._trial.lost()
        self._backlog = self._gaps = True
        self._next_gaps = now

    def want(self, now: float) -> Want | None:
        """What to fetch and send now, if anything. One place of the window is kept for live batches."""
        self._expire(now)
        self._trial.look(now)
        gaps = self._gaps and now >= self._next_gaps
        skip = self._under_way()
        if self._fresh and now >= self._next_live and len(self._flying) < WINDOW:
            return Want(live=True, after=self._live_after, limit=BATCH_ROWS + 1, skip=skip, gaps=gaps)
        if len(self._flying) >= WINDOW - 1:
            return None
        backlog = self._backlog and now >= self._next_backlog
        if self._trial.ready and now >= self._next_trial and not (backlog and self._tried_last):
            span, limit = self._trial.portion(BATCH_ROWS)
            return Want(live=False, after=span.after, limit=limit, before=span.before, trial=True)
        if backlog:
            return Want(live=False, after=0, limit=BATCH_ROWS + 1, skip=skip, gaps=gaps)
        return Want(live=False, after=0, limit=0, gaps=True) if gaps else None

    def choose(
        self, want: Want, rows: Sequence[Row], now: float, gaps: Sequence[Gap] = ()
    ) -> tuple[Row, ...]:
        """Which of the fetched rows go into this batch, with all of the gaps; none if there are none."""
        if want.gaps:
            self._gaps = bool(gaps)
            self._gaps_at_once = now + self._backlog_pause()
            self._next_gaps = now + self._gap_pause()
            self._gaps_unheard += bool(gaps)
        if not want.limit:
            return ()
        # A copy of a portion that was given up may still be under way: it says nothing of these.
        chosen = _fitting(rows, frozenset() if want.trial else self._under_way())
        if want.trial:
            self._choose_for_trial(chosen, now)
            return chosen
        if want.live:
            self._fresh = False
            self._next_live = now + self._pace.interval_s
            self._backlog = self._backlog or len(chosen) < len(rows)
        else:
            self._backlog = bool(chosen)
            self._next_backlog = now + self._backlog_pause()
            self._tried_last = False
            self._next_trial = max(self._next_trial, self._next_backlog)
        if chosen:
            self._live_after = max(self._live_after, chosen[0].position)
        return chosen

    def _choose_for_trial(self, chosen: Sequence[Row], now: float) -> None:
        """Together with the backlog no faster than the backlog alone: they take turns."""
        self._trial.chosen([row.position for row in chosen])
        if chosen:
            pause_s = self._backlog_pause()
            self._tried_last = True
            self._next_trial = now + pause_s * self._trial.patience
            self._next_backlog = max(self._next_backlog, now + pause_s)

    def sent(self, digest: str, rows: tuple[Row, ...], now: float, gaps: Sequence[Gap] = ()) -> None:
        """This batch is about to be published."""
        # One string an epoch, not one a row: this may be kept of a hundred batches.
        identities = tuple(_Identity(row.position, intern(row.epoch), row.seq) for row in rows)
        ranges = tuple(EpochRange(epoch=intern(gap.epoch), first=gap.first, last=gap.last) for gap in gaps)
        trial = self._trial.tries([row.position for row in rows])
        self._flying[digest] = _Batch(identities, ranges, now + self._pace.receipt_timeout_s, trial)

    def not_published(self, digest: str) -> None:
        """The broker did not take it, as far as can be told: a receipt may still come."""
        batch = self._flying.pop(digest, None)
        if batch is not None:
            self._remember(digest, batch)

    def receipt(self, receipt: Receipt) -> Heard:
        """What a receipt changes in the journal. Only what was in the batch that it names can change."""
        batch = self._flying.pop(receipt.payload, None) or self._late.pop(receipt.payload, None)
        if batch is None:
            return Heard([], [])
        self._silent = 0
        states = _states(receipt, batch.rows)
        culprit = self._judge(receipt, batch, states)
        changes = [
            Change(epoch, first, last, state)
            for state in State
            for epoch, first, last in runs(key for key, value in states.items() if value is state)
        ]
        told = _told(receipt.declared, batch.gaps)
        if told:
            self._gaps_unheard, self._next_gaps = 0, self._gaps_at_once
        return Heard(changes, told, batch.trial, culprit)

    def _judge(
        self, receipt: Receipt, batch: _Batch, states: dict[tuple[str, int], State]
    ) -> tuple[str, int] | None:
        """What the fate of a batch means for the trial; the row that is at fault, to be named."""
        if batch.trial:
            named = self._trial.tries(batch.positions) and self._tried(receipt, batch, states)
        else:
            named = self._sent_before(receipt, batch, states)
            if _any_accepted(states):
                self._trial.accepted()
        return (batch.rows[0].epoch, batch.rows[0].seq) if named else None

    def _tried(self, receipt: Receipt, batch: _Batch, states: dict[tuple[str, int], State]) -> bool:
        if not states:
            self._lost(batch)
        elif not _is_refused(receipt):
            self._trial.taken(any_accepted=_any_accepted(states))
            # One whose identity does not read has no line; alone in a batch it is refused by name.
            if unsaid := [row.position for row in batch.rows if (row.epoch, row.seq) not in states]:
                self._trial.suspect(unsaid)
        elif receipt.reason in _OF_A_ROW:
            return self._trial.refused()
        else:
            self._trial.denied()
        return False

    def _sent_before(self, receipt: Receipt, batch: _Batch, states: dict[tuple[str, int], State]) -> bool:
        self._backlog = self._backlog or len(states) < len(batch.rows)
        if not states or not _is_refused(receipt):
            return False
        if receipt.reason in _OF_A_ROW and len(batch.rows) == 1:
            return self._trial.refused_alone(batch.rows[0].position)
        self._trial.suspect(batch.positions)
        if receipt.reason not in _OF_A_ROW:
            self._trial.denied()
        return False

    def next_wake(self, now: float) -> float:
        """When ``want`` may next have something to say."""
        moments = [self._trial.next_day, *(batch.until for batch in self._flying.values())]
        if self._fresh and len(self._flying) < WINDOW:
            moments.append(self._next_live)
        if self._backlog and len(self._flying) < WINDOW - 1:
            moments.append(self._next_backlog)
        if self._trial.ready and len(self._flying) < WINDOW - 1:
            moments.append(self._next_trial)
        if self._gaps and len(self._flying) < WINDOW - 1:
            moments.append(self._next_gaps)
        return max(now, min(moments))

    def in_flight(self) -> int:
        """How many batches wait for their receipt."""
        return len(self._flying)

    def _under_way(self) -> frozenset[int]:
        return frozenset(row.position for batch in self._flying.values() for row in batch.rows)

    def _gap_pause(self) -> float:
        """An older collector names none, and is right to: they are sent again, but not for nothing."""
        return self._pace.receipt_timeout_s * min(2.0**self._gaps_unheard, SLOWEST_GAPS)

    def _expire(self, now: float) -> None:
        for digest in [name for name, batch in self._flying.items() if batch.until <= now]:
            self._silent += 1
            self._remember(digest, self._flying.pop(digest))

    def _remember(self, digest: str, batch: _Batch) -> None:
        if batch.trial:
            self._lost(batch)
        self._backlog = self._backlog or not batch.trial
        self._late[digest] = batch
        while len(self._late) > REMEMBERED:
            self._late.popitem(last=False)

    def _lost(self, batch: _Batch) -> None:
        """Nothing is known of a portion, unless it is no longer its turn or a copy of it is under way."""
        copies = any(other.positions == batch.positions for other in self._flying.values())
        if self._trial.tries(batch.positions) and not copies:
            self._trial.lost()

    def _backlog_pause(self) -> float:
        """Drawn, so that 6,000 sites coming back together do not send together."""
        slower = min(2.0**self._silent, SLOWEST)
        return self._pace.backlog_interval_s * slower * self._chance.uniform(0.75, 1.25)


def _fitting(rows: Sequence[Row], flying: frozenset[int]) -> tuple[Row, ...]:
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
    if _is_refused(receipt):
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


def _any_accepted(states: dict[tuple[str, int], State]) -> bool:
    return State.MARKED in states.values() or State.CONFLICT in states.values()


def _is_refused(receipt: Receipt) -> bool:
    """Whether it speaks of the batch as a whole."""
    return receipt.reason is not None and not receipt.lines


def _told(declared: Sequence[EpochRange], gaps: Sequence[EpochRange]) -> list[EpochRange]:
    """What of a batch's own gaps a receipt names."""
    common = [
        (gap.epoch, max(gap.first, one.first), min(gap.last, one.last))
        for one in declared
        for gap in gaps
        if gap.epoch == one.epoch
    ]
    return [EpochRange(epoch=epoch, first=first, last=last) for epoch, first, last in common if first <= last]


def envelope(
    site: str,
    agent: str,
    sent: ClockReading,
    marks: tuple[EpochMark, ...],
    rows: Sequence[Row],
    gaps: Sequence[Gap] = (),
    obeyed: str | None = None,
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
            gaps=tuple(gaps),
            obeyed=obeyed,
        )
    )
