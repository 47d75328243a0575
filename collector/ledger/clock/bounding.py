"""Bounding boots that no clock and no sending ever told of, by what the journal holds beside them.

A boot is looked at once, and again only when something came that its bounds may change by
(:mod:`collector.ledger.clock.lookout`). So a site of which years have no clock costs nothing while nothing is
new.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, or_, select

from collector.ledger.clock.boots import FIND, Boots, Clocks
from collector.ledger.clock.lookout import EVERY_SEQ, NO_SEQ, Boot, End, Lookout, Stretch
from collector.ledger.rows.keys import Keys
from collector.ledger.schema import batches, boots, epochs, measurements, series
from collector.model.clock_correction import (
    DRIFT,
    Anchor,
    AnchorSource,
    NeighbourBound,
    anchor_from_neighbours,
)

BOOTS = 20  # a transaction
ROWS = 20_000  # of these boots, a transaction: some 100 ms
CHAIN = 16  # epochs that are looked through for one that tells a time

_m = measurements
_PARTS = (
    select(
        _m.c.epoch_key,
        func.count().label("held"),
        func.min(_m.c.seq).label("first"),
        func.max(_m.c.seq).label("last"),
        func.min(_m.c.boot_us).label("first_us"),
        func.max(_m.c.boot_us).label("last_us"),
        func.min(batches.c.received_us).label("received_us"),
    )
    .select_from(
        _m.join(series, series.c.key == _m.c.series_key).join(batches, batches.c.key == _m.c.batch_key)
    )
    .where(
        _m.c.synchronised.is_(False),  # as the index has it
        _m.c.boot_key == bindparam("boot"),
        series.c.site_key == bindparam("site"),
    )
    .group_by(_m.c.epoch_key)
)


def _nearest(*, later: bool) -> Select[Any]:
    """The nearest measurement of another boot of which the time is known."""
    beyond = _m.c.seq > bindparam("seq") if later else _m.c.seq < bindparam("seq")
    known = (_m.c.time_error_us.is_not(None), _m.c.boot_key != bindparam("boot"), _m.c.ahead.is_(False))
    return (
        select(_m.c.seq, _m.c.time_us, _m.c.time_error_us, _m.c.boot_us)
        .where(_m.c.epoch_key == bindparam("epoch"), beyond, *known)
        .order_by(_m.c.seq.asc() if later else _m.c.seq.desc())
        .limit(1)
    )


def _links() -> Select[Any]:
    """Which epochs of a site continue which: gone through once, each looked up once."""
    before, after = epochs.alias("before"), epochs.alias("after")
    same = (before.c.site_key == after.c.site_key) & (before.c.epoch == after.c.previous)
    of_site = after.c.site_key == bindparam("site")
    joined = select(before.c.key, after.c.key).join_from(after, before, same)
    return joined.where(of_site).order_by(after.c.key)


_NEAREST = {later: _nearest(later=later) for later in (False, True)}
_LINKS = _links()


class _Chains:
    """Which epoch is beside which, of each site asked for once in a transaction.

    One epoch's next one alone would be found no sooner: no index leads to it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._of_site: dict[int, dict[bool, dict[int, int]]] = {}

    def beside(self, site_key: int, epoch_key: int, *, later: bool) -> int | None:
        """The key of the epoch that follows this one, or goes before it, as far as its site has told."""
        links = self._of_site.get(site_key)
        if links is None:
            links = self._of_site[site_key] = {False: {}, True: {}}
            for before, after in self._connection.execute(_LINKS, {"site": site_key}):
                links[True].setdefault(before, after)
                links[False][after] = before
        return links[later].get(epoch_key)


class Bounding:
    """Looks at the boots that are due, and at the beginning, in turn, at all that nothing tells of."""

    def __init__(self, keys: Keys, known: Boots, lookout: Lookout) -> None:
        self._keys = keys
        self._known = known
        self._lookout = lookout
        self._generation = lookout.generation
        self._after: int | None = 0  # the key of the last boot that was found in the ledger, None of all

    def portion(self, connection: Connection) -> None:
        """Look at some of them. What is known better of one by now is to be placed anew."""
        clocks = Clocks(connection, self._keys, self._known, self._lookout)
        chains = _Chains(connection)
        rows = count = 0
        while rows < ROWS and count < BOOTS and (boot := self._next(connection)) is not None:
            rows += self._look_at(connection, clocks, chains, boot)
            count += 1
        clocks.write()

    def _next(self, connection: Connection) -> Boot | None:
        boot = self._lookout.take()
        if boot is None and self._after is None and self._generation != self._lookout.generation:
            self._generation, self._after = self._lookout.generation, 0
        if boot is None and self._after is not None:
            self._after = self._find(connection, self._after)
            boot = self._lookout.take()
        return boot

    def _find(self, connection: Connection, after_key: int) -> int | None:
        """Call some boots that the ledger holds; the key of the last, None at the end."""
        neighbours = self._keys.name(connection, AnchorSource.NEIGHBOURS)
        rest = or_(boots.c.offset_us.is_(None), boots.c.source_key == neighbours)
        query = FIND.where(rest, boots.c.key > after_key).order_by(boots.c.key).limit(BOOTS)
        found = connection.execute(query).all()
        for row in found:
            self._lookout.call((row.site_key, row.boot_key))
        return int(found[-1].key) if len(found) == BOOTS else None

    def _look_at(self, connection: Connection, clocks: Clocks, chains: _Chains, boot: Boot) -> int:
        """Returns how many measurements the boot has."""
        anchor = self._known.state(connection, boot).anchor
        if anchor is not None and anchor.source is not AnchorSource.NEIGHBOURS:
            return 0
        parts = connection.execute(_PARTS, {"site": boot[0], "boot": boot[1]}).all()
        if not parts:
            return 0
        surroundings = _Surroundings(connection, chains, boot, {part.epoch_key for part in parts})
        found = surroundings.between(parts)
        self._lookout.wait(boot, tuple(surroundings.rests_on))
        if found is not None:
            clocks.better(boot, found)
        return sum(int(part.held) for part in parts)


@dataclass
class _Surroundings:
    """What the journal holds beside one boot, and where it was looked for."""

    connection: Connection
    chains: _Chains
    boot: Boot
    own: Collection[int]  # epochs
    rests_on: list[Stretch | End] = field(default_factory=list)

    def between(self, parts: Collection[Row[Any]]) -> Anchor | None:
        """The boot's anchor, if anything bounds it. ``parts`` are its measurements, by epoch."""
        before: list[NeighbourBound] = []
        after = [NeighbourBound(min(part.received_us for part in parts), 0)]
        for part in parts:
            if (row := self._nearest(part.epoch_key, part.first, later=False)) is not None:
                before.append(NeighbourBound(row.time_us, row.time_error_us))
            if (row := self._nearest(part.epoch_key, part.last, later=True)) is not None:
                # Made after its machine had been started, which was after everything of the boot before.
                after.append(
                    NeighbourBound(row.time_us - row.boot_us, row.time_error_us + row.boot_us // DRIFT)
                )
        return anchor_from_neighbours(
            min(part.first_us for part in parts),
            max(part.last_us for part in parts),
            max(before, key=lambda side: side.time_us - side.error_us, default=None),
            min(after, key=lambda side: side.time_us + side.error_us),
        )

    def _nearest(self, epoch_key: int, seq: int, *, later: bool) -> Row[Any] | None:
        """The nearest measurement of another boot in the journal, before or after, whose time is known.

        In the same epoch, or in those chained to it. One that holds a part of this boot, too, is looked
        through from there.
        """
        for _ in range(CHAIN + 1):
            bounds = {"epoch": epoch_key, "seq": seq, "boot": self.boot[1]}
            row = self.connection.execute(_NEAREST[later], bounds).first()
            end = row.seq if row is not None else EVERY_SEQ if later else NO_SEQ
            self.rests_on.append(Stretch(epoch_key, min(seq, end), max(seq, end)))
            if row is not None:
                return row
            beside = self.chains.beside(self.boot[0], epoch_key, later=later)
            if beside is None:
                self.rests_on.append(End(epoch_key, later))
            if beside is None or beside in self.own:
                return None
            epoch_key, seq = beside, NO_SEQ if later else EVERY_SEQ
        return None
