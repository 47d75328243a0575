"""What each journal epoch holds, counted in the transaction that changes it.

Counted are what is committed, what is declared lost and what is in conflict. An epoch's *high water* is the
highest sequence number that anybody named: a mark of its own, the epoch that follows it, a measurement, a
gap. What lies below and is neither committed nor declared lost is missing; so ``missing = high_water -
committed - declared`` is never negative. Gaps are kept as ranges without overlap and nothing here counts
along one: what an envelope names costs by the row, not by the sequence number.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, bindparam, case, delete, func, select, update

from collector.ledger.keys import RowKeys
from collector.ledger.schema import tables as schema
from wire.messages.envelope import EpochMark, Gap

_CHUNK = 500  # bound parameters of one query
MOST_OVERLAPPED = 1000
"""A gap that overlaps more than so many others takes their place, under its own reason: none of ours does,
and looking through a stranger's again and again would hold up the one writer."""
_g, _m, _e = schema.gaps.c, schema.measurements.c, schema.epochs.c

_COUNT = (
    update(schema.epochs)
    .where(_e.key == bindparam("epoch_key"))
    .values(
        high_water=case((_e.high_water < bindparam("mark"), bindparam("mark")), else_=_e.high_water),
        previous=func.coalesce(_e.previous, bindparam("before")),
        previous_last=func.coalesce(_e.previous_last, bindparam("before_last")),
        committed=_e.committed + bindparam("more_committed"),
        declared=_e.declared + bindparam("more_declared"),
        conflicts=_e.conflicts + bindparam("more_conflicts"),
    )
)
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
_ABSORBED = delete(schema.gaps).where(
    _g.epoch_key == bindparam("epoch_key"), _g.first.between(bindparam("low"), bindparam("high"))
)
_HELD = select(func.count()).where(
    _m.epoch_key == bindparam("epoch_key"), _m.seq.between(bindparam("low"), bindparam("high"))
)

Range = tuple[int, int]  # both ends included


@dataclass(slots=True)
class _Entry:
    """What one transaction changes of one epoch. ``seqs`` are committed by it."""

    high_water: int = 0
    previous: str | None = None
    previous_last: int | None = None
    seqs: list[int] = field(default_factory=list)
    declared: int = 0
    conflicts: int = 0


class Accounts:
    """One transaction's changes to the accounts of epochs: told one by one, written at the end."""

    def __init__(self, connection: Connection, keys: RowKeys) -> None:
        self._connection = connection
        self._keys = keys
        self._entries: dict[int, _Entry] = defaultdict(_Entry)
        self._gaps: list[tuple[int, Gap, int]] = []

    def commit(self, epoch_key: int, seq: int) -> None:
        """A measurement is committed."""
        self._entries[epoch_key].seqs.append(seq)

    def conflict(self, epoch_key: int) -> None:
        """A further content is kept under an identity that is taken."""
        self._entries[epoch_key].conflicts += 1

    def mark(self, site: str, mark: EpochMark) -> None:
        """A mark only rises, and the epoch before is what was said first.

        That epoch has an account from then on, also where nothing of it ever came.
        """
        epoch_key = self._keys.epoch(self._connection, site, mark.epoch)
        entry = self._raise(epoch_key, mark.high_water)
        if mark.previous is None:
            return
        if entry.previous is None:
            entry.previous, entry.previous_last = mark.previous, mark.previous_last
        self._raise(self._keys.epoch(self._connection, site, mark.previous), mark.previous_last or 0)

    def declare(self, site: str, gap: Gap, received_us: int) -> None:
        """A site says what is lost for good. What came all the same, or comes later, is not declared."""
        epoch_key = self._keys.epoch(self._connection, site, gap.epoch)
        self._raise(epoch_key, gap.last)
        self._gaps.append((epoch_key, gap, received_us))

    def write(self) -> None:
        """Write all of it, after the transaction's measurements have been."""
        self._take_back()
        for epoch_key, gap, received_us in self._gaps:
            self._entries[epoch_key].declared += self._add(epoch_key, gap, received_us)
        if self._entries:
            self._connection.execute(_COUNT, [_row(key, entry) for key, entry in self._entries.items()])

    def _raise(self, epoch_key: int, high_water: int) -> _Entry:
        entry = self._entries[epoch_key]
        entry.high_water = max(entry.high_water, high_water)
        return entry

    def _take_back(self) -> None:
        """What was declared lost and is committed now no longer counts as declared."""
        committing = [key for key, entry in self._entries.items() if entry.seqs]
        for start in range(0, len(committing), _CHUNK):
            of_these = _e.key.in_(committing[start : start + _CHUNK])
            declaring = select(_e.key).where(of_these, _e.declared > 0)
            for epoch_key in self._connection.execute(declaring).scalars().all():
                entry = self._entries[epoch_key]
                entry.declared -= sum(self._declared(epoch_key, *run) for run in _runs(entry.seqs))

    def _declared(self, epoch_key: int, low: int, high: int) -> int:
        """How much of a range is declared: asked for what was sent, never for what lies between."""
        known = self._overlapping(epoch_key, low, high)
        return sum(min(last, high) - max(first, low) + 1 for first, last in known)

    def _add(self, epoch_key: int, gap: Gap, received_us: int) -> int:
        """Keep what of a gap was not declared yet; returns how much of that is not in the ledger."""
        known = self._overlapping(epoch_key, gap.first, gap.last)
        if len(known) > MOST_OVERLAPPED:
            freed, whole = self._absorb(epoch_key, gap.first, gap.last)
            return freed + self._keep(epoch_key, gap, received_us, [whole])
        pieces = _outside((gap.first, gap.last), known)
        return self._keep(epoch_key, gap, received_us, pieces) if pieces else 0

    def _absorb(self, epoch_key: int, low: int, high: int) -> tuple[int, Range]:
        """Take out what a gap overlaps; returns what that counted for, negative, and the range of all."""
        bounds = {"epoch_key": epoch_key, "low": low, "high": high}
        first, last, length = self._connection.execute(_OVERLAPPED, bounds).one()
        held: int = self._connection.execute(_HELD_IN_THEM, bounds).scalar_one()
        self._connection.execute(_ABSORBED, bounds | {"low": first, "high": last})
        return held - length, (min(low, first), max(high, last))

    def _keep(self, epoch_key: int, gap: Gap, received_us: int, pieces: list[Range]) -> int:
        own = {
            "epoch_key": epoch_key,
            "reason_key": self._keys.name(self._connection, gap.reason),
            "at_us": gap.at_us,
            "received_us": received_us,
        }
        rows = [own | {"first": first, "last": last} for first, last in pieces]
        self._connection.execute(schema.gaps.insert(), rows)
        return sum(last - first + 1 - self._held(epoch_key, first, last) for first, last in pieces)

    def _overlapping(self, epoch_key: int, low: int, high: int) -> list[Range]:
        bounds = {"epoch_key": epoch_key, "low": low, "high": high}
        return [(first, last) for first, last in self._connection.execute(_OVERLAPPING, bounds)]

    def _held(self, epoch_key: int, low: int, high: int) -> int:
        bounds = {"epoch_key": epoch_key, "low": low, "high": high}
        return self._connection.execute(_HELD, bounds).scalar_one()


def _row(epoch_key: int, entry: _Entry) -> dict[str, int | str | None]:
    return {
        "epoch_key": epoch_key,
        "mark": max(entry.high_water, *entry.seqs) if entry.seqs else entry.high_water,
        "before": entry.previous,
        "before_last": entry.previous_last,
        "more_committed": len(entry.seqs),
        "more_declared": entry.declared,
        "more_conflicts": entry.conflicts,
    }


def _runs(seqs: Iterable[int]) -> list[Range]:
    """Consecutive numbers together, but no more than the gaps that one look finds."""
    runs: list[Range] = []
    for seq in sorted(seqs):
        if runs and runs[-1][1] + 1 == seq and seq - runs[-1][0] < MOST_OVERLAPPED:
            runs[-1] = (runs[-1][0], seq)
        else:
            runs.append((seq, seq))
    return runs


def _outside(whole: Range, known: Iterable[Range]) -> list[Range]:
    """What of a range no known one covers; they are in order and do not overlap."""
    pieces, begin = [], whole[0]
    for first, last in known:
        if first > begin:
            pieces.append((begin, first - 1))
        begin = max(begin, last + 1)
    return [*pieces, (begin, whole[1])] if begin <= whole[1] else pieces
