"""Counters of each journal epoch: committed, declared lost and in conflict, kept in the same transaction.

An epoch's *high water* is the highest sequence number known of it. A measurement, a gap, its own mark or the
mark of the epoch after it can raise that. Numbers below it that are neither committed nor declared lost are
missing, so ``missing = high_water - committed - declared`` is never negative.

Gaps are kept as ranges without overlap. Nothing here counts along a range, because an envelope may name one
of any width: it costs by the row.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import and_, bindparam, func, select

from collector.ledger.keys import RowKeys
from collector.ledger.schema import tables as schema
from collector.ledger.schema.digests import AnyRow
from collector.ledger.schema.layout import Row
from collector.ledger.transaction import LedgerTransaction
from wire.messages.envelope import EpochMark, Gap

_CHUNK = 500  # bound parameters of one query
# No agent of ours declares such a gap. A stranger's, read again and again, would delay the one writer.
MOST_OVERLAPPED = 1000
"""A gap that overlaps more others than this replaces them, under its own reason."""
_g, _m, _e = schema.gaps.c, schema.measurements.c, schema.epochs.c

# Gaps do not overlap, so of those that begin no later than ``low`` only the last one can reach it.
_REACHING = select(func.max(_g.first)).where(
    _g.epoch_key == bindparam("epoch_key"), _g.first <= bindparam("low")
)
_OVERLAP = and_(
    _g.epoch_key == bindparam("epoch_key"),
    _g.first >= func.coalesce(_REACHING.scalar_subquery(), bindparam("low")),
    _g.first <= bindparam("high"),
    _g.last >= bindparam("low"),
)
_OVERLAPPING = select(_g.first, _g.last).where(_OVERLAP).order_by(_g.first).limit(MOST_OVERLAPPED + 1)
_OVERLAPPED = select(func.min(_g.first), func.max(_g.last), func.sum(_g.last - _g.first + 1)).where(_OVERLAP)
_HELD_IN_THEM = (
    select(func.count())
    .select_from(schema.gaps)
    .join(schema.measurements, and_(_m.epoch_key == _g.epoch_key, _m.seq.between(_g.first, _g.last)))
    .where(_OVERLAP)
)
_IN_RANGE = and_(
    _g.epoch_key == bindparam("epoch_key"), _g.first.between(bindparam("low"), bindparam("high"))
)
_HELD = select(func.count()).where(
    _m.epoch_key == bindparam("epoch_key"), _m.seq.between(bindparam("low"), bindparam("high"))
)

Range = tuple[int, int]  # both ends included


@dataclass(slots=True)
class _Entry:
    """Changes of one epoch in one transaction; ``seqs`` are the numbers that it commits."""

    high_water: int = 0
    previous: str | None = None
    previous_last: int | None = None
    seqs: list[int] = field(default_factory=list)
    declared: int = 0
    conflicts: int = 0


class Accounts:
    """Changes of epochs' counters in one transaction, collected and written at its end."""

    def __init__(self, transaction: LedgerTransaction, keys: RowKeys) -> None:
        self._transaction = transaction
        self._keys = keys
        self._entries: dict[int, _Entry] = defaultdict(_Entry)
        self._gaps: list[tuple[int, Gap, int]] = []

    def commit(self, epoch_key: int, seq: int) -> None:
        """Count a committed measurement."""
        self._entries[epoch_key].seqs.append(seq)

    def conflict(self, epoch_key: int) -> None:
        """Count another content under an identity that is in the ledger."""
        self._entries[epoch_key].conflicts += 1

    def mark(self, site: str, mark: EpochMark) -> None:
        """Raise the high water to a mark; the first epoch before that was named stays.

        That epoch is counted from then on, even if nothing of it ever arrives.
        """
        epoch_key = self._keys.epoch(self._transaction, site, mark.epoch)
        entry = self._raise(epoch_key, mark.high_water)
        if mark.previous is None:
            return
        if entry.previous is None:
            entry.previous, entry.previous_last = mark.previous, mark.previous_last
        self._raise(self._keys.epoch(self._transaction, site, mark.previous), mark.previous_last or 0)

    def declare(self, site: str, gap: Gap, received_us: int) -> None:
        """Declare a gap lost for good, except for measurements in it that arrived or arrive later."""
        epoch_key = self._keys.epoch(self._transaction, site, gap.epoch)
        self._raise(epoch_key, gap.last)
        self._gaps.append((epoch_key, gap, received_us))

    def write(self) -> None:
        """Write the changes, after the transaction's measurements."""
        self._take_back()
        for epoch_key, gap, received_us in self._gaps:
            self._entries[epoch_key].declared += self._add(epoch_key, gap, received_us)
        self._transaction.change(
            schema.epochs, self._entries, lambda row: _counted(row, self._entries[row["key"]])
        )

    def _raise(self, epoch_key: int, high_water: int) -> _Entry:
        entry = self._entries[epoch_key]
        entry.high_water = max(entry.high_water, high_water)
        return entry

    def _take_back(self) -> None:
        """Count measurements committed now as declared no longer."""
        committing = [key for key, entry in self._entries.items() if entry.seqs]
        for start in range(0, len(committing), _CHUNK):
            of_these = _e.key.in_(committing[start : start + _CHUNK])
            declaring = select(_e.key).where(of_these, _e.declared > 0)
            for epoch_key in self._transaction.execute(declaring).scalars().all():
                entry = self._entries[epoch_key]
                entry.declared -= sum(self._declared(epoch_key, *run) for run in _runs(entry.seqs))

    def _declared(self, epoch_key: int, low: int, high: int) -> int:
        """Number of declared sequence numbers in a range of committed ones."""
        known = self._overlapping(epoch_key, low, high)
        return sum(min(last, high) - max(first, low) + 1 for first, last in known)

    def _add(self, epoch_key: int, gap: Gap, received_us: int) -> int:
        """Keep the undeclared parts of a gap; returns the number of their measurements not in the ledger."""
        known = self._overlapping(epoch_key, gap.first, gap.last)
        if len(known) > MOST_OVERLAPPED:
            freed, whole = self._absorb(epoch_key, gap.first, gap.last)
            return freed + self._keep(epoch_key, gap, received_us, [whole])
        pieces = _outside((gap.first, gap.last), known)
        return self._keep(epoch_key, gap, received_us, pieces) if pieces else 0

    def _absorb(self, epoch_key: int, low: int, high: int) -> tuple[int, Range]:
        """Remove the gaps that a gap overlaps; returns minus their count, and the range of all."""
        bounds = {"epoch_key": epoch_key, "low": low, "high": high}
        first, last, length = self._transaction.execute(_OVERLAPPED, bounds).one()
        held: int = self._transaction.execute(_HELD_IN_THEM, bounds).scalar_one()
        self._transaction.remove(schema.gaps, _IN_RANGE, bounds | {"low": first, "high": last})
        return held - length, (min(low, first), max(high, last))

    def _keep(self, epoch_key: int, gap: Gap, received_us: int, pieces: list[Range]) -> int:
        own = {
            "epoch_key": epoch_key,
            "reason_key": self._keys.name(self._transaction, gap.reason),
            "at_us": gap.at_us,
            "received_us": received_us,
        }
        for first, last in pieces:
            self._transaction.insert_one(schema.gaps, own | {"first": first, "last": last})
        return sum(last - first + 1 - self._held(epoch_key, first, last) for first, last in pieces)

    def _overlapping(self, epoch_key: int, low: int, high: int) -> list[Range]:
        bounds = {"epoch_key": epoch_key, "low": low, "high": high}
        return [(first, last) for first, last in self._transaction.execute(_OVERLAPPING, bounds)]

    def _held(self, epoch_key: int, low: int, high: int) -> int:
        bounds = {"epoch_key": epoch_key, "low": low, "high": high}
        return self._transaction.execute(_HELD, bounds).scalar_one()


def _counted(row: AnyRow, entry: _Entry) -> Row:
    """Counters of an epoch after a transaction; the epoch before it that was named first stays."""
    previous, previous_last = row["previous"], row["previous_last"]
    return {
        "high_water": max(row["high_water"], entry.high_water, *entry.seqs),
        "previous": entry.previous if previous is None else previous,
        "previous_last": entry.previous_last if previous_last is None else previous_last,
        "committed": row["committed"] + len(entry.seqs),
        "declared": row["declared"] + entry.declared,
        "conflicts": row["conflicts"] + entry.conflicts,
    }


def _runs(seqs: Iterable[int]) -> list[Range]:
    """Runs of consecutive numbers, each no longer than one query's bound of gaps."""
    runs: list[Range] = []
    for seq in sorted(seqs):
        if runs and runs[-1][1] + 1 == seq and seq - runs[-1][0] < MOST_OVERLAPPED:
            runs[-1] = (runs[-1][0], seq)
        else:
            runs.append((seq, seq))
    return runs


def _outside(whole: Range, known: Iterable[Range]) -> list[Range]:
    """Parts of a range outside the known ranges, which are in order and do not overlap."""
    pieces, begin = [], whole[0]
    for first, last in known:
        if first > begin:
            pieces.append((begin, first - 1))
        begin = max(begin, last + 1)
    return [*pieces, (begin, whole[1])] if begin <= whole[1] else pieces
