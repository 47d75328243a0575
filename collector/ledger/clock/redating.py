"""Placing anew, in portions in the writer's idle time, what was placed before its boot was known better."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select, update

from collector.ledger.clock.boots import FIND, Boots, anchor_of
from collector.ledger.clock.bounding import Bounding
from collector.ledger.clock.lookout import Boot, Lookout, Spans
from collector.ledger.read import latest as reading
from collector.ledger.read import outages
from collector.ledger.rows.keys import Keys
from collector.ledger.schema import batches, boots, measurements, series, sites, two_sides
from collector.model.clock_correction import Anchor, correct_by_anchor
from collector.model.observation import Observation
from collector.model.outages import Outage

PORTION = 300  # rows a transaction, some ten milliseconds
BOOTS = 20  # a transaction

_m = measurements
_TIMES = (_m.c.boot_us, _m.c.time_us, _m.c.clock_offset_us, _m.c.time_error_us)
_PART: Select[Any] = (
    select(_m.c.key, _m.c.epoch_key, _m.c.seq, *_TIMES, batches.c.received_us)
    .select_from(
        _m.join(series, series.c.key == _m.c.series_key).join(batches, batches.c.key == _m.c.batch_key)
    )
    .where(
        _m.c.synchronised.is_(False),  # as the index has it
        _m.c.boot_key == bindparam("boot"),
        series.c.site_key == bindparam("site"),
        _m.c.key > bindparam("after"),
    )
    .order_by(_m.c.key)
    .limit(PORTION)
)
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


@dataclass(frozen=True, slots=True)
class Moved:
    """A site of which measurements were placed anew: the newest of its series, and its outages, as now."""

    site: str
    observations: tuple[Observation, ...]
    outages: tuple[Outage, ...] = ()


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far one boot has been gone through by an anchor."""

    anchor: Anchor
    after_key: int = 0


class Replacing:
    """Goes through what is to be placed anew, and then through boots that their neighbours may tell of.

    After a failed transaction call :meth:`forget`: what was gone through is as it was.
    """

    def __init__(self, keys: Keys, known: Boots, lookout: Lookout) -> None:
        self._lookout = lookout
        self._bounding = Bounding(keys, known, lookout)
        self._progress: dict[int, _Progress] = {}  # by boot
        self._untold: dict[int, None] = {}  # sites of which something was placed anew, or dated
        self._telling: dict[int, None] = {}  # those of them that the last transaction told

    def forget(self) -> None:
        """Begin anew. What earlier transactions placed is still to be told."""
        self._progress.clear()
        self._telling.clear()

    def portion(self, connection: Connection) -> tuple[list[Moved], bool]:
        """Place a portion; returns the sites that it concerns, and whether there is more to do."""
        found = connection.execute(FIND.where(boots.c.settled.is_(False)).limit(BOOTS)).all()
        for site_key in self._telling:
            self._untold.pop(site_key, None)
        self._telling.clear()
        left = PORTION
        for row in found:
            left -= self._go_through(connection, row)
            if left <= 0:
                break
        more = len(found) == BOOTS or left <= 0
        if not more:
            self._bounding.portion(connection)
        return [_moved(connection, site_key) for site_key in self._telling], more

    def _go_through(self, connection: Connection, boot: Row[Any]) -> int:
        """A part of one boot; returns how many measurements were looked at."""
        anchor = anchor_of(boot)
        rows: Sequence[Row[Any]] = ()
        if anchor is not None:
            known = self._progress.get(boot.key)
            done = known if known and known.anchor == anchor else _Progress(anchor)
            of = {"site": boot.site_key, "boot": boot.boot_key, "after": done.after_key}
            rows = connection.execute(_PART, of).all()
            self._place(connection, rows, anchor, (boot.site_key, boot.boot_key))
            if len(rows) == PORTION:
                self._progress[boot.key] = _Progress(anchor, rows[-1].key)
                return PORTION
            if outages.began_in(connection, boot.site_key, boot.boot_key):
                self._untold[boot.site_key] = None  # it may have been told before this boot was known
            if boot.site_key in self._untold:
                self._telling[boot.site_key] = None
        self._progress.pop(boot.key, None)
        connection.execute(update(boots).where(boots.c.key == boot.key).values(settled=True))
        return len(rows)

    def _place(self, connection: Connection, rows: Sequence[Row[Any]], anchor: Anchor, boot: Boot) -> None:
        """Place those anew whose error the anchor lessens."""
        new = []
        spans = Spans()
        for row in rows:
            if row.time_error_us is not None and row.time_error_us <= anchor.error_at(row.boot_us):
                continue
            when = correct_by_anchor(row.boot_us, row.time_us + row.clock_offset_us, row.received_us, anchor)
            new.append({
                "of": row.key, "time": when.time_us, "clock_offset": when.clock_offset_us,
                "time_error": when.error_us, "is_ahead": when.ahead, "is_outdated": when.outdated,
            })  # fmt: skip
            spans.add(row.epoch_key, row.seq)
        if new:
            connection.execute(_PLACE, new)
            connection.execute(_SIDES, [{"of": one["of"], "time": one["time"]} for one in new])
            self._lookout.dated(spans, boot)
            self._untold[boot[0]] = None


def _moved(connection: Connection, site_key: int) -> Moved:
    site = connection.execute(select(sites.c.site_id).where(sites.c.key == site_key)).scalar_one()
    newest = tuple(reading.newest_of(connection, site_key))
    return Moved(site, newest, tuple(outages.newest_of(connection, site_key)))
