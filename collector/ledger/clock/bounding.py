"""Bounding: an anchor, from its neighbours in the journal, for a boot that nothing else gives one.

The machine started without a clock, and sent nothing before it was started again. A later boot sends its
measurements. Sequence numbers and the chain of epochs give the order of the journal. The boot lies between
the last dated measurement before it and the start of the next dated boot. Where several such boots follow
each other, each also leaves room for the others:

    least start of a boot  = least start of the boot before it + what that boot lasted
    latest start of a boot = latest start of the boot after it - what it lasted itself

The waiting boots of a site are bounded once, all together. A backlog comes newest first, so they wait for
what precedes them:

| their site                                          | they                                            |
|-----------------------------------------------------|-------------------------------------------------|
| still has measurements that are not in the ledger   | wait, a day after their first record at most    |
| has sent or declared lost all that it has           | are bounded                                     |
| waited a day                                        | are bounded by what is there: wider, and right  |

A boot without a bound on both sides is *undated* from then on, and is not searched again. An anchor of
another source still dates it, because such an anchor comes with a batch.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, func, select

from collector.ledger.clock.boots import Boots, Clocks
from collector.ledger.keys import RowKeys
from collector.ledger.read.terms import LAST_RECEIVED
from collector.ledger.schema.tables import batches, boots, epochs, measurements, series
from collector.ledger.transaction import LedgerTransaction
from collector.model.clock_correction import DRIFT, NeighbourBound, anchor_from_neighbours

SITES = 20  # a transaction
ROWS = 20_000  # of their boots, a transaction: some 100 ms
CHAIN = 16  # epochs that are searched for a neighbour
WAIT_US = 86_400_000_000  # a backlog of days arrives within hours

_m, _b, _e = measurements.c, boots.c, epochs.c
_NO_SEQ, _EVERY_SEQ = -1, 2**63 - 1  # below and above every sequence number
_OF_SITE = (
    _m.synchronised.is_(False),
    series.c.site_key == bindparam("site"),
)  # the first as the index has it
_WITH_BATCH = measurements.join(series, series.c.key == _m.series_key).join(
    batches, batches.c.key == _m.batch_key
)
_IS_WAITING = (_b.redated.is_(False), _b.offset_us.is_(None))
_SITES = (
    select(_b.site_key, func.min(_b.key).label("first"))
    .where(*_IS_WAITING, _b.site_key > bindparam("after"))
    .group_by(_b.site_key)
    .order_by(_b.site_key)
    .limit(SITES)
)
_MISSING = (
    select(_e.key)
    .where(_e.site_key == bindparam("site"), _e.high_water > _e.committed + _e.declared)
    .limit(1)
)
_FIRST_BOOT = select(_b.boot_key).where(_b.key == bindparam("first")).scalar_subquery()
_FIRST_RECEIVED = (
    select(batches.c.received_us)
    .select_from(_WITH_BATCH)
    .where(*_OF_SITE, _m.boot_key == _FIRST_BOOT)
    .order_by(_m.key)
    .limit(1)
)
_PARTS = (
    select(
        _m.boot_key,
        _m.epoch_key,
        func.count().label("held"),
        func.min(_m.seq).label("first"),
        func.max(_m.seq).label("last"),
        func.min(_m.boot_us).label("first_us"),
        func.max(_m.boot_us).label("last_us"),
        func.min(batches.c.received_us).label("received_us"),
    )
    .select_from(_WITH_BATCH)
    .where(
        *_OF_SITE, _m.boot_key.in_(select(_b.boot_key).where(*_IS_WAITING, _b.site_key == bindparam("site")))
    )
    .group_by(_m.boot_key, _m.epoch_key)
)
_LINKS = select(_e.key, _e.epoch, _e.previous).where(_e.site_key == bindparam("site")).order_by(_e.key)
_WAITING_OF_SITE = and_(*_IS_WAITING, _b.site_key == bindparam("site"))


def _nearest(*, later: bool) -> Select[Any]:
    """Nearest dated measurement of another boot in an epoch."""
    beyond = _m.seq > bindparam("seq") if later else _m.seq < bindparam("seq")
    dated = (_m.time_error_us.is_not(None), _m.boot_key != bindparam("boot"), _m.ahead.is_(False))
    return (
        select(_m.seq, _m.time_us, _m.time_error_us, _m.boot_us)
        .where(_m.epoch_key == bindparam("epoch"), beyond, *dated)
        .order_by(_m.seq.asc() if later else _m.seq.desc())
        .limit(1)
    )


_NEAREST = {later: _nearest(later=later) for later in (False, True)}


class Bounding:
    """Bounds waiting boots, some sites at a time. After a failed transaction call :meth:`forget`."""

    def __init__(self, keys: RowKeys, known: Boots) -> None:
        self._keys = keys
        self._known = known
        self._after_key = -1

    def forget(self) -> None:
        """Begin with the first site again."""
        self._after_key = -1

    def portion(self, transaction: LedgerTransaction) -> bool:
        """Bound the boots of some sites; returns true if there is more to do at once."""
        connection = transaction.connection
        clocks = Clocks(transaction, self._keys, self._known)
        waiting = connection.execute(_SITES, {"after": self._after_key}).all()
        rows = 0
        for site in waiting:
            self._after_key = site.site_key
            if not _is_worth_waiting(connection, site):
                rows += _bound(transaction, clocks, site.site_key)
            if rows >= ROWS:
                break
        clocks.write()
        at_end = len(waiting) < SITES and rows < ROWS
        if at_end:
            self._after_key = -1
        return rows > 0 or not at_end


def _is_worth_waiting(connection: Connection, site: Any) -> bool:
    """Check whether more of the site's journal may still be on the way."""
    of_site = {"site": site.site_key, "first": site.first}
    if connection.execute(_MISSING, {"site": site.site_key}).first() is None:
        return False
    first_us: int | None = connection.execute(_FIRST_RECEIVED, of_site).scalar()
    last_us: int = connection.execute(LAST_RECEIVED).scalar_one()
    return first_us is not None and last_us - first_us < WAIT_US


def _bound(transaction: LedgerTransaction, clocks: Clocks, site_key: int) -> int:
    """Bound the waiting boots of one site; returns the number of their measurements."""
    connection = transaction.connection
    parts = connection.execute(_PARTS, {"site": site_key}).all()
    journal = _Journal(connection, site_key, parts)
    befores = journal.befores()
    afters = journal.afters()
    transaction.change_where(boots, _WAITING_OF_SITE, {"site": site_key}, {"redated": True})
    for boot_key, of_boot in journal.boots.items():
        first_us, last_us = min(part.first_us for part in of_boot), max(part.last_us for part in of_boot)
        anchor = anchor_from_neighbours(first_us, last_us, befores.get(boot_key), afters[boot_key])
        if anchor is not None:
            clocks.better((site_key, boot_key), anchor)
    return sum(int(part.held) for part in parts)


class _Journal:
    """Order of one site's epochs, and the parts of its waiting boots in them."""

    def __init__(self, connection: Connection, site_key: int, parts: Sequence[Row[Any]]) -> None:
        self._connection = connection
        self._beside, place = _order(connection.execute(_LINKS, {"site": site_key}).all())
        self._in_epoch: dict[int, list[Row[Any]]] = defaultdict(list)
        self.boots: dict[int, list[Row[Any]]] = defaultdict(list)  # in the order of the journal
        for part in sorted(parts, key=lambda part: (place[part.epoch_key], part.first)):
            self._in_epoch[part.epoch_key].append(part)
            self.boots[part.boot_key].append(part)

    def befores(self) -> dict[int, NeighbourBound]:
        """Latest known time before the start of each boot that has one."""
        found: dict[int, NeighbourBound] = {}
        for boot_key, parts in self.boots.items():
            row, waiting = self._neighbour(parts[0], later=False)
            if row is not None:
                found[boot_key] = NeighbourBound(row.time_us, row.time_error_us)
            elif waiting in found:
                lasted_us = self._lasted_us(waiting)
                before = found[waiting]
                found[boot_key] = NeighbourBound(
                    before.time_us + lasted_us, before.error_us + lasted_us // DRIFT
                )
        return found

    def afters(self) -> dict[int, NeighbourBound]:
        """Earliest known time after the end of each boot; at the latest it ended before it was received."""
        found: dict[int, NeighbourBound] = {}
        for boot_key, parts in reversed(self.boots.items()):
            bounds = [NeighbourBound(min(part.received_us for part in parts), 0)]
            row, waiting = self._neighbour(parts[-1], later=True)
            if row is not None:
                # Its machine was started after everything of this boot, so its start is a closer bound.
                bounds.append(
                    NeighbourBound(row.time_us - row.boot_us, row.time_error_us + row.boot_us // DRIFT)
                )
            elif waiting in found:
                lasted_us = self._lasted_us(waiting)
                after = found[waiting]
                bounds.append(NeighbourBound(after.time_us - lasted_us, after.error_us + lasted_us // DRIFT))
            found[boot_key] = min(bounds, key=lambda bound: bound.time_us + bound.error_us)
        return found

    def _lasted_us(self, boot_key: int) -> int:
        return max(int(part.last_us) for part in self.boots[boot_key])

    def _neighbour(self, part: Row[Any], *, later: bool) -> tuple[Row[Any] | None, int]:
        """Nearest dated measurement of another boot, or else the waiting boot that is nearer, by its key."""
        epoch_key: int = part.epoch_key
        seq: int = part.last if later else part.first
        for _ in range(CHAIN + 1):
            bounds = {"epoch": epoch_key, "seq": seq, "boot": part.boot_key}
            row = self._connection.execute(_NEAREST[later], bounds).first()
            others = [other for other in self._in_epoch.get(epoch_key, ()) if other.boot_key != part.boot_key]
            if later:
                between = [one for one in others if seq < one.first and (row is None or one.first < row.seq)]
            else:
                between = [one for one in others if one.last < seq and (row is None or row.seq < one.last)]
            if between:
                return None, between[0 if later else -1].boot_key
            if row is not None:
                return row, -1
            if epoch_key not in self._beside[later]:
                break
            epoch_key, seq = self._beside[later][epoch_key], _NO_SEQ if later else _EVERY_SEQ
        return None, -1


Beside = dict[bool, dict[int, int]]


def _order(found: Iterable[Any]) -> tuple[Beside, dict[int, int]]:
    """Epochs before and after each epoch of a site, and the place of each in its chain."""
    rows = list(found)
    keys = {row.epoch: row.key for row in rows}
    beside: Beside = {False: {}, True: {}}
    for row in rows:
        if row.previous in keys:
            beside[False][row.key] = keys[row.previous]
            beside[True].setdefault(keys[row.previous], row.key)
    place: dict[int, int] = {}
    for row in rows:
        chain, key = [], int(row.key)
        while key not in place:
            place[key] = -1  # ends a circle, which only a broken or hostile site can send
            chain.append(key)
            key = beside[False].get(key, key)
        begin = place[key] + 1
        for number, each in enumerate(reversed(chain)):
            place[each] = begin + number
    return beside, place
