"""Placing anew, in portions in the writer's idle time, what was placed before its boot was known better."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, or_, select, update

from collector.ledger import reading
from collector.ledger.clocks import FIND, Boots, Clocks, anchor_of
from collector.ledger.keys import Keys
from collector.ledger.schema import batches, boots, epochs, measurements, series, sites, two_sides
from collector.observation import Observation
from collector.placing import DRIFT, Anchor, Side, Source, between, by_anchor

PORTION = 300  # rows a transaction, some ten milliseconds
BOOTS = 20  # a transaction
CHAIN = 16  # epochs that are looked through for one that tells a time

_m, _rows_of = measurements, measurements.join(series, series.c.key == measurements.c.series_key)
_OF_BOOT = (
    _m.c.synchronised.is_(False),  # as the index has it
    _m.c.boot_key == bindparam("boot"),
    series.c.site_key == bindparam("site"),
)
_PART: Select[Any] = (
    select(
        _m.c.key, _m.c.boot_us, _m.c.time_us, _m.c.clock_offset_us, _m.c.time_error_us, batches.c.received_us
    )
    .select_from(_rows_of.join(batches, batches.c.key == _m.c.batch_key))
    .where(*_OF_BOOT, _m.c.key > bindparam("after"))
    .order_by(_m.c.key)
    .limit(PORTION)
)  # fmt: skip
_PLACE = (
    update(_m)
    .where(_m.c.key == bindparam("of"))
    .values(
        time_us=bindparam("time"),
        clock_offset_us=bindparam("clock_offset"),
        time_error_us=bindparam("time_error"),
        ahead=bindparam("is_ahead"),
        outdated=bindparam("is_outdated"),
    )
)
_SIDES = (
    update(two_sides).where(two_sides.c.measurement_key == bindparam("of")).values(time_us=bindparam("time"))
)
_EXTENT = (
    select(
        func.min(_m.c.boot_us).label("first_us"),
        func.max(_m.c.boot_us).label("last_us"),
        func.min(batches.c.received_us).label("received_us"),
    )
    .select_from(_rows_of.join(batches, batches.c.key == _m.c.batch_key))
    .where(*_OF_BOOT)
)
_IN_EPOCHS = (
    select(_m.c.epoch_key, func.min(_m.c.seq).label("first"), func.max(_m.c.seq).label("last"))
    .select_from(_rows_of)
    .where(*_OF_BOOT)
    .group_by(_m.c.epoch_key)
)


@dataclass(frozen=True, slots=True)
class Moved:
    """A site of which measurements were placed anew, and the newest of its series as they are now."""

    site: str
    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far one boot has been gone through by an anchor, and whether anything was placed anew."""

    anchor: Anchor
    after_key: int = 0
    moved: bool = False


class Replacing:
    """Goes through what is to be placed anew, and then, in turn, through boots that nothing tells of.

    After a failed transaction call :meth:`forget`: what was gone through is as it was.
    """

    def __init__(self, keys: Keys, known: Boots) -> None:
        self._keys = keys
        self._known = known
        self._progress: dict[int, _Progress] = {}  # by boot
        self._bounded = 0  # the key of the boot looked at last

    def forget(self) -> None:
        """Begin anew."""
        self._progress.clear()

    def portion(self, connection: Connection) -> tuple[list[Moved], bool]:
        """Place a portion; returns the sites that it concerns, and whether there is more to do."""
        found = connection.execute(FIND.where(boots.c.settled.is_(False)).limit(BOOTS)).all()
        moved: dict[int, None] = {}
        left = PORTION
        for row in found:
            left -= self._go_through(connection, row, moved)
            if left <= 0:
                break
        more = len(found) == BOOTS or left <= 0
        if not more:
            self._bounded = _bound(connection, self._keys, self._known, self._bounded)
        return [_moved(connection, site_key) for site_key in moved], more

    def _go_through(self, connection: Connection, boot: Row[Any], moved: dict[int, None]) -> int:
        """A part of one boot; returns how many measurements were looked at."""
        anchor = anchor_of(boot)
        rows: Sequence[Row[Any]] = ()
        if anchor is not None:
            known = self._progress.get(boot.key)
            done = known if known and known.anchor == anchor else _Progress(anchor)
            of = {"site": boot.site_key, "boot": boot.boot_key, "after": done.after_key}
            rows = connection.execute(_PART, of).all()
            anew = _place(connection, rows, anchor) or done.moved
            if len(rows) == PORTION:
                self._progress[boot.key] = _Progress(anchor, rows[-1].key, anew)
                return PORTION
            if anew:
                moved[boot.site_key] = None
        self._progress.pop(boot.key, None)
        connection.execute(update(boots).where(boots.c.key == boot.key).values(settled=True))
        return len(rows)


def _place(connection: Connection, rows: Sequence[Row[Any]], anchor: Anchor) -> bool:
    """Place those anew whose error the anchor lessens; whether there were any."""
    new = []
    for row in rows:
        if row.time_error_us is not None and row.time_error_us <= anchor.error_at(row.boot_us):
            continue
        when = by_anchor(row.boot_us, row.time_us + row.clock_offset_us, row.received_us, anchor)
        new.append({
            "of": row.key, "time": when.time_us, "clock_offset": when.clock_offset_us,
            "time_error": when.error_us, "is_ahead": when.ahead, "is_outdated": when.outdated,
        })  # fmt: skip
    if new:
        connection.execute(_PLACE, new)
        connection.execute(_SIDES, [{"of": one["of"], "time": one["time"]} for one in new])
    return bool(new)


def _moved(connection: Connection, site_key: int) -> Moved:
    site = connection.execute(select(sites.c.site_id).where(sites.c.key == site_key)).scalar_one()
    return Moved(site, tuple(reading.newest_of(connection, site_key)))


def _bound(connection: Connection, keys: Keys, known: Boots, after_key: int) -> int:
    """Bound some boots by what the journal holds beside them; the key of the last looked at, 0 at the end.

    Only those that no clock and no sending ever told of.
    """
    neighbours = keys.name(connection, Source.NEIGHBOURS)
    rest = or_(boots.c.offset_us.is_(None), boots.c.source_key == neighbours)
    found = connection.execute(
        FIND.where(rest, boots.c.key > after_key).order_by(boots.c.key).limit(BOOTS)
    ).all()
    clocks = Clocks(connection, keys, known)
    for row in found:
        anchor = _between(connection, row.site_key, row.boot_key)
        if anchor is not None:
            clocks.better((row.site_key, row.boot_key), anchor)
    clocks.write()
    return int(found[-1].key) if len(found) == BOOTS else 0


def _between(connection: Connection, site_key: int, boot_key: int) -> Anchor | None:
    of = {"site": site_key, "boot": boot_key}
    extent = connection.execute(_EXTENT, of).one()
    if extent.first_us is None:
        return None
    before: list[Side] = []
    after = [Side(extent.received_us, 0)]
    for part in connection.execute(_IN_EPOCHS, of).all():
        before += _neighbour(connection, part.epoch_key, boot_key, seq=part.first, later=False)
        after += _neighbour(connection, part.epoch_key, boot_key, seq=part.last, later=True)
    latest = max(before, key=lambda side: side.time_us - side.error_us, default=None)
    earliest = min(after, key=lambda side: side.time_us + side.error_us)
    return between(extent.first_us, extent.last_us, latest, earliest)


def _neighbour(
    connection: Connection, epoch_key: int, boot_key: int, *, seq: int, later: bool
) -> Iterator[Side]:
    """The nearest measurement of another boot, before or after in the journal, of which the time is known.

    In the same epoch, or in those chained to it. What comes after was made after its
    machine had been started, which was after everything of the boot before.
    """
    beyond = _m.c.seq > seq if later else _m.c.seq < seq
    order = _m.c.seq.asc() if later else _m.c.seq.desc()
    known = (_m.c.time_error_us.is_not(None), _m.c.boot_key != boot_key, _m.c.ahead.is_(False))
    columns = select(_m.c.time_us, _m.c.time_error_us, _m.c.boot_us)
    nearest = columns.where(*known).order_by(order).limit(1)
    row = connection.execute(nearest.where(_m.c.epoch_key == epoch_key, beyond)).first()
    beside: int | None = epoch_key
    for _ in range(CHAIN):
        if row is not None or beside is None:
            break
        beside = _epoch_beside(connection, beside, later=later)
        row = connection.execute(nearest.where(_m.c.epoch_key == beside)).first()
    if row is not None and later:
        yield Side(row.time_us - row.boot_us, row.time_error_us + row.boot_us // DRIFT)
    elif row is not None:
        yield Side(row.time_us, row.time_error_us)


def _epoch_beside(connection: Connection, epoch_key: int, *, later: bool) -> int | None:
    one, other = epochs.alias("one"), epochs.alias("other")
    chained = other.c.previous == one.c.epoch if later else other.c.epoch == one.c.previous
    query = select(other.c.key).where(one.c.key == epoch_key, other.c.site_key == one.c.site_key, chained)
    found: int | None = connection.execute(query.limit(1)).scalar()
    return found
