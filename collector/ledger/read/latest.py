"""Reading the ledger: everything that live state is rebuilt from when the collector starts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Result, Row, Select, Table, bindparam, func, or_, select

from collector.kinds.kind import Condition
from collector.kinds.views import DEFAULT_INTERVAL_US, for_views
from collector.ledger.read.peer_comparisons import disagreements, newest_tests
from collector.ledger.read.terms import NamesByKey, is_in_views, name_key, reading
from collector.ledger.schema.layout import Word
from collector.ledger.schema.tables import batches, boots, measurements, names, resends, series, sites
from collector.ledger.schema.values import VALUES, PartTables, ValueTables
from collector.model.message import ResendRequest
from collector.model.observation import AHEAD_US, Observation, Series, begun_by, failure_of, moments_placed
from collector.model.peer_comparison import ComparedTest
from wire.messages.commands import Resend
from wire.records import Direction, Outcome, ReachabilityValues, Values

_m = measurements.alias("m")
_DAY_US = 86_400_000_000
_FOREVER = 2**63 - 1
_BEGUN = (
    select(boots.c.offset_us)
    .join(names, names.c.key == boots.c.boot_key)
    .where(
        boots.c.site_key == bindparam("site"),
        names.c.name == bindparam("begun"),
        boots.c.boot_key != bindparam("boot"),
    )
)


def newest(path: Path, now_us: int | None = None) -> Iterator[Observation]:
    """Newest measurement of every series, its newest with values, and those that decide about a floor.

    Measurements ahead of ``now_us`` are passed over: the collector's own clock was ahead when they arrived.
    A measurement may come more than once, and in any order. Raises LedgerError if the file cannot be read.
    """
    with reading(path) as connection:
        yield from newest_of(connection, now_us=now_us)


def newest_of(
    connection: Connection, site_key: int | None = None, now_us: int | None = None
) -> Iterator[Observation]:
    """The same of one site or of all, inside the caller's transaction."""
    until_us = _FOREVER if now_us is None else now_us + AHEAD_US
    yield from _Reading(connection, NamesByKey(connection).__getitem__, site_key, until_us).newest()


@dataclass(frozen=True, slots=True)
class KnownComparisons:
    """Peer comparisons in the ledger: newest disagreements of each site, begin of each peer's newest test."""

    disagreements: list[ComparedTest]
    newest_tests: dict[str, int]


def peer_comparisons(path: Path) -> KnownComparisons:
    """Read the peer comparisons that views need. Raises LedgerError if the file cannot be read."""
    with reading(path) as connection:
        return KnownComparisons(disagreements(connection), newest_tests(connection))


def resend(path: Path) -> ResendRequest | None:
    """Newest request to send again, or None. Raises LedgerError if the file cannot be read."""
    with reading(path) as connection:
        row = connection.execute(select(resends).order_by(resends.c.key.desc()).limit(1)).first()
    return ResendRequest(Resend(id=row.command, since_us=row.since_us), row.asked_us) if row else None


@dataclass(frozen=True, slots=True)
class _Reading:
    connection: Connection
    word: Word
    site_key: int | None
    until_us: int

    def _rows(self, query: Select[Any]) -> Result[Any]:
        if self.site_key is not None:
            query = query.where(series.c.site_key == self.site_key)
        return self.connection.execute(query, {"until": self.until_us})

    def newest(self) -> Iterator[Observation]:
        for probe, tables in VALUES.items():
            for condition in _conditions(tables):
                for row in self._rows(_query(condition, tables)):
                    yield self._observation(row, probe, self._values(row, tables))
        for row in self._rows(_query(_any(), None)):
            yield self._observation(row, self.word(row.probe_key), None)

    def _observation(self, row: Row[Any], probe: str, values: Values | None) -> Observation:
        direction = Direction(row.direction) if row.direction else None
        return Observation(
            series=Series(row.site_id, probe, direction, row.dscp),
            time_us=row.time_us,
            order=row.key,
            received_us=row.received_us,
            interval_us=row.interval_us,
            outcome=Outcome(self.word(row.outcome_key)),
            failure=failure_of(self.word(row.failure_key) if row.failure_key else None),
            values=values,
            bytes_sent=row.bytes_sent,
            bytes_received=row.bytes_received,
            busy_ratio=row.host_busy_ratio,
            peer=self.word(row.peer_key),
        )

    def _values(self, row: Row[Any], tables: ValueTables) -> Values | None:
        found = row._mapping
        if found["v_measurement_key"] is None:
            return None
        fields = tables.layout.fields(found, self.word, "v_")
        for name, part in tables.parts.items():
            fields[name] = () if name in tables.kind.left_out else self._items(row.key, part)
        complete: Callable[..., Values] = tables.kind.values
        values = complete(**fields)
        if isinstance(values, ReachabilityValues):
            values = moments_placed(values, self.word(row.boot_key), row.boot_us, row.time_us)
            begun = {"site": row.site_key, "begun": values.begin.boot_id, "boot": row.boot_key}
            if (offset_us := self.connection.execute(_BEGUN, begun).scalar()) is not None:
                values = begun_by(values, offset_us, row.time_us)
        return for_views(values)

    def _items(self, key: int, part: PartTables) -> tuple[Struct, ...]:
        query = select(part.table).where(part.table.c.measurement_key == key).order_by(part.table.c.ordinal)
        rows = self.connection.execute(query)
        return tuple(part.layout.struct(**part.layout.fields(row._mapping, self.word)) for row in rows)


def _conditions(tables: ValueTables) -> list[Select[tuple[int]]]:
    """Queries for each series of a kind: its newest, its newest with values, and its landmarks."""
    kind = tables.kind
    valued = _with_values() if kind.shown_when_stale else _with_values_lately(kind.stale_intervals)
    return [_any(), valued, *(_landmark(tables.table, conditions) for conditions in kind.landmarks)]


def _is_shown(table: Any) -> tuple[Any, ...]:
    return *is_in_views(table), table.c.time_us <= bindparam("until")


def _newest_key(*conditions: Any) -> Select[tuple[int]]:
    return (
        select(measurements.c.key)
        .where(measurements.c.series_key == series.c.key, *_is_shown(measurements), *conditions)
        .order_by(measurements.c.time_us.desc(), measurements.c.key.desc())
        .limit(1)
        .correlate(series)
    )


def _any() -> Select[tuple[int]]:
    return _newest_key()


def _is_ok() -> Any:
    """Condition of outcome ``ok``: only then do the values count."""
    return measurements.c.outcome_key == name_key(Outcome.OK)


def _with_values() -> Select[tuple[int]]:
    return _newest_key(_is_ok())


def _with_values_lately(stale_intervals: int) -> Select[tuple[int]]:
    """Newest key with values that are fresh enough to be shown."""
    # Without this bound, a month of failed trains means reading 43,200 rows a class. The further day is for a
    # schedule that was denser in the end.
    last = measurements.alias("last")
    shown_us = stale_intervals * func.coalesce(last.c.interval_us, DEFAULT_INTERVAL_US) + _DAY_US
    since_us = (
        select(last.c.time_us - shown_us)
        .where(last.c.series_key == series.c.key, *_is_shown(last))
        .order_by(last.c.time_us.desc(), last.c.key.desc())
        .limit(1)
        .correlate(series)
    )
    return _newest_key(_is_ok(), measurements.c.time_us > since_us.scalar_subquery())


def _landmark(table: Table, conditions: tuple[Condition, ...]) -> Select[tuple[int]]:
    """Newest key for which any of the conditions holds."""
    met = []
    for field, words in conditions:
        column = table.c[f"{field}_key"] if f"{field}_key" in table.c else table.c[field]
        met.append(column.in_([name_key(word) for word in words]) if words else column.is_not(None))
    same = table.c.measurement_key == measurements.c.key
    return _newest_key(_is_ok(), select(table.c.measurement_key).where(same, or_(*met)).exists())


def _query(newest_key: Select[tuple[int]], of: ValueTables | None) -> Select[Any]:
    tables = (
        series.join(_m, _m.c.key == newest_key.scalar_subquery())
        .join(sites, sites.c.key == series.c.site_key)
        .join(batches, batches.c.key == _m.c.batch_key)
    )
    common = ("key", "time_us", "interval_us", "outcome_key", "failure_key", "bytes_sent", "bytes_received")
    columns: list[Any] = [_m.c[name] for name in (*common, "host_busy_ratio", "peer_key")]
    columns += [_m.c.boot_us, _m.c.boot_key]
    columns += [
        series.c.site_key,
        series.c.probe_key,
        series.c.direction,
        series.c.dscp,
        sites.c.site_id,
        batches.c.received_us,
    ]
    if of is not None:
        tables = tables.outerjoin(of.table, of.table.c.measurement_key == _m.c.key)
        columns += [column.label(f"v_{column.name}") for column in of.table.c]
        return select(*columns).select_from(tables).where(series.c.probe_key == name_key(of.kind.name))
    known = select(names.c.key).where(names.c.name.in_(list(VALUES)))
    return select(*columns).select_from(tables).where(series.c.probe_key.not_in(known))
