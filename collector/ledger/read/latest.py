"""Reading the ledger: what live state is rebuilt from when the collector starts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Result, Row, Select, bindparam, func, select
from sqlalchemy.exc import SQLAlchemyError

from collector.ingest.resend import Request
from collector.ledger.read.peer_comparisons import disagreements, newest_tests
from collector.ledger.rows import record_rows as rows
from collector.ledger.rows.layout import Layout, Word
from collector.ledger.schema import (
    batches,
    boots,
    floor_values,
    latency_under_load,
    measurements,
    names,
    path_hops,
    resends,
    series,
    sites,
)
from collector.ledger.store import LedgerError, connect, explain
from collector.model.freshness import DEFAULT_INTERVAL_US, STALE_INTERVALS
from collector.model.observation import Observation, Series, begun_by, failure_of, for_views, moments_placed
from collector.model.peer_comparison import ComparedTest
from wire.messages.commands import Resend
from wire.records import (
    KNOWN,
    Direction,
    Hop,
    LatencyUnderLoad,
    Outcome,
    ReachabilityValues,
    Values,
    Verdict,
)

_m = measurements.alias("m")
_DAY_US = 86_400_000_000
_LAYOUTS: dict[str, Layout[Any]] = {
    "floor": rows.FLOOR,
    "stamp": rows.STAMP,
    "capacity": rows.CAPACITY,
    "interface": rows.INTERFACE,
    "path": rows.PATH,
    "reachability": rows.REACHABILITY,
    "clock": rows.CLOCK,
}
_WITH_LOAD = frozenset({"floor", "capacity"})
_DECISIVE = (Verdict.PASS, Verdict.FAIL)
_BEGUN = (
    select(boots.c.offset_us)
    .join(names, names.c.key == boots.c.boot_key)
    .where(
        boots.c.site_key == bindparam("site"),
        names.c.name == bindparam("begun"),
        boots.c.boot_key != bindparam("boot"),
    )
)


def newest(path: Path) -> Iterator[Observation]:
    """For every series its newest measurement, that with values, and those by which a floor is decided.

    The same measurement may come more than once, in no order. Raises LedgerError where the file
    cannot be read.
    """
    engine = connect(path, writing=False)
    try:
        with engine.begin() as connection:
            yield from _Reading(connection, _words(connection)).newest()
    except SQLAlchemyError as error:
        raise LedgerError(f"ledger {path}: {explain(error)}") from None
    finally:
        engine.dispose()


def newest_of(connection: Connection, site_key: int) -> Iterator[Observation]:
    """The same for one site, inside the caller's transaction."""
    yield from _Reading(connection, _words(connection), site_key).newest()


@dataclass(frozen=True, slots=True)
class KnownSides:
    """Of the second sides: each site's newest disagreements, and when each peer's newest test began."""

    disagreements: list[ComparedTest]
    newest_tests: dict[str, int]


def sides(path: Path) -> KnownSides:
    """Rebuild what is shown of the peers' side. Raises LedgerError where the file cannot be read."""
    engine = connect(path, writing=False)
    try:
        with engine.begin() as connection:
            return KnownSides(disagreements(connection), newest_tests(connection))
    except SQLAlchemyError as error:
        raise LedgerError(f"ledger {path}: {explain(error)}") from None
    finally:
        engine.dispose()


def resend(path: Path) -> Request | None:
    """What sites are asked to send again, or None. Raises LedgerError where the file cannot be read."""
    engine = connect(path, writing=False)
    try:
        with engine.begin() as connection:
            row = connection.execute(select(resends).order_by(resends.c.key.desc()).limit(1)).first()
    except SQLAlchemyError as error:
        raise LedgerError(f"ledger {path}: {explain(error)}") from None
    finally:
        engine.dispose()
    return Request(Resend(id=row.command, since_us=row.since_us), row.asked_us) if row else None


def _words(connection: Connection) -> Word:
    """Names by key, each asked for once."""
    known: dict[int, str] = {}

    def word(key: int) -> str:
        if key not in known:
            known[key] = connection.execute(select(names.c.name).where(names.c.key == key)).scalar_one()
        return known[key]

    return word


@dataclass(frozen=True, slots=True)
class _Reading:
    connection: Connection
    word: Word
    site_key: int | None = None

    def _rows(self, query: Select[Any]) -> Result[Any]:
        if self.site_key is not None:
            query = query.where(series.c.site_key == self.site_key)
        return self.connection.execute(query)

    def newest(self) -> Iterator[Observation]:
        for probe, layout in _LAYOUTS.items():
            conditions = [_any(), _with_values_lately()]
            if probe == "floor":  # what was last told of a floor is shown however old it is
                conditions = [_any(), _with_values(), _decisive(), _deciding()]
            for condition in conditions:
                query = _query(condition, layout, probe)
                for row in self._rows(query):
                    yield self._observation(row, probe, self._values(row, probe, layout))
        for row in self._rows(_query(_any(), None, None)):
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

    def _values(self, row: Row[Any], probe: str, layout: Layout[Any]) -> Values | None:
        found = row._mapping
        if found["v_measurement_key"] is None:
            return None
        fields = layout.fields(found, self.word, "v_")
        if probe in _WITH_LOAD and found["u_measurement_key"] is not None:
            fields["under_load"] = LatencyUnderLoad(**rows.UNDER_LOAD.fields(found, self.word, "u_"))
        complete: Callable[..., Values] = layout.kind
        values = complete(**fields | self._parts(row.key, probe))
        if isinstance(values, ReachabilityValues):
            values = moments_placed(values, self.word(row.boot_key), row.boot_us, row.time_us)
            begun = {"site": row.site_key, "begun": values.begin.boot_id, "boot": row.boot_key}
            if (offset_us := self.connection.execute(_BEGUN, begun).scalar()) is not None:
                values = begun_by(values, offset_us, row.time_us)
        return for_views(values)

    def _parts(self, key: int, probe: str) -> dict[str, Any]:
        """What stands in tables of its own, as far as live state keeps it."""
        match probe:
            case "floor":
                return {"tests": ()}
            case "capacity":
                return {"intervals": ()}
            case "path":
                return {"hops": self._hops(key)}
        return {}

    def _hops(self, key: int) -> tuple[Hop, ...]:
        query = select(path_hops).where(path_hops.c.measurement_key == key).order_by(path_hops.c.ordinal)
        return tuple(_hop(row, self.word) for row in self.connection.execute(query))


def _hop(row: Row[Any], word: Word) -> Hop:
    also = msgspec.json.decode(row.also, type=tuple[str, ...]) if row.also else ()
    return Hop(**rows.HOP.fields(row._mapping, word), also=also)


def _newest_key(*conditions: Any) -> Select[tuple[int]]:
    return (
        select(measurements.c.key)
        .where(measurements.c.series_key == series.c.key, *_believed(measurements), *conditions)
        .order_by(measurements.c.time_us.desc(), measurements.c.key.desc())
        .limit(1)
        .correlate(series)
    )


def _believed(table: Any) -> tuple[Any, Any]:
    """What is of the future, or older than what is kept, is passed over."""
    return table.c.ahead.is_(False), table.c.outdated.is_(False)


def _any() -> Select[tuple[int]]:
    return _newest_key()


def _is_ok() -> Any:
    """Of outcome ``ok``: only those have values that may be judged by."""
    return measurements.c.outcome_key == _name_key(Outcome.OK)


def _with_values() -> Select[tuple[int]]:
    return _newest_key(_is_ok())


def _with_values_lately() -> Select[tuple[int]]:
    """Of values too old to be shown none are looked for: a month of failed trains is 43,200 rows a class.

    The day more is for a schedule that was denser in the end.
    """
    last = measurements.alias("last")
    shown_us = STALE_INTERVALS * func.coalesce(last.c.interval_us, DEFAULT_INTERVAL_US) + _DAY_US
    since_us = (
        select(last.c.time_us - shown_us)
        .where(last.c.series_key == series.c.key, *_believed(last))
        .order_by(last.c.time_us.desc(), last.c.key.desc())
        .limit(1)
        .correlate(series)
    )
    return _newest_key(_is_ok(), measurements.c.time_us > since_us.scalar_subquery())


def _decisive() -> Select[tuple[int]]:
    return _of_floor(_is_decisive())


def _is_decisive() -> Any:
    return floor_values.c.verdict_key.in_([_name_key(verdict) for verdict in _DECISIVE])


def _deciding() -> Select[tuple[int]]:
    """A standing alone may never have been told: looking for one would read the series to its beginning."""
    return _of_floor(_is_decisive() | floor_values.c.standing_key.is_not(None))


def _of_floor(condition: Any) -> Select[tuple[int]]:
    same = floor_values.c.measurement_key == measurements.c.key
    return _newest_key(_is_ok(), select(floor_values.c.measurement_key).where(same, condition).exists())


def _name_key(word: str) -> Any:
    return select(names.c.key).where(names.c.name == word).scalar_subquery()


def _query(newest_key: Select[tuple[int]], layout: Layout[Any] | None, probe: str | None) -> Select[Any]:
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
    if layout is not None:
        tables = tables.outerjoin(layout.table, layout.table.c.measurement_key == _m.c.key)
        columns += [column.label(f"v_{column.name}") for column in layout.table.c]
    if probe in _WITH_LOAD:
        tables = tables.outerjoin(latency_under_load, latency_under_load.c.measurement_key == _m.c.key)
        columns += [column.label(f"u_{column.name}") for column in latency_under_load.c]
    query = select(*columns).select_from(tables)
    if probe is not None:
        return query.where(series.c.probe_key == _name_key(probe))
    known = select(names.c.key).where(names.c.name.in_(list(KNOWN)))
    return query.where(series.c.probe_key.not_in(known))
